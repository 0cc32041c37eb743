// A thread owns one parameter of each tensor of a list, then the one a grid further on: its
// gradient's slices are summed from first to last, and everything that belongs to it is read and
// written once. Compiled without fused multiply-add, so that it rounds as the CPU does.
// Norms of gradients take at least their bytes over the memory's rate, behind the start of two
// launches. A block sums the squares of one chunk of any gradient of a list: biases run beside an
// embedding table, which 20,000 x 64 parameters spread over 625 blocks. Then one block adds up what
// the chunks have left, so that runs repeat bit for bit, as they would not with atomic sums.
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

constexpr int kNormThreads = 256;
// Loads that a thread has under way: all of its share of a short chunk.
constexpr int kAhead = 8;
static_assert(kNormThreads * kAhead == kShortestNormChunk);

// The chunks of all gradients of a list, one behind the other.
struct ListedNorms {
  SquaredNorms norms;
  // Of each gradient the first chunk, then the number of all.
  std::int64_t firsts[SquaredNorms::kMost + 1];
};

// The gradient that a chunk is of: the last one whose chunks begin no later.
__device__ inline int gradient_of(const ListedNorms& list, std::int64_t chunk) {
  int found = 0;
  int behind = static_cast<int>(list.norms.count);
  while (behind - found > 1) {
    const int middle = (found + behind) / 2;
    if (list.firsts[middle] <= chunk) {
      found = middle;
    } else {
      behind = middle;
    }
  }
  return found;
}

// Adds the squares of a thread's next elements, from i on. Where the chunk ends it reads the last
// one again and counts it once: no load waits for a branch.
__device__ inline void add_squares(const SquaredNorm& norm, std::int64_t i, std::int64_t end,
                                   LongSum& sum) {
  const std::int64_t left = end - i;
  const int last = static_cast<int>(left < kShortestNormChunk ? left : kShortestNormChunk) - 1;
  const float* from = norm.in + i;
  float g[kAhead];
  SIMT_UNROLL
  for (int n = 0; n < kAhead; ++n) g[n] = from[n * kNormThreads < last ? n * kNormThreads : last];
  SIMT_NO_UNROLL
  for (std::int64_t slice = 1; slice < norm.slices; ++slice) {
    from += norm.slice_stride;
    SIMT_UNROLL
    for (int n = 0; n < kAhead; ++n)
      g[n] += from[n * kNormThreads < last ? n * kNormThreads : last];
  }
  SIMT_UNROLL
  for (int n = 0; n < kAhead; ++n) {
    const float own = n * kNormThreads <= last ? g[n] : 0.0F;
    sum.add_product(own, own);
  }
}

__global__ void squared_norm_kernel(ListedNorms list) {
  SIMT_NO_UNROLL
  for (std::int64_t chunk = blockIdx.x; chunk < list.firsts[list.norms.count]; chunk += gridDim.x) {
    const int gradient = gradient_of(list, chunk);
    const SquaredNorm norm = list.norms.each[gradient];
    const std::int64_t partial = chunk - list.firsts[gradient];
    const std::int64_t elements = norm_chunk(norm.count);
    const std::int64_t begin = partial * elements;
    const std::int64_t end = begin + elements < norm.count ? begin + elements : norm.count;
    LongSum sum{};
    SIMT_NO_UNROLL
    for (std::int64_t i = begin + threadIdx.x; i < end; i += kShortestNormChunk)
      add_squares(norm, i, end, sum);
    sum = sum_of_block(sum);
    if (threadIdx.x != 0) continue;
    // What a sum beyond float32 has lost is NaN.
    const float rest = sum.sum < INFINITY ? sum.rest : 0.0F;
    norm.partials[partial] = static_cast<double>(sum.sum) + static_cast<double>(rest);
  }
}

// The sum of a gradient's partials, known to all lanes of the warp.
__device__ inline double squared_norm_of(const ClipFactors& args, std::int64_t gradient) {
  const std::int64_t end = args.firsts[gradient + 1];
  double sum = 0;
  SIMT_NO_UNROLL
  for (std::int64_t p = args.firsts[gradient] + threadIdx.x % 32; p < end; p += 32 * kAhead) {
    double partials[kAhead];
    SIMT_UNROLL
    for (int n = 0; n < kAhead; ++n)
      partials[n] = args.partials[p + 32 * n < end ? p + 32 * n : end - 1];
    SIMT_UNROLL
    for (int n = 0; n < kAhead; ++n) sum += p + 32 * n < end ? partials[n] : 0.0;
  }
  for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(0xFFFFFFFFU, sum, offset);
  return sum;
}

// One block. A warp takes a gradient, then the one as many further on as there are warps; in the
// same order the warps' sums are what all gradients have together.
__global__ void clip_factors_kernel(ClipFactors args) {
  SIMT_SHARED(double, of_warps, [kSumThreads / 32]);
  const bool is_first_lane = threadIdx.x % 32 == 0;
  double own = 0;
  for_each_by_warp<OneBlock>(args.count, [&](std::int64_t i) {
    const double square = squared_norm_of(args, i);
    own += square;
    if (args.together || !is_first_lane) return;
    const float norm = sqrtf(static_cast<float>(square));
    args.factors[i] = args.limit / (norm < args.limit ? args.limit : norm);
  });
  if (!args.together) return;
  if (is_first_lane) of_warps[threadIdx.x / 32] = own;
  __syncthreads();
  double all = 0;
  for (unsigned warp = 0; warp < blockDim.x / 32; ++warp) all += of_warps[warp];
  const float norm = sqrtf(static_cast<float>(all));
  const float inverse = 1.0F / norm;
  const float most = 1.0F / args.limit;
  const float factor = args.limit * (inverse > most ? most : inverse);
  for (std::int64_t i = threadIdx.x; i < args.count; i += blockDim.x) args.factors[i] = factor;
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

template <class List, class Each>
List list_of(const Each& only) {
  List list;
  list.each[0] = only;
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

void run(const Stream& stream, const SquaredNorms& args) {
  static_assert(sizeof(ListedNorms) <= kBytesOfArguments);
  ListedNorms list{args, {}};
  for (std::int64_t i = 0; i < args.count; ++i)
    list.firsts[i + 1] = list.firsts[i] + norm_chunks(args.each[i].count);
  const std::int64_t chunks = list.firsts[args.count];
  if (chunks == 0) return;
  launch_kernel<squared_norm_kernel>({.grid = blocks_for(chunks, 1), .block = kNormThreads}, stream,
                                     list);
}

void run(const Stream& stream, const SquaredNorm& args) {
  run(stream, list_of<SquaredNorms>(args));
}

void run(const Stream& stream, const ClipFactors& args) {
  // A warp for each gradient, as far as a block has them.
  if (args.count > 0) launch_kernel<clip_factors_kernel>(sum_shape(32 * args.count), stream, args);
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
