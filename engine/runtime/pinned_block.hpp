#pragma once
#include <array>
#include <cstddef>
#include <cstring>
#include <optional>

#include "engine/runtime/device_event.hpp"

namespace braid {

// Page-locked memory of the host, and when the copies from it and to it are done.
class PinnedBlock {
 public:
  // `purpose` is what is copied, for messages: "the inputs of a batch".
  PinnedBlock(Device device, const char* purpose)
      : device_(device), access_(access_to(device)), purpose_(purpose) {}
  // Waits for its copies.
  ~PinnedBlock();
  PinnedBlock(const PinnedBlock&) = delete;
  PinnedBlock& operator=(const PinnedBlock&) = delete;

  // So many bytes that no copy needs any more: waits where one still does. OutOfMemory names what
  // was asked, what the host has free, and for what.
  std::byte* take(std::size_t bytes);
  std::byte* data() const { return memory_; }
  // Puts a value somewhere into the bytes taken.
  void put(std::size_t place, const void* value, std::size_t bytes) {
    if (bytes > 0) std::memcpy(memory_ + place, value, bytes);
  }

  // Copies that return at once: the bytes stay as they are, or are not there, until all is done.
  void start_upload(std::size_t place, std::byte* to, std::size_t bytes, void* stream);
  void start_download(std::size_t place, const std::byte* from, std::size_t bytes, void* stream);
  // What the stream is given from now on comes behind the copies.
  void await_in(void* stream) const {
    if (event_) event_->await_in(stream);
  }
  bool is_done() const { return !event_ || event_->is_done(); }
  void wait() const {
    if (event_) event_->wait();
  }

 private:
  Device device_;
  const DeviceAccess& access_;
  const char* purpose_;
  std::byte* memory_ = nullptr;
  std::size_t capacity_ = 0;
  std::optional<DeviceEvent> event_;  // none before the first bytes are taken
};

// What the host hands a device step after step: two blocks in turn, so that one is filled while the
// device still reads the other.
class Staging {
 public:
  Staging(Device device, const char* purpose)
      : blocks_{PinnedBlock(device, purpose), PinnedBlock(device, purpose)} {}

  // The block that was used less lately, with room for so many bytes.
  PinnedBlock& next(std::size_t bytes) {
    turn_ = 1 - turn_;
    blocks_[turn_].take(bytes);
    return blocks_[turn_];
  }

 private:
  std::array<PinnedBlock, 2> blocks_;
  std::size_t turn_ = 0;
};

}  // namespace braid
