#pragma once
#include <cstdint>
#include <string>

#include <braid/device.hpp>

namespace bench {

// What a GPU says of itself. Rates are those of its data sheet, reckoned from clocks and widths; 0
// where nothing is known.
struct DeviceFacts {
  std::string name;
  std::string capability;  // "9.0"
  int multiprocessors = 0;
  std::string driver;   // the newest CUDA that the driver takes
  std::string runtime;  // the CUDA that this program was built with
  std::int64_t cache_bytes = 0;
  std::int64_t memory_bytes = 0;
  double bytes_per_second = 0;
  double float32_per_second = 0;  // operations: a multiply-add counts as two
  double tf32_per_second = 0;
  double bfloat16_per_second = 0;
};

// DeviceError where the device is not there.
DeviceFacts facts_of(braid::Device device);

// Bytes read and written a second by a copy within the device's memory, far larger than its cache:
// the best of several.
double copied_bytes_per_second(braid::Device device);

// Bytes a second of a large copy from page-locked memory of the host: the best of several.
double uploaded_bytes_per_second(braid::Device device);

}  // namespace bench
