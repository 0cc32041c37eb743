#pragma once
#include "kernels/simt/rows.hpp"

// Sums of slices that lie a stride apart, from first to last, by one thread that asks for many of
// them at once.
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
__device__ inline void add_all_slices(const float* from, std::int64_t slices, std::int64_t stride,
                                      float (&sums)[kWidth]) {
  constexpr int kMany = 32 / kWidth;
  constexpr int kSome = 8 / kWidth;
  std::int64_t slice = 0;
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

// From the first slice on, of which there is one at least.
template <int kWidth>
__device__ inline void add_up_slices(const float* from, std::int64_t slices, std::int64_t stride,
                                     float (&sums)[kWidth]) {
  load_floats(from, sums);
  add_all_slices(from + stride, slices - 1, stride, sums);
}

}  // namespace
}  // namespace braid::kernels
