#pragma once
#include "kernels/optimizer.hpp"
#include "kernels/simt/elements.hpp"

// A thread owns an element and adds up its slices, from first to last. Of few elements a warp owns
// one: it asks for all slices at once, and adds them in the same order.
namespace braid::kernels {
namespace {

// Adds the next kAtOnce slices, or as many as there are: all are asked for before the first of them
// is added. Behind the last one it is read again, so that no load waits for a branch.
template <int kAtOnce, int kWidth>
__device__ inline void add_slices(const float* from, std::int64_t stride, int count,
                                  float (&sums)[kWidth]) {
  float values[kAtOnce][kWidth];
  SIMT_UNROLL
  for (int i = 0; i < kAtOnce; ++i) {
    load_floats(from, values[i]);
    from += i + 1 < count ? stride : 0;
  }
  SIMT_UNROLL
  for (int i = 0; i < kAtOnce; ++i) {
    SIMT_UNROLL
    for (int e = 0; e < kWidth; ++e) sums[e] = i < count ? sums[e] + values[i][e] : sums[e];
  }
}

// kWidth neighbouring elements. What takes time is waiting for memory.
template <int kWidth>
__device__ inline void add_up_slices(const float* from, std::int64_t slices, std::int64_t stride,
                                     float (&sums)[kWidth]) {
  constexpr int kMany = 32 / kWidth;
  constexpr int kSome = 8 / kWidth;
  load_floats(from, sums);
  std::int64_t slice = 1;
  SIMT_NO_UNROLL
  for (; slice + kMany <= slices; slice += kMany)
    add_slices<kMany>(from + slice * stride, stride, kMany, sums);
  SIMT_NO_UNROLL
  for (; slice < slices; slice += kSome) {
    const std::int64_t left = slices - slice;
    add_slices<kSome>(from + slice * stride, stride, left < kSome ? static_cast<int>(left) : kSome,
                      sums);
  }
}

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
