#pragma once
#include <cstddef>
#include <cstdlib>
#include <string>
#include <vector>

#include <braid/braid.hpp>

#include "engine/core/device_access.hpp"
#include "kernels/simt/emulated_faults.hpp"

namespace braid::testing {

// The emulated device stands for a GPU: the same launches, on memory of its own. Where a GPU
// answers, it goes through the same tests.
inline std::vector<Device> gpus() {
  std::vector<Device> all{Device::emulated()};
  if (device_count(Device::Kind::cuda) > 0) all.push_back(Device::cuda());
  return all;
}

// What follows in a test lives on a device.
class OnDevice {
 public:
  explicit OnDevice(Device device) : before_(default_device()) { set_default_device(device); }
  ~OnDevice() { set_default_device(before_); }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

 private:
  Device before_;
};

// A variable of the environment is set until the end of the scope.
class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
  ~Environment() { ::unsetenv(name_); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  const char* name_;
};

// Devices replay nothing.
struct WithoutRecordings : Environment {
  WithoutRecordings() : Environment("BRAID_NO_GRAPH", "1") {}
};

// Devices take no data set into their memory, but windows of so many bytes.
class Streamed {
 public:
  explicit Streamed(std::int64_t window_bytes)
      : window_("BRAID_WINDOW_BYTES", std::to_string(window_bytes).c_str()) {}

 private:
  Environment whole_{"BRAID_NO_RESIDENT_DATA", "1"};
  Environment window_;
};

// Nor these: the host feeds each batch, and waits for it.
class FedByTheHost {
  Environment whole_{"BRAID_NO_RESIDENT_DATA", "1"};
  Environment windows_{"BRAID_NO_STREAMED_DATA", "1"};
};

// The emulated device has so many bytes of memory left.
class MemoryLeft {
 public:
  explicit MemoryLeft(std::size_t bytes) {
    simt::limit_device_memory(simt::used_device_memory() + bytes);
  }
  ~MemoryLeft() { simt::limit_device_memory(0); }
  MemoryLeft(const MemoryLeft&) = delete;
  MemoryLeft& operator=(const MemoryLeft&) = delete;
};

}  // namespace braid::testing
