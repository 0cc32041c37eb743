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

// Whether this build has code for a GPU of that compute capability that uses matrix units: a GPU
// may have them, and run what was made for an older one.
bool runs_code_with_matrix_units(int major, int minor);

}  // namespace braid::simt
