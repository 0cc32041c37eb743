#pragma once
#include "kernels/backend.hpp"
#include "kernels/host_device.hpp"

namespace braid::kernels {

// The gradient of n parameters: the sum of `slices` arrays, `slice_stride` floats apart, from first
// to last, times *factor (a clip; absent: 1), then clipped to [-clip_value, clip_value] where
// clip_value > 0.
struct GradientSource {
  const float* data = nullptr;
  std::int64_t slices = 1;
  std::int64_t slice_stride = 0;
  const float* factor = nullptr;
  float clip_value = 0;
};

// What changes from step to step. It stays in the device's memory, so that a captured step can be
// replayed: the learning rate, and Adam's step size alpha = rate * sqrt(1 - beta_2^t) / (1 -
// beta_1^t).
struct UpdateRates {
  float rate = 0;
  float alpha = 0;
};

// Every operation of the rules is rounded by itself, in the order of Keras's own, so that steps
// have the same bits on every backend.

// Keras's decoupled decay, before each update: w -= w * (weight_decay * rate); 0: none.

// m = momentum * m - rate * g; w += m, or with nesterov w += momentum * m - rate * g; without
// momentum w -= rate * g.
struct SgdUpdate {
  GradientSource gradient;
  float* parameter = nullptr;  // [n]  updated
  float* velocity = nullptr;   // [n]  updated; absent without momentum
  std::int64_t count = 0;
  const UpdateRates* rates = nullptr;  // read
  float momentum = 0;
  float weight_decay = 0;
  bool nesterov = false;
};
BRAID_KERNEL(SgdUpdate)

// v = rho * v + (1 - rho) g^2; denominator sqrt(v + epsilon), centered: sqrt(v - a^2 + epsilon)
// with a = rho * a + (1 - rho) g; step = rate * g / denominator; with momentum m = momentum * m +
// step, w -= m; else w -= step.
struct RmspropUpdate {
  GradientSource gradient;
  float* parameter = nullptr;
  float* velocity = nullptr;       // v [n]
  float* momentum_slot = nullptr;  // m [n]; absent without momentum
  float* average = nullptr;        // a [n]; absent unless centered
  std::int64_t count = 0;
  const UpdateRates* rates = nullptr;  // read
  float rho = 0;
  float one_minus_rho = 0;  // rounded from the double
  float momentum = 0;
  float epsilon = 0;
  float weight_decay = 0;
};
BRAID_KERNEL(RmspropUpdate)

// m += (g - m) * (1 - beta_1); v += (g^2 - v) * (1 - beta_2); w -= alpha * m / (sqrt(v) + epsilon),
// with amsgrad v_max = max(v_max, v) stands under the root.
struct AdamUpdate {
  GradientSource gradient;
  float* parameter = nullptr;
  float* momentum = nullptr;      // m [n]
  float* velocity = nullptr;      // v [n]
  float* velocity_max = nullptr;  // [n]; absent unless amsgrad
  std::int64_t count = 0;
  const UpdateRates* rates = nullptr;  // read
  float one_minus_beta_1 = 0;          // rounded from the double
  float one_minus_beta_2 = 0;
  float epsilon = 0;
  float weight_decay = 0;
};
BRAID_KERNEL(AdamUpdate)

// The same for several parameters, none of which the others touch: one launch on a GPU.
template <class Each, std::int64_t most>
struct ParameterList {
  static constexpr std::int64_t kMost = most;  // of what the arguments of a launch may hold
  Each each[kMost];
  std::int64_t count = 0;
};
struct SgdUpdates : ParameterList<SgdUpdate, 32> {};
struct RmspropUpdates : ParameterList<RmspropUpdate, 32> {};
struct AdamUpdates : ParameterList<AdamUpdate, 32> {};
BRAID_KERNEL(SgdUpdates)
BRAID_KERNEL(RmspropUpdates)
BRAID_KERNEL(AdamUpdates)

// out[i] = sum over the slices, from first to last.
struct SumSlices {
  const float* in = nullptr;  // [slices, slice_stride]  read
  std::int64_t slices = 1;
  std::int64_t slice_stride = 0;
  float* out = nullptr;  // [n]  overwritten; may be `in`
  std::int64_t count = 0;
};
BRAID_KERNEL(SumSlices)

// The squares of a gradient are summed in chunks: so short that those of a model's largest weight
// keep a whole GPU reading, and never so many that adding up their sums would take long.
constexpr std::int64_t kShortestNormChunk = 2048;
constexpr std::int64_t kMostNormChunks = 1024;

// The parameters of a chunk, where there are `count` in all.
BRAID_HOST_DEVICE constexpr std::int64_t norm_chunk(std::int64_t count) {
  constexpr std::int64_t kShort = kShortestNormChunk * kMostNormChunks;
  return count <= kShort ? kShortestNormChunk
                         : kShortestNormChunk * ((count + kShort - 1) / kShort);
}
BRAID_HOST_DEVICE constexpr std::int64_t norm_chunks(std::int64_t count) {
  return (count + norm_chunk(count) - 1) / norm_chunk(count);
}

// partials[c] = sum of g^2 over chunk c, as exact as in double; g[i] = sum over the slices, from
// first to last. Squares beyond the range of float32 may count as infinite.
struct SquaredNorm {
  const float* in = nullptr;  // [slices, slice_stride]  read
  std::int64_t slices = 1;
  std::int64_t slice_stride = 0;
  std::int64_t count = 0;
  double* partials = nullptr;  // [norm_chunks(count)]  overwritten
};
struct SquaredNorms : ParameterList<SquaredNorm, 80> {};
BRAID_KERNEL(SquaredNorm)
BRAID_KERNEL(SquaredNorms)

// The factors that keep gradients within a norm. The squared norm of gradient i is the sum of
// partials[firsts[i]] .. partials[firsts[i + 1] - 1], in an order that depends on their number
// alone. Each gradient by itself: limit / max(norm, limit); or all alike by their common norm:
// limit * min(1 / norm, 1 / limit). A norm of NaN gives NaN.
struct ClipFactors {
  const double* partials = nullptr;      // [firsts[count]]  read
  const std::int64_t* firsts = nullptr;  // [count + 1]  read
  float* factors = nullptr;              // [count]  overwritten
  std::int64_t count = 0;
  float limit = 0;
  bool together = false;
};
BRAID_KERNEL(ClipFactors)

}  // namespace braid::kernels
