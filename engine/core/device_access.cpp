#include "engine/core/device_access.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <optional>
#include <string>

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
};

const HostAccess& host_access() {
  static const HostAccess access;
  return access;
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
