#pragma once
#include "kernels/optimizer.hpp"
#include "kernels/simt/elements.hpp"
#include "kernels/slice_sums.hpp"

// A thread owns an element and adds up its slices, from first to last. Of few elements a warp owns
// one: it asks for all slices at once, and adds them in the same order.
namespace braid::kernels {
namespace {

// What the lanes of a warp hold is added to the sum, from the first lane on.
__device__ inline float add_lanes(float sum, float value, int lanes) {
  constexpr int kAtOnce = 8;
  SIMT_NO_UNROLL
  for (int first = 0; first < lanes; first += kAtOnce) {
    SIMT_UNROLL
    for (int i = 0; i < kAtOnce; ++i) {
      const float next = __shfl_sync(0xFFFFFFFFU, value, first + i);
      sum = first + i < lanes ? sum + next : sum;
    }
  }
  return sum;
}

__device__ inline void sum_slices_by_warps(const OneBlock& blocks, const SumSlices& args) {
  constexpr int kAtOnce = 4;  // of each lane
  const auto lane = static_cast<int>(threadIdx.x % 32);
  for_each_by_warp(blocks, args.count, [&](auto i) {
    const float* const from = args.in + i;
    const auto slices = static_cast<int>(args.slices);
    float sum = *from;
    SIMT_NO_UNROLL
    for (int first = 1; first < slices; first += 32 * kAtOnce) {
      float values[kAtOnce];
      SIMT_UNROLL
      for (int n = 0; n < kAtOnce; ++n)
        values[n] = from[min(first + 32 * n + lane, slices - 1) * args.slice_stride];
      SIMT_UNROLL
      for (int n = 0; n < kAtOnce; ++n)
        sum = add_lanes(sum, values[n], min(slices - first - 32 * n, 32));
    }
    __syncwarp();  // all lanes have read what may be overwritten
    if (lane == 0) args.out[i] = sum;
  });
}

template <class Blocks>
__device__ inline void run_rows(const Blocks& blocks, const SumSlices& args) {
  if constexpr (std::is_same_v<Blocks, OneBlock>) {
    if (args.count <= kElementThreads / 32) return sum_slices_by_warps(blocks, args);
  }
  for_elements<1>(blocks, 1, args.count, [&](auto, auto i) {
    float sum[1];
    add_up_slices(args.in + i, args.slices, args.slice_stride, sum);
    args.out[i] = sum[0];
  });
}

}  // namespace
}  // namespace braid::kernels
