#include "kernels/simt/moved_bytes.hpp"

namespace braid::simt {

template <class Note>
void MovedBytes::note(const void* address, std::size_t bytes, const Note& note_byte) {
  const auto start = reinterpret_cast<std::uintptr_t>(address);
  Page* page = nullptr;
  for (std::uintptr_t at = start; at < start + bytes; ++at) {
    if (page == nullptr || at % kPage == 0) page = &pages_[at / kPage];
    note_byte(*page, at % kPage);
  }
}

void MovedBytes::read(const void* address, std::size_t bytes) {
  note(address, bytes, [](Page& page, std::size_t at) {
    if (!page.written[at]) page.read.set(at);
  });
}

void MovedBytes::write(const void* address, std::size_t bytes) {
  note(address, bytes, [](Page& page, std::size_t at) { page.written.set(at); });
}

void MovedBytes::atomic_read(const void* address, std::size_t bytes) {
  note(address, bytes, [](Page& page, std::size_t at) { page.read.set(at); });
}

void MovedBytes::add_to(LaunchRecord& record) const {
  for (const std::span<const std::byte> memory : device_allocations()) {
    const auto start = reinterpret_cast<std::uintptr_t>(memory.data());
    const std::uintptr_t end = start + memory.size();
    for (std::uintptr_t number = start / kPage; number * kPage < end; ++number) {
      const auto found = pages_.find(number);
      if (found == pages_.end()) continue;
      for (std::uintptr_t at = 0; at < kPage; ++at) {
        const std::uintptr_t address = number * kPage + at;
        if (address < start || address >= end) continue;
        record.bytes_read += found->second.read[at] ? 1 : 0;
        record.bytes_written += found->second.written[at] ? 1 : 0;
      }
    }
  }
}

}  // namespace braid::simt
