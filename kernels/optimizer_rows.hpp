#pragma once
#include "kernels/optimizer.hpp"
#include "kernels/simt/elements.hpp"

// A thread owns an element and adds up its slices, from first to last.
namespace braid::kernels {
namespace {

template <class Blocks>
__device__ inline void run_rows(const SumSlices& args) {
  for_elements<1, Blocks>(1, args.count, [&](std::int64_t, std::int64_t i) {
    float sum = args.in[i];
    for (std::int64_t slice = 1; slice < args.slices; ++slice) {
      sum += args.in[slice * args.slice_stride + i];
    }
    args.out[i] = sum;
  });
}

}  // namespace
}  // namespace braid::kernels
