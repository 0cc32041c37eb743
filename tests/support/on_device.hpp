#pragma once
#include <cstddef>
#include <cstdlib>

#include <braid/braid.hpp>

#include "kernels/simt/emulated_faults.hpp"

namespace braid::testing {

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

// Devices replay nothing.
class WithoutRecordings {
 public:
  WithoutRecordings() { ::setenv("BRAID_NO_GRAPH", "1", 1); }
  ~WithoutRecordings() { ::unsetenv("BRAID_NO_GRAPH"); }
  WithoutRecordings(const WithoutRecordings&) = delete;
  WithoutRecordings& operator=(const WithoutRecordings&) = delete;
};

// The emulated device takes no data set into its memory.
class FedByTheHost {
 public:
  FedByTheHost() { simt::pretend_free_memory(1); }
  ~FedByTheHost() { simt::pretend_free_memory(0); }
  FedByTheHost(const FedByTheHost&) = delete;
  FedByTheHost& operator=(const FedByTheHost&) = delete;
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
