#include "kernels/simt/cuda_launch.hpp"

#include <map>
#include <mutex>
#include <utility>

#include "engine/core/error.hpp"
#include "kernels/gpu_table.hpp"
#include "kernels/simt/cuda_devices.hpp"
#include "kernels/simt/cuda_errors.hpp"
#include "kernels/simt/described_launch.hpp"
#include "kernels/simt/shared_limits.hpp"

namespace braid::simt {
namespace {

// Numbers that would wrap around in a dim3; all other limits the driver checks.
bool fits(const Extent& extent) {
  for (const std::int64_t count : {extent.x, extent.y, extent.z}) {
    if (count < 1 || count > 0x7FFFFFFF) return false;
  }
  return true;
}

dim3 to_dim3(const Extent& extent) {
  return {static_cast<unsigned>(extent.x), static_cast<unsigned>(extent.y),
          static_cast<unsigned>(extent.z)};
}

// More shared memory than every kernel may have, with what it declares itself. What is asked for
// holds for all threads of the program and lets every smaller launch pass: so it only grows, else
// one thread would take it from another between that one's question and its launch.
cudaError_t ask_for_shared(const void* kernel, const LaunchShape& shape) {
  if (shape.shared <= kSharedWithoutAsking) return cudaSuccess;
  static std::mutex one_at_a_time;
  static auto& asked = *new std::map<std::pair<int, const void*>, std::int64_t>;
  const std::lock_guard<std::mutex> lock(one_at_a_time);
  int device = 0;
  if (const cudaError_t error = cudaGetDevice(&device); error != cudaSuccess) return error;
  std::int64_t& most = asked[{device, kernel}];
  if (shape.shared <= most) return cudaSuccess;
  const cudaError_t error = cudaFuncSetAttribute(
      kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shape.shared));
  if (error == cudaSuccess) most = shape.shared;
  return error;
}

}  // namespace

void launch_on_gpu(const void* kernel, std::string_view name, const LaunchShape& shape,
                   const kernels::Stream& stream, void** arguments, bool cooperative) {
  if (!fits(shape.grid) || !fits(shape.block) || shape.shared < 0) {
    throw DeviceError(described_launch(name, shape) +
                      ": numbers of blocks, threads and bytes that no device takes");
  }
  const auto shared = static_cast<std::size_t>(shape.shared);
  auto* const cuda_stream = static_cast<cudaStream_t>(stream.native);
  cudaError_t error = ask_for_shared(kernel, shape);
  if (error == cudaSuccess) {
    const dim3 grid = to_dim3(shape.grid);
    const dim3 block = to_dim3(shape.block);
    error = cooperative
                ? cudaLaunchCooperativeKernel(kernel, grid, block, arguments, shared, cuda_stream)
                : cudaLaunchKernel(kernel, grid, block, arguments, shared, cuda_stream);
  }
  require(error, [&] { return described_launch(name, shape); });
}

std::int64_t blocks_held_by_gpu(const void* kernel, std::string_view name,
                                const LaunchShape& shape) {
  int device = 0;
  int multiprocessors = 0;
  int of_each = 0;
  cudaError_t error = ask_for_shared(kernel, shape);
  if (error == cudaSuccess) error = cudaGetDevice(&device);
  if (error == cudaSuccess) {
    error = cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device);
  }
  if (error == cudaSuccess) {
    error = cudaOccupancyMaxActiveBlocksPerMultiprocessor(&of_each, kernel,
                                                          static_cast<int>(shape.block.count()),
                                                          static_cast<std::size_t>(shape.shared));
  }
  require(error, [&] { return described_launch(name, shape); });
  return static_cast<std::int64_t>(multiprocessors) * of_each;
}

std::int64_t shared_bytes_of_gpu_block() {
  int device = 0;
  int bytes = 0;
  const bool known = cudaGetDevice(&device) == cudaSuccess &&
                     cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin,
                                            device) == cudaSuccess;
  if (!known) throw DeviceError("the device does not say how much shared memory a block has");
  return bytes;
}

bool gpu_has_matrix_units() {
  int device = 0;
  int major = 0;
  int minor = 0;
  return cudaGetDevice(&device) == cudaSuccess &&
         cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) == cudaSuccess &&
         cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device) == cudaSuccess &&
         runs_code_with_matrix_units(major, minor);
}

}  // namespace braid::simt

bool braid::kernels::cuda::device_answers() { return !simt::cuda_devices().numbers.empty(); }
