#pragma once
#include "kernels/simt/facade.hpp"

namespace braid::simt {

// Whether the device that kernels are launched on has matrix units for tf32 and bfloat16.
#if defined(__CUDACC__)
static inline bool has_matrix_units() { return gpu_has_matrix_units(); }
#else
static inline bool has_matrix_units() { return emulated_gpu().has_matrix_units(); }
#endif

}  // namespace braid::simt
