#pragma once
#include "kernels/dense_kernel.hpp"

// Products of few rows, by one block: a thread has one or some rows of a column. What takes time is
// waiting for memory. Over a short depth a thread asks for many numbers at once, and nothing passes
// through shared memory; over a long one copies to shared memory run some stages ahead, and few
// threads compute. Each sum is one chain in the order of the depth, with the bits of tiles.
namespace braid::kernels {
namespace {

constexpr int kFewRows = 8;

// The first `inside` of a line's next elements. Behind them the last one is read again: no load
// waits for a branch.
template <int kCount>
__device__ inline void load_line(const float* from, std::int64_t step, bool in_fours, int inside,
                                 float (&values)[kCount]) {
  if (in_fours && inside >= kCount) {
    SIMT_UNROLL
    for (int i = 0; i < kCount; i += 4) {
      const auto four = ld_vec<float4>(from + i);
      values[i] = four.x;
      values[i + 1] = four.y;
      values[i + 2] = four.z;
      values[i + 3] = four.w;
    }
    return;
  }
  SIMT_UNROLL
  for (int i = 0; i < kCount; ++i) {
    values[i] = *from;
    from += i + 1 < inside ? step : 0;
  }
}

template <int kRows>
struct RowsOfColumn {
  const float* a[kRows];
  float sums[kRows];
};

// Adds the products of kCount places of the depth, of which `inside` are there.
template <int kCount, int kRows>
__device__ inline void add_places(const DenseProduct& args, const float* b, std::int64_t b_step,
                                  std::int64_t k, int inside, RowsOfColumn<kRows>& own) {
  float right[kCount];
  float left[kRows][kCount];
  load_line(b + k * b_step, b_step, args.operands_in_fours && b_step == 1, inside, right);
  SIMT_UNROLL
  for (int row = 0; row < kRows; ++row)
    load_line(own.a[row] + k, 1, args.operands_in_fours, inside, left[row]);
  SIMT_UNROLL
  for (int i = 0; i < kCount; ++i) {
    SIMT_UNROLL
    for (int row = 0; row < kRows; ++row) {
      const float sum = fmaf(left[row][i], right[i], own.sums[row]);
      own.sums[row] = i < inside ? sum : own.sums[row];
    }
  }
}

template <int kRows>
__device__ inline void multiply_few_rows(const DenseProduct& args, bool b_along_depth) {
  constexpr int kMany = 32 / kRows;  // as many as there are registers for
  constexpr int kSome = 8;
  const auto columns = static_cast<unsigned>(args.columns);
  const auto groups = static_cast<unsigned>(args.rows + kRows - 1) / kRows;
  SIMT_NO_UNROLL
  for (unsigned i = threadIdx.x; i < groups * columns; i += kDenseThreads) {
    const std::int64_t column = i % columns;
    const std::int64_t first = i / columns * kRows;
    // The last row stands for those that are not there.
    const auto row_at = [&](int row) {
      return first + row < args.rows ? first + row : args.rows - 1;
    };
    const std::int64_t b_step = b_along_depth ? 1 : args.b_stride;
    const float* const b = args.b + column * (b_along_depth ? args.b_stride : 1);
    RowsOfColumn<kRows> own;
    SIMT_UNROLL
    for (int row = 0; row < kRows; ++row) {
      own.a[row] = args.a + row_at(row) * args.a_stride;
      own.sums[row] = args.accumulate ? args.out[row_at(row) * args.out_stride + column]
                                      : (args.bias != nullptr ? args.bias[column] : 0.0F);
    }
    std::int64_t k = 0;
    SIMT_NO_UNROLL
    for (; k + kMany <= args.depth; k += kMany) add_places<kMany>(args, b, b_step, k, kMany, own);
    SIMT_NO_UNROLL
    for (; k < args.depth; k += kSome)
      add_places<kSome>(args, b, b_step, k, within<kSome>(args.depth - k), own);
    const Activation f = args.activation;
    SIMT_UNROLL
    for (int row = 0; row < kRows; ++row) {
      if (first + row < args.rows)
        store_activated(own.sums[row], f, args.out + (first + row) * args.out_stride + column);
    }
  }
}

__device__ inline void multiply_few_rows(const DenseProduct& args, bool b_along_depth) {
  if (args.rows * args.columns <= kDenseThreads) {
    multiply_few_rows<1>(args, b_along_depth);
  } else {
    multiply_few_rows<2>(args, b_along_depth);
  }
}

// A tile for long depths: a thread holds four rows of a column.
template <Neighbours of_b, int kTileRows>
struct LongDepthTile {
  static constexpr int kRows = kTileRows;
  static constexpr int kColumns = 64;
  static constexpr int kDepth = 32;
  static constexpr int kStep = kDepth;  // zeros fill the last stage: its length is no branch
  static constexpr bool kAlongB = of_b == Neighbours::along_depth;
  static constexpr int kStages = kAlongB ? 4 : 5;
  using A = DenseTile<Neighbours::along_depth, kRows, kDepth, 4>;
  using B = DenseTile<of_b, kColumns, kDepth, kAlongB ? 4 : 0>;

  static constexpr int kRowsOfThread = 4;
  static constexpr int kWidth = 1;
  static constexpr int kGroups = kRowsOfThread;
  float sums[kGroups][kWidth];
  int first_row;
  int column;

  __device__ LongDepthTile()
      : first_row(static_cast<int>(threadIdx.x) / kColumns * kRowsOfThread),
        column(static_cast<int>(threadIdx.x) % kColumns) {}
  __device__ int row_of_group(int group) const { return first_row + group; }
  __device__ int column_of_group(int) const { return column; }

  __device__ void multiply(const float* a, const float* b, int) {
    if (first_row >= kRows) return;
    SIMT_UNROLL
    for (int k = 0; k < kDepth; k += 4) {
      float right[4];
      if constexpr (kAlongB) {
        load_floats(b + B::place(column, k), right);
      } else {
        SIMT_UNROLL
        for (int i = 0; i < 4; ++i) right[i] = b[B::place(column, k + i)];
      }
      SIMT_UNROLL
      for (int row = 0; row < kRowsOfThread; ++row) {
        float left[4];
        load_floats(a + A::place(first_row + row, k), left);
        SIMT_UNROLL
        for (int i = 0; i < 4; ++i) sums[row][0] = fmaf(left[i], right[i], sums[row][0]);
      }
    }
  }
};
constexpr int kLongDepth = 64;

}  // namespace
}  // namespace braid::kernels
