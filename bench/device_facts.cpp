#include "bench/device_facts.hpp"

#include <algorithm>

#include "bench/clock.hpp"
#include "engine/core/device_access.hpp"
#include "engine/core/error.hpp"

#if BRAID_WITH_CUDA
#include <cuda_runtime.h>
#endif

namespace bench {
namespace {

using braid::Device;

#if BRAID_WITH_CUDA
void check(cudaError_t error, const char* call) {
  if (error == cudaSuccess) return;
  throw braid::DeviceError(std::string(call) + ": " + cudaGetErrorString(error));
}

int attribute(cudaDeviceAttr which, int index) {
  int value = 0;
  if (cudaDeviceGetAttribute(&value, which, index) == cudaSuccess) return value;
  static_cast<void>(cudaGetLastError());
  return 0;
}

std::string version(int number) {
  return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
}

// Operations of one multiprocessor in one clock: of its float32 units, and of its matrix units in
// tf32.
struct UnitRates {
  double float32;
  double tf32;
};
UnitRates rates_of(int major, int minor) {
  switch (10 * major + minor) {
    case 75: return {128, 0};
    case 80: return {128, 1024};
    case 90: return {256, 2048};
    case 100: return {256, 4096};
    default: return {256, 256};  // 8.6, 8.9, 12.0
  }
}

DeviceFacts cuda_facts(int index) {
  DeviceFacts facts;
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, index), "cudaGetDeviceProperties");
  facts.name = properties.name;
  facts.capability = std::to_string(properties.major) + "." + std::to_string(properties.minor);
  facts.multiprocessors = properties.multiProcessorCount;
  facts.cache_bytes = properties.l2CacheSize;
  facts.memory_bytes = static_cast<std::int64_t>(properties.totalGlobalMem);
  int number = 0;
  check(cudaDriverGetVersion(&number), "cudaDriverGetVersion");
  facts.driver = version(number);
  check(cudaRuntimeGetVersion(&number), "cudaRuntimeGetVersion");
  facts.runtime = version(number);
  const double clock = 1e3 * attribute(cudaDevAttrClockRate, index);         // from kHz
  const double memory = 1e3 * attribute(cudaDevAttrMemoryClockRate, index);  // from kHz
  const double width = attribute(cudaDevAttrGlobalMemoryBusWidth, index) / 8.0;
  facts.bytes_per_second = 2 * memory * width;
  const UnitRates rates = rates_of(properties.major, properties.minor);
  facts.float32_per_second = rates.float32 * clock * facts.multiprocessors;
  facts.tf32_per_second = rates.tf32 * clock * facts.multiprocessors;
  facts.bfloat16_per_second = 2 * facts.tf32_per_second;
  return facts;
}
#endif

}  // namespace

DeviceFacts facts_of(Device device) {
  braid::require_present(device);
#if BRAID_WITH_CUDA
  if (device.kind() == Device::Kind::cuda) return cuda_facts(device.index());
#endif
  DeviceFacts facts;
  facts.name = to_string(device);
  return facts;
}

double copied_bytes_per_second(Device device) {
  // The emulated device shows only that it can be done.
  const std::size_t bytes = device.kind() == Device::Kind::cuda ? std::size_t{1} << 30U : 1 << 16;
  constexpr int kCopies = 8;
  const braid::DeviceAccess& access = braid::access_to(device);
  const auto from = braid::allocate_on(device, bytes, "a copy");
  const auto to = braid::allocate_on(device, bytes, "a copy");
  void* const stream = access.new_stream();
  access.fill(from.get(), std::byte{0x3f}, bytes, stream);
  double best = 0;
  for (int repeat = 0; repeat < 6; ++repeat) {
    access.synchronize(stream);
    const auto start = Clock::now();
    for (int i = 0; i < kCopies; ++i) access.copy(to.get(), from.get(), bytes, stream);
    access.synchronize(stream);
    const double seconds = seconds_since(start);
    if (repeat > 0) best = std::max(best, 2.0 * kCopies * static_cast<double>(bytes) / seconds);
  }
  access.release_stream(stream);
  return best;
}

double uploaded_bytes_per_second(Device device) {
  const std::size_t bytes = device.kind() == Device::Kind::cuda ? std::size_t{1} << 27U : 1 << 16;
  const braid::DeviceAccess& access = braid::access_to(device);
  const auto to = braid::allocate_on(device, bytes, "an upload");
  std::byte* const from = access.allocate_pinned(bytes);
  if (from == nullptr) throw braid::OutOfMemory("no page-locked memory for an upload");
  std::fill_n(from, bytes, std::byte{0x3f});
  void* const stream = access.new_stream();
  double best = 0;
  for (int repeat = 0; repeat < 6; ++repeat) {
    access.synchronize(stream);
    const auto start = Clock::now();
    access.start_upload(to.get(), from, bytes, stream);
    access.synchronize(stream);
    best = std::max(best, static_cast<double>(bytes) / seconds_since(start));
  }
  access.release_stream(stream);
  access.release_pinned(from);
  return best;
}

}  // namespace bench
