#pragma once
#include <type_traits>

#include "kernels/simt/rows.hpp"

// Kernels that treat every element alone, and sums of a warp in a fixed order.
namespace braid::simt {

constexpr int kElementThreads = 256;

// The blocks that share the work of a kernel: all of a launch, or one that works for itself
// (kernels/row_program_cuda.cu). Their threads stand in an order: the first ones get what there is
// little of.
struct AllBlocks {
  static __device__ std::int64_t number() { return blockIdx.x; }
  static __device__ std::int64_t count() { return gridDim.x; }
  static __device__ unsigned thread() { return threadIdx.x; }
};
struct OneBlock {
  unsigned first = 0;  // the thread that comes first, of a warp's lanes the first one

  static __device__ std::int64_t number() { return 0; }
  static __device__ std::int64_t count() { return 1; }
  __device__ unsigned thread() const {
    return threadIdx.x >= first ? threadIdx.x - first : threadIdx.x + blockDim.x - first;
  }
};

// What counts the places of a block's own work: no more than 32 bits can count
// (engine/runtime/launches.cpp sees to that), with half the registers of 64 bits, and a third of
// the instructions.
template <class Blocks>
using IndexOf = std::conditional_t<std::is_same_v<Blocks, OneBlock>, std::uint32_t, std::int64_t>;

// a / b of what is not negative. A division of 64 bits takes a hundred instructions.
__device__ inline std::int64_t quotient(std::int64_t a, std::int64_t b) {
  if ((a | b) >> 32U == 0) return static_cast<std::uint32_t>(a) / static_cast<std::uint32_t>(b);
  return a / b;
}

__device__ inline std::uint32_t quotient(std::uint32_t a, std::uint32_t b) { return a / b; }

// The row of the i-th place of rows that have `per_row` each, fewer than half a million in all. A
// division takes twice as many instructions.
__device__ inline std::uint32_t row_of_place(std::uint32_t i, std::uint32_t per_row) {
  // Of what is taken away all roundings together are less than half: never too large, and too small
  // by less than one.
  const float share = approximate_reciprocal(static_cast<float>(per_row)) * (1 - 0x1p-20F);
  const auto row = static_cast<std::uint32_t>(static_cast<float>(i) * share);
  return row + (i - row * per_row >= per_row ? 1 : 0);
}
__device__ inline std::int64_t row_of_place(std::int64_t i, std::int64_t per_row) {
  return quotient(i, per_row);
}

// Calls body(i) for `first` and what is so many steps further on, up to `count`.
template <class Index, class Body>
__device__ inline void for_strided(Index first, Index count, Index step, const Body& body) {
  if constexpr (std::is_same_v<Index, std::uint32_t>) {
    // A block's own work is done in a turn or two: what matters is how much code has to be fetched.
    SIMT_NO_UNROLL
    for (Index i = first; i < count; i += step) body(i);
  } else {
    for (Index i = first; i < count; i += step) body(i);
  }
}

// Calls body(row, column) for every group of Width columns; a thread takes one, then the one all
// threads further on.
template <int Width, class Blocks, class Body>
__device__ inline void for_elements(const Blocks& blocks, std::int64_t rows, std::int64_t columns,
                                    const Body& body) {
  using Index = IndexOf<Blocks>;
  const Index per_row = static_cast<Index>(columns) / Width;
  const Index count = static_cast<Index>(rows) * per_row;
  const auto step = static_cast<Index>(blocks.count() * kElementThreads);
  const auto take = [&](Index i) {
    const Index row = rows == 1 ? 0 : row_of_place(i, per_row);
    body(row, (i - row * per_row) * Width);
  };
  for_strided(static_cast<Index>(blocks.number() * kElementThreads + blocks.thread()), count, step,
              take);
}

template <int Width, class Body>
__device__ inline void for_elements(std::int64_t rows, std::int64_t columns, const Body& body) {
  for_elements<Width>(AllBlocks{}, rows, columns, body);
}

// The same where what a group needs is asked for some groups ahead: load(row, column) returns it,
// use(row, column, loaded) follows.
template <int Width, int kAhead, class Load, class Use>
__device__ inline void for_elements_ahead(const OneBlock& block, std::int64_t rows,
                                          std::int64_t columns, const Load& load, const Use& use) {
  const std::uint32_t per_row = static_cast<std::uint32_t>(columns) / Width;
  const std::uint32_t count = static_cast<std::uint32_t>(rows) * per_row;
  const auto at = [&](std::uint32_t i, const auto& body) {
    const std::uint32_t row = row_of_place(i, per_row);
    return body(row, (i - row * per_row) * Width);
  };
  using Loaded = decltype(load(0U, 0U));
  SIMT_NO_UNROLL
  for (std::uint32_t first = block.thread(); first < count; first += kAhead * kElementThreads) {
    Loaded loaded[kAhead];
    // Behind the last group the first one is read again: no load waits for a branch.
    SIMT_UNROLL
    for (std::uint32_t i = 0; i < kAhead; ++i) {
      const std::uint32_t place = first + i * kElementThreads;
      loaded[i] = at(place < count ? place : first, load);
    }
    // The code of `use` stands here once: registers cannot be counted through, so all move up.
    SIMT_NO_UNROLL
    for (std::uint32_t i = 0; i < kAhead; ++i) {
      const std::uint32_t place = first + i * kElementThreads;
      if (place >= count) break;
      at(place, [&](std::uint32_t row, std::uint32_t column) { use(row, column, loaded[0]); });
      SIMT_UNROLL
      for (int next = 1; next < kAhead; ++next) loaded[next - 1] = loaded[next];
    }
  }
}

// Calls body(index) for each of `count` things; all lanes of a warp with the same one.
template <class Blocks, class Body>
__device__ inline void for_each_by_warp(const Blocks& blocks, std::int64_t count,
                                        const Body& body) {
  using Index = IndexOf<Blocks>;
  const Index warps = blockDim.x / 32;
  const auto end = static_cast<Index>(count);
  SIMT_NO_UNROLL
  for (auto i = static_cast<Index>(blocks.number() * warps + blocks.thread() / 32); i < end;
       i += static_cast<Index>(blocks.count() * warps)) {
    body(i);
  }
}

inline LaunchShape element_shape(std::int64_t count) {
  return {.grid = blocks_for(count, kElementThreads), .block = kElementThreads};
}

// Runs the first kernel, which takes elements in fours, or the second one.
template <auto fours_kernel, auto ones_kernel, class Arguments>
void launch_elements(const kernels::Stream& stream, const Arguments& args, std::int64_t count,
                     bool fours) {
  if (count == 0) return;
  if (fours) {
    launch_kernel<fours_kernel>(element_shape(count / 4), stream, args);
  } else {
    launch_kernel<ones_kernel>(element_shape(count), stream, args);
  }
}

// Matrices without gaps become one long row, which needs no division to find a place.
template <class... T>
void flatten(Matrix<T>&... matrices) {
  if (!(matrices.packed() && ...)) return;
  const auto as_row = [](auto& m) {
    if (m) m = {m.data, 1, m.rows * m.columns, m.rows * m.columns};
  };
  (as_row(matrices), ...);
}

// The sum, or the largest, of the lanes' values, known to all lanes.
__device__ inline float sum_of_warp(float value) {
  for (int offset = 16; offset > 0; offset /= 2) {
    value += __shfl_xor_sync(0xFFFFFFFFU, value, offset);
  }
  return value;
}
__device__ inline float largest_of_warp(float value) {
  for (int offset = 16; offset > 0; offset /= 2) {
    const float other = __shfl_xor_sync(0xFFFFFFFFU, value, offset);
    value = other > value ? other : value;
  }
  return value;
}

// The same of `lanes` neighbouring ones, a power of two; all of the warp take part.
__device__ inline float sum_of_lanes(float value, int lanes) {
  SIMT_NO_UNROLL
  for (int offset = lanes / 2; offset > 0; offset /= 2) {
    value += __shfl_xor_sync(0xFFFFFFFFU, value, offset);
  }
  return value;
}
__device__ inline float largest_of_lanes(float value, int lanes) {
  SIMT_NO_UNROLL
  for (int offset = lanes / 2; offset > 0; offset /= 2) {
    const float other = __shfl_xor_sync(0xFFFFFFFFU, value, offset);
    value = other > value ? other : value;
  }
  return value;
}

// A sum of floats and what its roundings lost (Knuth's sum of two numbers): as exact as a sum in
// double, without one.
struct LongSum {
  float sum;
  float rest;

  __device__ void add(float value) {
    const float total = sum + value;
    const float part = total - sum;
    rest += (sum - (total - part)) + (value - part);
    sum = total;
  }
  // Of x * x, with what the product's rounding lost.
  __device__ void add_product(float x, float y) {
    const float product = __fmul_rn(x, y);  // never fused with the sum
    add(product);
    rest += fmaf(x, y, -product);
  }
  __device__ void add(const LongSum& other) {
    add(other.sum);
    rest += other.rest;
  }
  __device__ float total() const { return sum + rest; }
};

// The sum of the lanes' sums, for the first lane: a tree of fixed shape.
__device__ inline LongSum sum_of_warp(LongSum own) {
  for (int offset = 16; offset > 0; offset /= 2) {
    own.add(LongSum{__shfl_down_sync(0xFFFFFFFFU, own.sum, offset),
                    __shfl_down_sync(0xFFFFFFFFU, own.rest, offset)});
  }
  return own;
}

// One block sums everything: its threads take one element, then the one a block further on.
constexpr int kSumThreads = 1024;
inline LaunchShape sum_shape(std::int64_t count) {
  const std::int64_t warps = (count + 31) / 32;
  return {.grid = 1, .block = 32 * (warps < 1 ? 1 : (warps < 32 ? warps : 32))};
}

// The sum of the block's threads' sums, for thread 0.
// Of each unit's own, like all functions that declare shared memory: sanitizers keep where a
// declaration stands, and the linker drops that with the copies of a common function.
static __device__ inline LongSum sum_of_block(const LongSum& own) {
  SIMT_SHARED(LongSum, warps, [kSumThreads / 32]);
  LongSum sum = sum_of_warp(own);
  __syncthreads();  // whoever still reads the sums of a call before this one
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x == 0) {
    for (unsigned warp = 1; warp < blockDim.x / 32; ++warp) sum.add(warps[warp]);
  }
  return sum;
}

// The sum of what blocks left, for the first lane of a warp that is alone.
__device__ inline LongSum sum_of_parts(const LongSum* parts, std::int64_t count) {
  LongSum sum{};
  for (std::int64_t i = threadIdx.x; i < count; i += 32) sum.add(parts[i]);
  return sum_of_warp(sum);
}

}  // namespace braid::simt
