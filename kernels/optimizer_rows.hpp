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

// The rules of kWidth neighbouring parameters. Every product is rounded by itself, as the CPU does.

template <int kWidth>
__device__ inline void load_gradient(const GradientSource& source, std::int64_t i,
                                     float (&g)[kWidth]) {
  add_up_slices(source.data + i, source.slices, source.slice_stride, g);
  const float factor = source.factor != nullptr ? *source.factor : 1.0F;
  const float limit = source.clip_value;
  SIMT_UNROLL
  for (float& each : g) {
    each = __fmul_rn(each, factor);
    if (limit > 0) each = each > limit ? limit : (each < -limit ? -limit : each);
  }
}

// The operands of kWidth neighbouring parameters, some of which may be absent.
template <int kWidth>
__device__ inline void load_if(const float* from, std::int64_t i, float (&values)[kWidth]) {
  if (from != nullptr) load_floats(from + i, values);
}
template <int kWidth>
__device__ inline void store_if(float* to, std::int64_t i, const float (&values)[kWidth]) {
  if (to != nullptr) store_floats(to + i, values);
}

template <int kWidth>
__device__ inline void update(const SgdUpdate& args, std::int64_t i) {
  float w[kWidth];
  float m[kWidth] = {};
  float g[kWidth];
  load_floats(args.parameter + i, w);
  load_if(args.velocity, i, m);
  load_gradient(args.gradient, i, g);
  const float rate = args.rates->rate;
  const float decay = __fmul_rn(args.weight_decay, rate);
  SIMT_UNROLL
  for (int e = 0; e < kWidth; ++e) {
    w[e] -= __fmul_rn(w[e], decay);
    if (args.velocity == nullptr) {
      w[e] -= __fmul_rn(rate, g[e]);
      continue;
    }
    const float step = __fmul_rn(rate, g[e]);
    m[e] = __fmul_rn(args.momentum, m[e]) - step;
    w[e] += args.nesterov ? __fmul_rn(args.momentum, m[e]) - step : m[e];
  }
  store_if(args.velocity, i, m);
  store_floats(args.parameter + i, w);
}

template <int kWidth>
__device__ inline void update(const RmspropUpdate& args, std::int64_t i) {
  float w[kWidth];
  float v[kWidth];
  float a[kWidth] = {};
  float m[kWidth] = {};
  float g[kWidth];
  load_floats(args.parameter + i, w);
  load_floats(args.velocity + i, v);
  load_if(args.average, i, a);
  load_if(args.momentum_slot, i, m);
  load_gradient(args.gradient, i, g);
  const float rate = args.rates->rate;
  const float decay = __fmul_rn(args.weight_decay, rate);
  SIMT_UNROLL
  for (int e = 0; e < kWidth; ++e) {
    w[e] -= __fmul_rn(w[e], decay);
    v[e] = __fmul_rn(args.rho, v[e]) + __fmul_rn(args.one_minus_rho, __fmul_rn(g[e], g[e]));
    float under_root = v[e] + args.epsilon;
    if (args.average != nullptr) {
      a[e] = __fmul_rn(args.rho, a[e]) + __fmul_rn(args.one_minus_rho, g[e]);
      under_root = v[e] - __fmul_rn(a[e], a[e]) + args.epsilon;
    }
    const float step = __fmul_rn(rate, g[e]) / sqrtf(under_root);
    m[e] = args.momentum_slot != nullptr ? __fmul_rn(args.momentum, m[e]) + step : step;
    w[e] -= m[e];
  }
  store_floats(args.velocity + i, v);
  store_if(args.average, i, a);
  store_if(args.momentum_slot, i, m);
  store_floats(args.parameter + i, w);
}

template <int kWidth>
__device__ inline void update(const AdamUpdate& args, std::int64_t i) {
  float w[kWidth];
  float m[kWidth];
  float v[kWidth];
  float most[kWidth] = {};
  float g[kWidth];
  load_floats(args.parameter + i, w);
  load_floats(args.momentum + i, m);
  load_floats(args.velocity + i, v);
  load_if(args.velocity_max, i, most);
  load_gradient(args.gradient, i, g);
  const float alpha = args.rates->alpha;
  const float decay = __fmul_rn(args.weight_decay, args.rates->rate);
  SIMT_UNROLL
  for (int e = 0; e < kWidth; ++e) {
    w[e] -= __fmul_rn(w[e], decay);
    m[e] += __fmul_rn(g[e] - m[e], args.one_minus_beta_1);
    v[e] += __fmul_rn(__fmul_rn(g[e], g[e]) - v[e], args.one_minus_beta_2);
    if (args.velocity_max != nullptr) most[e] = most[e] > v[e] ? most[e] : v[e];
    const float under_root = args.velocity_max != nullptr ? most[e] : v[e];
    w[e] -= __fmul_rn(m[e], alpha) / (sqrtf(under_root) + args.epsilon);
  }
  store_floats(args.momentum + i, m);
  store_floats(args.velocity + i, v);
  store_if(args.velocity_max, i, most);
  store_floats(args.parameter + i, w);
}

template <class Blocks, class Update>
__device__ inline void update_elements(const Blocks& blocks, const Update& args) {
  for_elements<1>(blocks, 1, args.count, [&](std::int64_t, std::int64_t i) { update<1>(args, i); });
}
template <class Blocks>
__device__ inline void run_rows(const Blocks& blocks, const SgdUpdate& args) {
  update_elements(blocks, args);
}
template <class Blocks>
__device__ inline void run_rows(const Blocks& blocks, const RmspropUpdate& args) {
  update_elements(blocks, args);
}
template <class Blocks>
__device__ inline void run_rows(const Blocks& blocks, const AdamUpdate& args) {
  update_elements(blocks, args);
}

}  // namespace
}  // namespace braid::kernels
