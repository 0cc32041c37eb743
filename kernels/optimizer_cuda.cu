// A thread owns one parameter, then the one a grid further on: its gradient's slices are summed
// from first to last, and everything that belongs to it is read and written once. Compiled without
// fused multiply-add, so that it rounds as the CPU does.
#include "kernels/optimizer.hpp"

#include "kernels/simt/elements.hpp"
#include "kernels/simt/facade.hpp"

namespace braid::kernels {
namespace {

__device__ inline float gradient_at(const GradientSource& source, std::int64_t i) {
  float g = source.data[i];
  for (std::int64_t slice = 1; slice < source.slices; ++slice) {
    g += source.data[slice * source.slice_stride + i];
  }
  if (source.factor != nullptr) g *= *source.factor;
  const float limit = source.clip_value;
  if (limit > 0) g = g > limit ? limit : (g < -limit ? -limit : g);
  return g;
}

template <class Body>
__device__ inline void for_parameters(std::int64_t count, const Body& body) {
  for_elements<1>(1, count, [&](std::int64_t, std::int64_t i) { body(i); });
}

__global__ void sgd_kernel(SgdUpdate args) {
  const float rate = args.rates->rate;
  const float decay = args.weight_decay * rate;
  for_parameters(args.count, [&](std::int64_t i) {
    const float g = gradient_at(args.gradient, i);
    const float w = args.parameter[i];
    const float decayed = w - w * decay;
    if (args.velocity == nullptr) {
      args.parameter[i] = decayed - rate * g;
      return;
    }
    const float m = args.momentum * args.velocity[i] - rate * g;
    args.velocity[i] = m;
    args.parameter[i] = decayed + (args.nesterov ? args.momentum * m - rate * g : m);
  });
}

__global__ void rmsprop_kernel(RmspropUpdate args) {
  const float rate = args.rates->rate;
  const float decay = args.weight_decay * rate;
  for_parameters(args.count, [&](std::int64_t i) {
    const float g = gradient_at(args.gradient, i);
    const float w = args.parameter[i];
    const float decayed = w - w * decay;
    const float v = args.rho * args.velocity[i] + args.one_minus_rho * (g * g);
    args.velocity[i] = v;
    float under_root = v + args.epsilon;
    if (args.average != nullptr) {
      const float a = args.rho * args.average[i] + args.one_minus_rho * g;
      args.average[i] = a;
      under_root = v - a * a + args.epsilon;
    }
    const float step = rate * g / sqrtf(under_root);
    if (args.momentum_slot != nullptr) {
      const float m = args.momentum * args.momentum_slot[i] + step;
      args.momentum_slot[i] = m;
      args.parameter[i] = decayed - m;
    } else {
      args.parameter[i] = decayed - step;
    }
  });
}

__global__ void adam_kernel(AdamUpdate args) {
  const float alpha = args.rates->alpha;
  const float decay = args.weight_decay * args.rates->rate;
  for_parameters(args.count, [&](std::int64_t i) {
    const float g = gradient_at(args.gradient, i);
    const float w = args.parameter[i];
    const float decayed = w - w * decay;
    float m = args.momentum[i];
    float v = args.velocity[i];
    m += (g - m) * args.one_minus_beta_1;
    v += (g * g - v) * args.one_minus_beta_2;
    args.momentum[i] = m;
    args.velocity[i] = v;
    if (args.velocity_max != nullptr) {
      const float largest = args.velocity_max[i];
      v = largest > v ? largest : v;
      args.velocity_max[i] = v;
    }
    args.parameter[i] = decayed - m * alpha / (sqrtf(v) + args.epsilon);
  });
}

__global__ void sum_slices_kernel(SumSlices args) {
  for_parameters(args.count, [&](std::int64_t i) {
    float sum = args.in[i];
    for (std::int64_t slice = 1; slice < args.slices; ++slice) {
      sum += args.in[slice * args.slice_stride + i];
    }
    args.out[i] = sum;
  });
}

// One block: its threads' sums meet in a tree.
__global__ void squared_norm_kernel(SquaredNorm args) {
  LongSum sum{};
  for (std::int64_t i = threadIdx.x; i < args.count; i += blockDim.x) {
    const float g = gradient_at(args.gradient, i);
    sum.add_product(g, g);
  }
  sum = sum_of_block(sum);
  if (threadIdx.x != 0) return;
  const double total = static_cast<double>(sum.sum) + static_cast<double>(sum.rest);
  *args.out = args.accumulate ? *args.out + total : total;
}

// One thread: there are as many factors as weights in a model.
__global__ void clip_factors_kernel(ClipFactors args) {
  if (threadIdx.x != 0) return;
  double all = 0;
  for (std::int64_t i = 0; i < args.count; ++i) {
    all += args.squares[i];
    const float norm = sqrtf(static_cast<float>(args.squares[i]));
    args.factors[i] = args.limit / (norm < args.limit ? args.limit : norm);
  }
  if (!args.together) return;
  const float norm = sqrtf(static_cast<float>(all));
  const float inverse = 1.0F / norm;
  const float most = 1.0F / args.limit;
  for (std::int64_t i = 0; i < args.count; ++i)
    args.factors[i] = args.limit * (inverse > most ? most : inverse);
}

}  // namespace

namespace BRAID_GPU {

void run(const Stream& stream, const SgdUpdate& args) {
  if (args.count > 0) launch_kernel<sgd_kernel>(element_shape(args.count), stream, args);
}

void run(const Stream& stream, const RmspropUpdate& args) {
  if (args.count > 0) launch_kernel<rmsprop_kernel>(element_shape(args.count), stream, args);
}

void run(const Stream& stream, const AdamUpdate& args) {
  if (args.count > 0) launch_kernel<adam_kernel>(element_shape(args.count), stream, args);
}

void run(const Stream& stream, const SumSlices& args) {
  if (args.count > 0) launch_kernel<sum_slices_kernel>(element_shape(args.count), stream, args);
}

void run(const Stream& stream, const ClipFactors& args) {
  if (args.count > 0) launch_kernel<clip_factors_kernel>({.block = 32}, stream, args);
}

void run(const Stream& stream, const SquaredNorm& args) {
  launch_kernel<squared_norm_kernel>(sum_shape(args.count), stream, args);
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
