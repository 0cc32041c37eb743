#pragma once

// What a kernel source (x_cuda.cu) includes, first and alone: CUDA where nvcc compiles it, and the
// emulated device where the host compiler does. BRAID_GPU is the namespace of its host functions.
#if defined(__CUDACC__)
#define BRAID_GPU cuda
#include "kernels/simt/device.hpp"
#else
#define BRAID_GPU emulated
#include "kernels/simt/emulated.hpp"
#endif

namespace braid::kernels {
using namespace braid::simt;
}
