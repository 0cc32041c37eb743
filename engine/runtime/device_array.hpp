#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "engine/core/device_access.hpp"

namespace braid {

// A number of elements in the memory of a device.
template <class T>
class DeviceArray {
 public:
  DeviceArray() = default;
  // OutOfMemory with what it was wanted for.
  DeviceArray(Device device, std::int64_t count, const char* purpose)
      : access_(&access_to(device)),
        memory_(allocate_on(device, static_cast<std::size_t>(count) * sizeof(T), purpose)) {}

  T* data() const { return reinterpret_cast<T*>(memory_.get()); }

  // In the order of a stream; returns when the bytes are there.
  void upload(std::span<const T> values, std::int64_t first, void* stream) const {
    access_->upload(reinterpret_cast<std::byte*>(data() + first),
                    reinterpret_cast<const std::byte*>(values.data()), values.size_bytes(), stream);
  }
  void download(std::span<T> values, void* stream) const {
    access_->download(reinterpret_cast<std::byte*>(values.data()),
                      reinterpret_cast<const std::byte*>(data()), values.size_bytes(), stream);
  }

 private:
  const DeviceAccess* access_ = nullptr;
  std::shared_ptr<std::byte[]> memory_;
};

}  // namespace braid
