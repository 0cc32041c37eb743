#pragma once
#include "kernels/product_library.hpp"
#include "kernels/simt/facade.hpp"
#if !defined(__CUDACC__)
#include "kernels/simt/emulated_library.hpp"
#endif

namespace braid::simt {

// The library for the products of the device that kernels are launched on; null if there is none.
#if defined(__CUDACC__)
static inline kernels::ProductLibrary* product_library() { return gpu_product_library(); }
#else
static inline kernels::ProductLibrary* product_library() { return emulated_product_library(); }
#endif

}  // namespace braid::simt
