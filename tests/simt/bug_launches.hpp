#pragma once
#include "tests/simt/bugs.hpp"

// How the kernels of planted bugs are launched and listed. Every kernel writes the numbers that its
// right version gives; out[i] is compared with that.
namespace braid::samples {
namespace {

using namespace braid::simt;

constexpr int kThreads = 64;
const kernels::Stream kStream{kernels::Backend::emulated};

__device__ inline int global_index() {
  return static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
}

template <auto kernel>
void one_block(const BugMemory& m) {
  launch_kernel<kernel>({.block = kThreads}, kStream, m);
}
template <auto kernel>
void two_blocks(const BugMemory& m) {
  launch_kernel<kernel>({.grid = m.count / kThreads, .block = kThreads}, kStream, m);
}
template <auto kernel>
void cooperating_blocks(const BugMemory& m) {
  launch_cooperative<kernel>({.grid = m.count / kThreads, .block = kThreads}, kStream, m);
}

using Launch = void (*)(const BugMemory&);
template <Launch right, Launch wrong>
Bug bug(const char* name, Found plain, Found address, Found race) {
  return {name, [](const BugMemory& m, bool planted) { planted ? wrong(m) : right(m); }, plain,
          address, race};
}

}  // namespace

// Sizes come from the count (128), so that the compiler does not find the bug first.
#define BRAID_BUG(launch, name, ...) \
  bug<launch<name##_kernel<false>>, launch<name##_kernel<true>>>(#name, __VA_ARGS__)

}  // namespace braid::samples
