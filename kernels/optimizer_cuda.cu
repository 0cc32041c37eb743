// A thread owns one parameter of one tensor of a list, or four neighbouring ones where there are so
// many that memory must be kept busy: its gradient's slices are summed from first to last, and
// everything that belongs to it is read, all at once, and written. Compiled without fused
// multiply-add, so that it rounds as the CPU does.
// Norms of gradients take at least their bytes over the memory's rate, behind the start of two
// launches. A block sums the squares of one chunk of any gradient of a list: biases run beside an
// embedding table, which 20,000 x 64 parameters spread over 625 blocks. Then one block adds up what
// the chunks have left, so that runs repeat bit for bit, as they would not with atomic sums.
#include "kernels/optimizer.hpp"
#include "kernels/optimizer_rows.hpp"
#include "kernels/simt/facade.hpp"

namespace braid::kernels {
namespace {

template <int kWidth>
__device__ inline void load_gradient(const GradientSource& source, std::int64_t i,
                                     float (&g)[kWidth]) {
  add_up_slices(source.data + i, source.slices, source.slice_stride, g);
  const float factor = source.factor != nullptr ? *source.factor : 1.0F;
  const float limit = source.clip_value;
  SIMT_UNROLL
  for (float& each : g) {
    each *= factor;
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
  const float decay = args.weight_decay * rate;
  SIMT_UNROLL
  for (int e = 0; e < kWidth; ++e) {
    w[e] -= w[e] * decay;
    if (args.velocity == nullptr) {
      w[e] -= rate * g[e];
      continue;
    }
    m[e] = args.momentum * m[e] - rate * g[e];
    w[e] += args.nesterov ? args.momentum * m[e] - rate * g[e] : m[e];
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
  const float decay = args.weight_decay * rate;
  SIMT_UNROLL
  for (int e = 0; e < kWidth; ++e) {
    w[e] -= w[e] * decay;
    v[e] = args.rho * v[e] + args.one_minus_rho * (g[e] * g[e]);
    float under_root = v[e] + args.epsilon;
    if (args.average != nullptr) {
      a[e] = args.rho * a[e] + args.one_minus_rho * g[e];
      under_root = v[e] - a[e] * a[e] + args.epsilon;
    }
    const float step = rate * g[e] / sqrtf(under_root);
    m[e] = args.momentum_slot != nullptr ? args.momentum * m[e] + step : step;
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
  const float decay = args.weight_decay * args.rates->rate;
  SIMT_UNROLL
  for (int e = 0; e < kWidth; ++e) {
    w[e] -= w[e] * decay;
    m[e] += (g[e] - m[e]) * args.one_minus_beta_1;
    v[e] += (g[e] * g[e] - v[e]) * args.one_minus_beta_2;
    if (args.velocity_max != nullptr) most[e] = most[e] > v[e] ? most[e] : v[e];
    const float under_root = args.velocity_max != nullptr ? most[e] : v[e];
    w[e] -= m[e] * alpha / (sqrtf(under_root) + args.epsilon);
  }
  store_floats(args.momentum + i, m);
  store_floats(args.velocity + i, v);
  store_if(args.velocity_max, i, most);
  store_floats(args.parameter + i, w);
}

// The chunks of all tensors of a list, one behind the other.
template <class List>
struct Listed {
  List list;
  // Of each tensor the first chunk, then the number of all.
  std::int64_t firsts[List::kMost + 1];
};

// The tensor that a chunk is of: the last one whose chunks begin no later.
template <class List>
__device__ inline int tensor_of(const Listed<List>& listed, std::int64_t chunk) {
  int found = 0;
  int behind = static_cast<int>(listed.list.count);
  while (behind - found > 1) {
    const int middle = (found + behind) / 2;
    if (listed.firsts[middle] <= chunk) {
      found = middle;
    } else {
      behind = middle;
    }
  }
  return found;
}

template <class List, class ChunksOf>
Listed<List> listed(const List& list, const ChunksOf& chunks_of) {
  static_assert(sizeof(Listed<List>) <= 4096);  // of what all arguments of a launch may take
  Listed<List> all{list, {}};
  for (std::int64_t i = 0; i < list.count; ++i)
    all.firsts[i + 1] = all.firsts[i] + chunks_of(list.each[i]);
  return all;
}

// A block takes a chunk of kWidth parameters for each thread, then the one a grid further on.
template <class List, int kWidth>
__global__ void update_kernel(Listed<List> listed) {
  const std::int64_t chunks = listed.firsts[listed.list.count];
  SIMT_NO_UNROLL
  for (std::int64_t chunk = blockIdx.x; chunk < chunks; chunk += gridDim.x) {
    const int tensor = tensor_of(listed, chunk);
    const auto& args = listed.list.each[tensor];
    const std::int64_t group = (chunk - listed.firsts[tensor]) * kElementThreads + threadIdx.x;
    const std::int64_t begin = group * kWidth;
    if (begin + kWidth <= args.count) {
      update<kWidth>(args, begin);
    } else if constexpr (kWidth > 1) {
      SIMT_NO_UNROLL
      for (std::int64_t i = begin; i < args.count; ++i) update<1>(args, i);
    }
  }
}

__global__ void sum_slices_kernel(SumSlices args) { run_rows(AllBlocks{}, args); }

constexpr int kNormThreads = 256;
// Loads that a thread has under way: all of its share of a short chunk.
constexpr int kAhead = 8;
static_assert(kNormThreads * kAhead == kShortestNormChunk);

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

__global__ void squared_norm_kernel(Listed<SquaredNorms> listed) {
  const std::int64_t chunks = listed.firsts[listed.list.count];
  SIMT_NO_UNROLL
  for (std::int64_t chunk = blockIdx.x; chunk < chunks; chunk += gridDim.x) {
    const int gradient = tensor_of(listed, chunk);
    const SquaredNorm norm = listed.list.each[gradient];
    const std::int64_t partial = chunk - listed.firsts[gradient];
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
  for_each_by_warp(OneBlock{}, args.count, [&](std::int64_t i) {
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

// From so many parameters on, threads of four of them keep the whole GPU reading.
constexpr std::int64_t kManyParameters = std::int64_t{1} << 20U;

// Whether four neighbours can be read and written at once.
template <class... T>
bool are_aligned(const GradientSource& gradient, const T*... operands) {
  const auto is_aligned = [](const float* data) {
    return reinterpret_cast<std::uintptr_t>(data) % 16 == 0;
  };
  return is_aligned(gradient.data) && (gradient.slices == 1 || gradient.slice_stride % 4 == 0) &&
         (is_aligned(operands) && ...);
}
bool in_fours(const SgdUpdate& args) {
  return are_aligned(args.gradient, args.parameter, args.velocity);
}
bool in_fours(const RmspropUpdate& args) {
  return are_aligned(args.gradient, args.parameter, args.velocity, args.momentum_slot,
                     args.average);
}
bool in_fours(const AdamUpdate& args) {
  return are_aligned(args.gradient, args.parameter, args.momentum, args.velocity,
                     args.velocity_max);
}

template <int kWidth, class List>
void launch_updates(const Stream& stream, const List& list) {
  const auto all = listed(list, [](const auto& each) {
    return (each.count + kWidth * kElementThreads - 1) / (kWidth * kElementThreads);
  });
  const std::int64_t chunks = all.firsts[list.count];
  if (chunks == 0) return;
  launch_kernel<update_kernel<List, kWidth>>(
      {.grid = blocks_for(chunks, 1), .block = kElementThreads}, stream, all);
}

template <class List>
void launch_updates(const Stream& stream, const List& list) {
  std::int64_t parameters = 0;
  bool fours = true;
  for (std::int64_t i = 0; i < list.count; ++i) {
    parameters += list.each[i].count;
    fours = fours && in_fours(list.each[i]);
  }
  if (fours && parameters >= kManyParameters) {
    launch_updates<4>(stream, list);
  } else {
    launch_updates<1>(stream, list);
  }
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
  const auto all = listed(args, [](const SquaredNorm& each) { return norm_chunks(each.count); });
  const std::int64_t chunks = all.firsts[args.count];
  if (chunks == 0) return;
  launch_kernel<squared_norm_kernel>({.grid = blocks_for(chunks, 1), .block = kNormThreads}, stream,
                                     all);
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
