// A thread owns one parameter of each tensor of a list, then the one a grid further on: its
// gradient's slices are summed from first to last, and everything that belongs to it is read and
// written once. Compiled without fused multiply-add, so that it rounds as the CPU does.
#include <algorithm>

#include "kernels/optimizer.hpp"

#include "kernels/optimizer_rows.hpp"
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

__device__ inline void update(const SgdUpdate& args) {
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

__device__ inline void update(const RmspropUpdate& args) {
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

__device__ inline void update(const AdamUpdate& args) {
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

template <class List>
__global__ void update_kernel(List list) {
  SIMT_NO_UNROLL
  for (int i = 0; i < static_cast<int>(list.count); ++i) update(list.each[i]);
}

__global__ void sum_slices_kernel(SumSlices args) { run_rows<AllBlocks>(args); }

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

constexpr std::size_t kBytesOfArguments = 4096;

// As many blocks as the largest of them asks for.
template <class List>
void launch_updates(const Stream& stream, const List& list) {
  static_assert(sizeof(List) <= kBytesOfArguments);
  std::int64_t most = 0;
  for (std::int64_t i = 0; i < list.count; ++i) most = std::max(most, list.each[i].count);
  if (most > 0) launch_kernel<update_kernel<List>>(element_shape(most), stream, list);
}

template <class List, class Update>
List list_of(const Update& update) {
  List list;
  list.each[0] = update;
  list.count = 1;
  return list;
}

}  // namespace

namespace BRAID_GPU {

void run(const Stream& stream, const SgdUpdates& args) { launch_updates(stream, args); }
void run(const Stream& stream, const RmspropUpdates& args) { launch_updates(stream, args); }
void run(const Stream& stream, const AdamUpdates& args) { launch_updates(stream, args); }

void run(const Stream& stream, const SgdUpdate& args) { run(stream, list_of<SgdUpdates>(args)); }

void run(const Stream& stream, const RmspropUpdate& args) {
  run(stream, list_of<RmspropUpdates>(args));
}

void run(const Stream& stream, const AdamUpdate& args) { run(stream, list_of<AdamUpdates>(args)); }

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
