#include "kernels/simt/cuda_launch.hpp"

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

// More shared memory than every kernel may have, with what it declares itself.
cudaError_t ask_for_shared(const void* kernel, const LaunchShape& shape) {
  if (shape.shared <= kSharedWithoutAsking) return cudaSuccess;
  return cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                              static_cast<int>(shape.shared));
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
  constexpr int kFirstWithThem = 8;
  int device = 0;
  int major = 0;
  return cudaGetDevice(&device) == cudaSuccess &&
         cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) == cudaSuccess &&
         major >= kFirstWithThem;
}

}  // namespace braid::simt

bool braid::kernels::cuda::device_answers() { return !simt::cuda_devices().numbers.empty(); }
