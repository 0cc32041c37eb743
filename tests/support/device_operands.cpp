#include "tests/support/device_operands.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <map>
#include <mutex>
#include <sstream>
#include <stdexcept>

#include "engine/core/device_access.hpp"

namespace braid::testing {
namespace {

using Address = std::uintptr_t;

std::mutex mutex;

std::map<Address, std::size_t>& noted() {  // begin: bytes
  static auto* const all = new std::map<Address, std::size_t>;
  return *all;
}

// Device memory that waits for the next launch, by size. Exact sizes, so that tools see every
// access beyond an operand.
std::multimap<std::size_t, std::byte*>& idle() {
  static auto* const all = new std::multimap<std::size_t, std::byte*>;
  return *all;
}
constexpr std::size_t kMostIdle = 4096;

const DeviceAccess& access_of(kernels::Backend backend) {
  return access_to(backend == kernels::Backend::cuda ? Device::cuda() : Device::emulated());
}

bool is_mapped(Address address) {
  const auto page = static_cast<Address>(sysconf(_SC_PAGESIZE));
  void* const start = reinterpret_cast<void*>(address / page * page);
  return msync(start, page, MS_ASYNC) == 0 || errno != ENOMEM;
}

// No count or stride of a test is so large, and no address of a program so small or so large. Below
// what the address sanitizer gives out lies its own memory, mapped from end to end, and below all
// what a GPU's driver maps.
bool may_be_address(Address word) {
#if defined(__SANITIZE_ADDRESS__)
  constexpr Address kLowest = 0x600000000000U;
#else
  constexpr Address kLowest = 0x400000000000U;
#endif
  return word >= kLowest && word >> 47U == 0;
}

}  // namespace

void note_memory(const void* memory, std::size_t bytes) {
  const std::lock_guard lock(mutex);
  noted()[reinterpret_cast<Address>(memory)] = bytes;
}

void forget_memory(const void* memory) {
  const std::lock_guard lock(mutex);
  noted().erase(reinterpret_cast<Address>(memory));
}

DeviceOperands::DeviceOperands(kernels::Backend backend) : backend_(backend) {}

DeviceOperands::~DeviceOperands() {
  const std::lock_guard lock(mutex);
  for (const Copy& copy : copies_) {
    // The emulated device's memory is poisoned when it is new, and its tools watch what was freed.
    if (backend_ == kernels::Backend::cuda && idle().size() < kMostIdle) {
      idle().emplace(copy.allocated, copy.allocation);
    } else {
      access_of(backend_).release(copy.allocation);
    }
  }
}

kernels::Stream DeviceOperands::stream() const {
  if (backend_ != kernels::Backend::cuda) return {backend_};
  static void* const native = access_of(backend_).new_stream();
  return {backend_, native};
}

const DeviceOperands::Copy& DeviceOperands::copy_of(std::byte* here, std::size_t bytes) {
  const auto known = std::find_if(copies_.begin(), copies_.end(),
                                  [&](const Copy& copy) { return copy.here == here; });
  if (known != copies_.end()) return *known;
  constexpr Address kAlignment = 256;
  // What is a multiple of 16 here, or is not, shall be there too.
  const std::size_t gap = reinterpret_cast<Address>(here) % kAlignment;
  Copy copy{here, bytes, nullptr, gap + bytes, nullptr};
  if (const auto found = idle().find(copy.allocated);
      backend_ == kernels::Backend::cuda && found != idle().end()) {
    copy.allocation = found->second;
    idle().erase(found);
  } else {
    copy.allocation = access_of(backend_).allocate(copy.allocated);
  }
  if (copy.allocation == nullptr) throw std::bad_alloc();
  copy.there = copy.allocation + gap;
  copies_.push_back(copy);
  access_of(backend_).upload(copy.there, here, bytes, stream().native);
  return copies_.back();
}

void DeviceOperands::move(std::byte* arguments, std::size_t bytes,
                          const std::vector<std::size_t>& padding) {
  const std::lock_guard lock(mutex);
  for (std::size_t at = 0; at + kWordBytes <= bytes; at += kWordBytes) {
    const std::size_t padded = padding.empty() ? 0 : padding[at / kWordBytes];
    // A few bytes before stale ones could be taken for an address. Half a word cannot: it is a
    // number, or an address whose padding belongs to another word.
    if (padded > kWordBytes / 2) continue;
    Address word = 0;
    std::memcpy(&word, arguments + at, sizeof(word));
    const auto after = noted().upper_bound(word);
    // An absent part may start where the memory ends.
    if (after != noted().begin() && word <= std::prev(after)->first + std::prev(after)->second) {
      const auto& [begin, size] = *std::prev(after);
      const Copy& copy = copy_of(reinterpret_cast<std::byte*>(begin), size);
      std::byte* const there = copy.there + (word - begin);
      std::memcpy(arguments + at, &there, sizeof(there));
    } else if (!padding.empty() && padded == 0 && may_be_address(word) && is_mapped(word)) {
      std::ostringstream text;
      text << "byte " << at << " of the arguments is an address that is no KernelMemory: a device "
           << "cannot reach it";
      throw std::logic_error(text.str());
    }
  }
}

void DeviceOperands::bring_back() {
  const DeviceAccess& access = access_of(backend_);
  for (const Copy& copy : copies_)
    access.download(copy.here, copy.there, copy.bytes, stream().native);
}

}  // namespace braid::testing
