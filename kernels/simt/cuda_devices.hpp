#pragma once
#include <string>
#include <vector>

namespace braid::simt {

// The GPUs of the machine that run the kernels of this build.
struct CudaDevices {
  std::vector<int> numbers;  // what CUDA calls them, in its order
  std::string absence;       // why there is none
};

// Found out once.
const CudaDevices& cuda_devices();

}  // namespace braid::simt
