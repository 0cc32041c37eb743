#pragma once
#include "kernels/dense_kernel.hpp"
#include "kernels/simt/elements.hpp"

// Products of few rows, by one block: a thread has one or two rows of a column. There is too little
// to do for tiles to pay: what takes time is waiting for memory, so a thread asks for many numbers
// at once, and nothing passes through shared memory. Each sum is one chain in the order of the
// depth, with the bits of tiles.
namespace braid::kernels {
namespace {

constexpr int kFewRows = 8;

// The first `inside` of a line's next elements. Behind them the last one is read again: no load
// waits for a branch.
template <int kCount>
__device__ inline void load_line(const float* from, int step, bool in_fours, int inside,
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
__device__ inline void add_places(const DenseProduct& args, const float* b, int b_step, int k,
                                  int inside, RowsOfColumn<kRows>& own) {
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
  const auto rows = static_cast<int>(args.rows);
  const auto columns = static_cast<unsigned>(args.columns);
  const auto depth = static_cast<int>(args.depth);
  const auto out_stride = static_cast<int>(args.out_stride);
  const auto b_stride = static_cast<int>(args.b_stride);
  const int b_step = b_along_depth ? 1 : b_stride;
  const unsigned groups = static_cast<unsigned>(rows + kRows - 1) / kRows;
  SIMT_NO_UNROLL
  for (unsigned i = threadIdx.x; i < groups * columns; i += kDenseThreads) {
    const unsigned group = row_of_place(i, columns);
    const auto column = static_cast<int>(i - group * columns);
    const auto first = static_cast<int>(group * kRows);
    // The last row stands for those that are not there.
    const auto row_at = [&](int row) { return min(first + row, rows - 1); };
    const float* const b = args.b + column * (b_along_depth ? b_stride : 1);
    RowsOfColumn<kRows> own;
    SIMT_UNROLL
    for (int row = 0; row < kRows; ++row) {
      own.a[row] = args.a + row_at(row) * static_cast<int>(args.a_stride);
      own.sums[row] = args.accumulate ? args.out[row_at(row) * out_stride + column]
                                      : (args.bias != nullptr ? args.bias[column] : 0.0F);
    }
    int k = 0;
    SIMT_NO_UNROLL
    for (; k + kMany <= depth; k += kMany) add_places<kMany>(args, b, b_step, k, kMany, own);
    SIMT_NO_UNROLL
    for (; k < depth; k += kSome) add_places<kSome>(args, b, b_step, k, min(depth - k, kSome), own);
    const Activation f = args.activation;
    SIMT_UNROLL
    for (int row = 0; row < kRows; ++row) {
      if (first + row < rows)
        store_activated(own.sums[row], f, args.out + ((first + row) * out_stride + column));
    }
  }
}

__device__ inline void multiply_few_rows(const DenseProduct& args, bool b_along_depth) {
  if (static_cast<int>(args.rows) * static_cast<int>(args.columns) <= kDenseThreads) {
    multiply_few_rows<1>(args, b_along_depth);
  } else {
    multiply_few_rows<2>(args, b_along_depth);
  }
}

}  // namespace
}  // namespace braid::kernels
