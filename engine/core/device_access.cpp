#include "engine/core/device_access.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <optional>
#include <string>
#include <utility>

#include "engine/core/error.hpp"
#include "engine/core/memory.hpp"

namespace braid {
namespace {

// Cache-line aligned, so that vector kernels may load whole lines.
constexpr std::align_val_t kAlignment{64};

class HostAccess final : public DeviceAccess {
 public:
  std::byte* allocate(std::size_t bytes) const override {
    const std::size_t padded = (std::max<std::size_t>(bytes, 1) + 63) / 64 * 64;
    return static_cast<std::byte*>(::operator new[](padded, kAlignment, std::nothrow));
  }
  void release(std::byte* memory) const noexcept override {
    ::operator delete[](memory, kAlignment);
  }
  std::size_t free_bytes() const override { return static_cast<std::size_t>(free_memory()); }

  void* new_stream() const override { return nullptr; }
  void release_stream(void*) const noexcept override {}
  void synchronize(void*) const override {}

  void upload(std::byte* to, const std::byte* from, std::size_t bytes, void* s) const override {
    copy(to, from, bytes, s);
  }
  void download(std::byte* to, const std::byte* from, std::size_t bytes, void* s) const override {
    copy(to, from, bytes, s);
  }
  void copy(std::byte* to, const std::byte* from, std::size_t bytes, void*) const override {
    if (bytes > 0) std::memcpy(to, from, bytes);
  }
  void fill(std::byte* memory, std::byte pattern, std::size_t bytes, void*) const override {
    if (bytes > 0) std::memset(memory, std::to_integer<int>(pattern), bytes);
  }

  std::byte* allocate_pinned(std::size_t bytes) const override { return allocate(bytes); }
  void release_pinned(std::byte* memory) const noexcept override { release(memory); }
  void start_upload(std::byte* to, const std::byte* from, std::size_t bytes,
                    void* s) const override {
    copy(to, from, bytes, s);
  }
  void start_download(std::byte* to, const std::byte* from, std::size_t bytes,
                      void* s) const override {
    copy(to, from, bytes, s);
  }
  // All has happened when a call returns.
  void* new_event(EventUse) const override { return nullptr; }
  void release_event(void*) const noexcept override {}
  void record_event(void*, void*) const override {}
  bool is_done(void*) const override { return true; }
  void wait_for(void*) const override {}
  void await_in(void*, void*) const override {}
};

const HostAccess& host_access() {
  // Never destroyed: tensors of a program may outlive what is.
  static const auto* const access = new HostAccess;
  return *access;
}

std::array<std::optional<DeviceKind>, 3>& kinds() {
  static std::array<std::optional<DeviceKind>, 3> known{
      DeviceKind{[] { return 1; }, [](int) -> const DeviceAccess& { return host_access(); }}};
  return known;
}

}  // namespace

void add_device_kind(Device::Kind kind, DeviceKind functions) {
  kinds()[static_cast<std::size_t>(kind)] = functions;
}

bool has_device_kind(Device::Kind kind) {
  return kinds()[static_cast<std::size_t>(kind)].has_value();
}

std::string absence_of(Device::Kind kind) {
  const auto& found = kinds()[static_cast<std::size_t>(kind)];
  if (!found) return "this build has no kernels for it";
  return found->absence == nullptr ? "there is none" : found->absence();
}

int device_count(Device::Kind kind) {
  const auto& found = kinds()[static_cast<std::size_t>(kind)];
  return found ? found->count() : 0;
}

const DeviceAccess& access_to(Device device) {
  require_present(device);
  return kinds()[static_cast<std::size_t>(device.kind())]->access(device.index());
}

std::shared_ptr<void> make_stream(const DeviceAccess& access) {
  void* const stream = access.new_stream();
  if (stream == nullptr) return nullptr;
  return {stream, [&access](void* s) { access.release_stream(s); }};
}

namespace {

struct Unawaited {
  const DeviceAccess* access = nullptr;
  std::weak_ptr<void> stream = {};  // one that is released has waited
};
// One at most: whoever leaves another has waited for this one.
thread_local Unawaited unawaited;

}  // namespace

void leave_unawaited(const DeviceAccess& access, const std::shared_ptr<void>& stream) {
  access.make_current();
  unawaited = {&access, stream};
}

void await_streams_but(void* stream) {
  if (unawaited.access == nullptr) return;
  const std::shared_ptr<void> left = unawaited.stream.lock();
  if (left != nullptr && left.get() == stream) return;
  const DeviceAccess& access = *std::exchange(unawaited, {}).access;
  if (left != nullptr) access.synchronize(left.get());
}

std::shared_ptr<std::byte[]> try_to_allocate_on(Device device, std::size_t bytes) {
  const DeviceAccess& access = access_to(device);
  std::byte* const memory = access.allocate(bytes);
  if (memory == nullptr) return nullptr;
  return {memory, [&access](std::byte* p) { access.release(p); }};
}

std::shared_ptr<std::byte[]> allocate_on(Device device, std::size_t bytes, const char* purpose) {
  std::shared_ptr<std::byte[]> memory = try_to_allocate_on(device, bytes);
  if (memory != nullptr) return memory;
  throw OutOfMemory(std::string(purpose) + " of " + std::to_string(bytes) +
                    " bytes could not be had on device \"" + to_string(device) + "\"; " +
                    std::to_string(access_to(device).free_bytes()) + " bytes are free");
}

}  // namespace braid
