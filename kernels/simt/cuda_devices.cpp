#include "kernels/simt/cuda_devices.hpp"

#include <cuda_runtime.h>

#include "kernels/simt/gpu_architectures.hpp"

namespace braid::simt {
namespace {

constexpr const char* kArchitectures = BRAID_CUDA_ARCHITECTURES;

std::string name_of(int device) {
  cudaDeviceProp properties{};
  if (cudaGetDeviceProperties(&properties, device) != cudaSuccess) return "unknown";
  return std::string(properties.name) + " (" + std::to_string(properties.major) + "." +
         std::to_string(properties.minor) + ")";
}

// Asks for no more than attributes: to begin work on a GPU takes a while, and memory there.
bool runs_on(int device) {
  int major = 0;
  int minor = 0;
  return cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) == cudaSuccess &&
         cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device) == cudaSuccess &&
         architectures_run_on(kArchitectures, major, minor);
}

// No driver (error 35) and no device (100) are the same to a program: there is none.
CudaDevices find() {
  CudaDevices found;
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    found.absence = std::string(cudaGetErrorName(error)) + ", " + cudaGetErrorString(error);
    return found;
  }
  for (int device = 0; device < count; ++device) {
    if (runs_on(device)) found.numbers.push_back(device);
  }
  if (count == 0) {
    found.absence = "the driver knows of none";
  } else if (found.numbers.empty()) {
    found.absence = std::string("this build has kernels for the architectures ") + kArchitectures +
                    ", the GPU is an " + name_of(0);
  }
  return found;
}

}  // namespace

bool runs_code_with_matrix_units(int major, int minor) {
  return architectures_run_on(kArchitectures, major, minor, kFirstWithMatrixUnits);
}

const CudaDevices& cuda_devices() {
  static const CudaDevices once = find();
  return once;
}

}  // namespace braid::simt
