#pragma once
#include "kernels/optimizer.hpp"
#include "kernels/simt/elements.hpp"

// A thread owns an element and adds up its slices, from first to last. Of few elements a warp owns
// one: it asks for all slices at once, and adds them in the same order.
namespace braid::kernels {
namespace {

// kWidth neighbouring elements. Many slices are asked for before the first of them is added: what
// takes time is waiting for memory.
template <int kWidth>
__device__ inline void add_up_slices(const float* from, std::int64_t slices, std::int64_t stride,
                                     float (&sums)[kWidth]) {
  constexpr int kAtOnce = kWidth == 1 ? 32 : 4;
  load_floats(from, sums);
  SIMT_NO_UNROLL
  for (std::int64_t slice = 1; slice < slices; slice += kAtOnce) {
    const std::int64_t left = slices - slice;
    const int count = left < kAtOnce ? static_cast<int>(left) : kAtOnce;
    const float* more = from + slice * stride;
    float values[kAtOnce][kWidth] = {};
    SIMT_UNROLL
    for (int i = 0; i < kAtOnce; ++i) {
      if (i < count) load_floats(more + i * stride, values[i]);
    }
    SIMT_UNROLL
    for (int i = 0; i < kAtOnce; ++i) {
      SIMT_UNROLL
      for (int e = 0; e < kWidth; ++e) {
        if (i < count) sums[e] += values[i][e];
      }
    }
  }
}

// What the lanes of a warp hold is added to the sum, from the first lane on.
__device__ inline float add_lanes(float sum, float value, int lanes, bool starts) {
  SIMT_NO_UNROLL
  for (int lane = 0; lane < lanes; ++lane) {
    const float next = __shfl_sync(0xFFFFFFFFU, value, lane);
    sum = starts && lane == 0 ? next : sum + next;
  }
  return sum;
}

__device__ inline void sum_slices_by_warps(const SumSlices& args) {
  constexpr int kAtOnce = 4;  // of each lane
  const auto lane = static_cast<int>(threadIdx.x % 32);
  for_each_by_warp<OneBlock>(args.count, [&](std::int64_t i) {
    float sum = 0;
    SIMT_NO_UNROLL
    for (std::int64_t first = 0; first < args.slices; first += 32 * kAtOnce) {
      float values[kAtOnce] = {};
      SIMT_UNROLL
      for (int n = 0; n < kAtOnce; ++n) {
        const std::int64_t slice = first + 32 * n + lane;
        if (slice < args.slices) values[n] = args.in[slice * args.slice_stride + i];
      }
      SIMT_UNROLL
      for (int n = 0; n < kAtOnce; ++n) {
        const std::int64_t left = args.slices - first - 32 * n;
        const int lanes = left > 32 ? 32 : static_cast<int>(left);
        sum = add_lanes(sum, values[n], lanes, first == 0 && n == 0);
      }
    }
    if (lane == 0) args.out[i] = sum;
  });
}

template <class Blocks>
__device__ inline void run_rows(const SumSlices& args) {
  if constexpr (std::is_same_v<Blocks, OneBlock>) {
    if (args.count <= kElementThreads / 32) return sum_slices_by_warps(args);
  }
  for_elements<1, Blocks>(1, args.count, [&](std::int64_t, std::int64_t i) {
    float sum[1];
    add_up_slices(args.in + i, args.slices, args.slice_stride, sum);
    args.out[i] = sum[0];
  });
}

}  // namespace
}  // namespace braid::kernels
