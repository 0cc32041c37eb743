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
  SIMT_UNROLL
  for (int lane = 0; lane < 32; ++lane) {
    const float next = __shfl_sync(0xFFFFFFFFU, value, lane);
    sum = lane < lanes ? sum + next : sum;
  }
  return sum;
}

__device__ inline void sum_slices_by_warps(const OneBlock& blocks, const SumSlices& args) {
  constexpr int kAtOnce = 4;  // of each lane
  const auto lane = static_cast<int>(threadIdx.x % 32);
  for_each_by_warp(blocks, args.count, [&](std::int64_t i) {
    const float* const from = args.in + i;
    const std::int64_t last = args.slices - 1;
    float sum = *from;
    SIMT_NO_UNROLL
    for (std::int64_t first = 1; first < args.slices; first += 32 * kAtOnce) {
      float values[kAtOnce];
      SIMT_UNROLL
      for (int n = 0; n < kAtOnce; ++n) {
        const std::int64_t slice = first + 32 * n + lane;
        values[n] = from[(slice < last ? slice : last) * args.slice_stride];
      }
      SIMT_UNROLL
      for (int n = 0; n < kAtOnce; ++n) {
        const std::int64_t left = args.slices - first - 32 * n;
        if (left > 0) sum = add_lanes(sum, values[n], left > 32 ? 32 : static_cast<int>(left));
      }
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
  for_elements<1>(blocks, 1, args.count, [&](std::int64_t, std::int64_t i) {
    float sum[1];
    add_up_slices(args.in + i, args.slices, args.slice_stride, sum);
    args.out[i] = sum[0];
  });
}

}  // namespace
}  // namespace braid::kernels
