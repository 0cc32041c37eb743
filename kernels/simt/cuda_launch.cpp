#include "kernels/simt/cuda_launch.hpp"

#include <string>

#include "engine/core/error.hpp"
#include "kernels/gpu_table.hpp"

namespace braid::simt {
namespace {

std::string described(const Extent& extent) {
  return "(" + std::to_string(extent.x) + ", " + std::to_string(extent.y) + ", " +
         std::to_string(extent.z) + ")";
}

std::string described(std::string_view kernel, const LaunchShape& shape) {
  return "kernel " + std::string(kernel) + ", grid " + described(shape.grid) + ", block " +
         described(shape.block) + ", shared memory " + std::to_string(shape.shared);
}

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

}  // namespace

void launch_on_gpu(const void* kernel, std::string_view name, const LaunchShape& shape,
                   const kernels::Stream& stream, void** arguments, bool cooperative) {
  constexpr std::int64_t kSharedWithoutAsking = 48 * 1024;
  if (!fits(shape.grid) || !fits(shape.block) || shape.shared < 0) {
    throw DeviceError(described(name, shape) +
                      ": numbers of blocks, threads and bytes that no device takes");
  }
  const auto shared = static_cast<std::size_t>(shape.shared);
  cudaError_t error = cudaSuccess;
  if (shape.shared > kSharedWithoutAsking) {
    error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 static_cast<int>(shape.shared));
  }
  auto* const cuda_stream = static_cast<cudaStream_t>(stream.native);
  if (error == cudaSuccess) {
    const dim3 grid = to_dim3(shape.grid);
    const dim3 block = to_dim3(shape.block);
    error = cooperative
                ? cudaLaunchCooperativeKernel(kernel, grid, block, arguments, shared, cuda_stream)
                : cudaLaunchKernel(kernel, grid, block, arguments, shared, cuda_stream);
  }
  if (error != cudaSuccess) {
    static_cast<void>(
        cudaGetLastError());  // an error of this launch alone must not come back later
    throw DeviceError(described(name, shape) + ": " + cudaGetErrorName(error) + ", " +
                      cudaGetErrorString(error));
  }
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

bool braid::kernels::cuda::device_answers() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess && count > 0;
}
