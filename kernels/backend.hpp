#pragma once
#include <cstddef>
#include <cstdint>

#include "engine/core/matrix.hpp"

namespace braid::kernels {

struct Stream;

// The functions that run one kernel, by instruction set.
template <class Arguments>
struct CpuVariants {
  void (*avx512)(const Arguments&);
  void (*avx2)(const Arguments&);
  void (*portable)(const Arguments&);
};
template <class Arguments>
constexpr CpuVariants<Arguments> kCpuVariants;

}  // namespace braid::kernels

// A kernel is a struct of arguments; BRAID_KERNEL(Struct), after it, declares the function that
// runs it on each backend. The sources of the CPU kernels (x_cpu.cpp) are compiled once for each
// instruction set, with BRAID_CPU naming the namespace; those for a GPU (x_cuda.cu) once by nvcc
// and once for the emulated device of the tests, with BRAID_GPU naming it. kernels/launch.hpp picks
// one at run time. A backend without a kernel is a link error (but see missing_on_gpu.txt).
#define BRAID_KERNEL(Arguments)              \
  BRAID_CPU_KERNEL(Arguments)                \
  namespace emulated {                       \
  void run(const Stream&, const Arguments&); \
  }                                          \
  namespace cuda {                           \
  void run(const Stream&, const Arguments&); \
  }

// The same of one that is for data of the host alone.
#define BRAID_CPU_KERNEL(Arguments) \
  namespace avx512 {                \
  void run(const Arguments&);       \
  }                                 \
  namespace avx2 {                  \
  void run(const Arguments&);       \
  }                                 \
  namespace portable {              \
  void run(const Arguments&);       \
  }                                 \
  template <>                       \
  constexpr CpuVariants<Arguments> kCpuVariants<Arguments>{avx512::run, avx2::run, portable::run};
