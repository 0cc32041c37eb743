#include "engine/runtime/pinned_block.hpp"

#include <string>
#include <utility>

#include "engine/core/error.hpp"
#include "engine/core/memory.hpp"

namespace braid {

PinnedBlock::~PinnedBlock() {
  try {
    wait();
  } catch (const DeviceError&) {
    // A device that has failed copies nothing any more.
  }
  if (memory_ != nullptr) access_.release_pinned(memory_);
}

std::byte* PinnedBlock::take(std::size_t bytes) {
  if (!event_) event_.emplace(device_);
  event_->wait();
  if (bytes <= capacity_ && memory_ != nullptr) return memory_;
  if (memory_ != nullptr) access_.release_pinned(std::exchange(memory_, nullptr));
  capacity_ = 0;
  memory_ = access_.allocate_pinned(bytes);
  if (memory_ == nullptr) {
    throw OutOfMemory(std::string(purpose_) + ": " + std::to_string(bytes) +
                      " bytes of the host's memory, page-locked for copies to and from device \"" +
                      to_string(device_) + "\", could not be had; " +
                      std::to_string(free_memory()) + " bytes of it are free");
  }
  capacity_ = bytes;
  return memory_;
}

void PinnedBlock::start_upload(std::size_t place, std::byte* to, std::size_t bytes, void* stream) {
  // Where there is nothing to bring, `to` may be the place of something else.
  if (bytes > 0) access_.start_upload(to, memory_ + place, bytes, stream);
  event_->record(stream);
}

void PinnedBlock::start_download(std::size_t place, const std::byte* from, std::size_t bytes,
                                 void* stream) {
  access_.start_download(memory_ + place, from, bytes, stream);
  event_->record(stream);
}

}  // namespace braid
