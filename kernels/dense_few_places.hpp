#pragma once
#include "kernels/dense_kernel.hpp"

// Products whose depth has few places, by one block: gradients of weights by few rows, layers of
// few inputs, gradients of layers of few outputs. A thread holds b of its columns, and goes down
// the rows, four of them at once: all it needs of a it asks for before it computes. Each sum is one
// chain in the order of the depth, with the bits of tiles.
namespace braid::kernels {
namespace {

constexpr int kFewPlaces = 8;

// How far apart the elements of the operands are: a(row, place), b(place, column).
struct ElementSteps {
  int a_row;
  int a_place;
  int b_place;
  int b_column;
};

// The next four places, as far as they are there, of rows that lie row_step apart. Of what is not
// there the last one is read again: no load waits for a branch.
template <int kRows, int kWidth>
__device__ inline void add_four_places(const float* a, int row_step, int place_step, int rows,
                                       int places, const float (&right)[4][kWidth],
                                       float (&sums)[kRows][kWidth]) {
  float left[kRows][4];
  SIMT_UNROLL
  for (int r = 0; r < kRows; ++r) {
    const float* const row = a + (r < rows ? r : rows - 1) * row_step;
    SIMT_UNROLL
    for (int k = 0; k < 4; ++k) left[r][k] = row[(k < places ? k : places - 1) * place_step];
  }
  SIMT_UNROLL
  for (int k = 0; k < 4; ++k) {
    if (k >= places) break;
    SIMT_UNROLL
    for (int r = 0; r < kRows; ++r) {
      SIMT_UNROLL
      for (int i = 0; i < kWidth; ++i) sums[r][i] = fmaf(left[r][k], right[k][i], sums[r][i]);
    }
  }
}

template <int kWidth>
__device__ inline void load_four_places(const float* b, const ElementSteps& steps, bool in_fours,
                                        int places, float (&right)[4][kWidth]) {
  SIMT_UNROLL
  for (int k = 0; k < 4; ++k) {
    const float* const from = b + (k < places ? k : places - 1) * steps.b_place;
    if (in_fours && kWidth == 4) {
      load_floats(from, right[k]);
    } else {
      SIMT_UNROLL
      for (int i = 0; i < kWidth; ++i) right[k][i] = from[i * steps.b_column];
    }
  }
}

// The sums of b's columns.
template <int kWidth>
__device__ inline void sum_columns_of(const float (&right)[2][4][kWidth], int depth,
                                      bool accumulate, float* sums) {
  SIMT_UNROLL
  for (int i = 0; i < kWidth; ++i) {
    float sum = accumulate ? sums[i] : 0.0F;
    SIMT_UNROLL
    for (int k = 0; k < kFewPlaces; ++k) {
      if (k < depth) sum += right[k / 4][k % 4][i];
    }
    sums[i] = sum;
  }
}

template <int kWidth>
__device__ inline void multiply_few_places(const DenseProduct& args, const ElementSteps& steps) {
  constexpr int kRows = 4;
  const auto depth = static_cast<int>(args.depth);
  const auto all_rows = static_cast<int>(args.rows);
  const auto out_stride = static_cast<int>(args.out_stride);
  const unsigned across = static_cast<unsigned>(args.columns) / kWidth;
  const unsigned lanes_across = across < kDenseThreads ? across : kDenseThreads;
  const ThreadLines threads(lanes_across);
  const auto lanes_down = static_cast<int>(threads.lines);
  const auto first_row = static_cast<int>(threads.line);
  if (first_row >= lanes_down) return;
  const bool b_in_fours = args.operands_in_fours && steps.b_column == 1;
  SIMT_NO_UNROLL
  for (unsigned group = threads.place; group < across; group += lanes_across) {
    const auto column = static_cast<int>(group * kWidth);
    const float* const b = args.b + column * steps.b_column;
    float right[2][4][kWidth] = {};
    if (depth > 0) load_four_places(b, steps, b_in_fours, depth, right[0]);
    if (depth > 4) load_four_places(b + 4 * steps.b_place, steps, b_in_fours, depth - 4, right[1]);
    if (first_row == 0 && args.column_sums != nullptr)
      sum_columns_of(right, depth, args.accumulate, args.column_sums + column);
    float start[kWidth] = {};
    if (args.bias != nullptr) {
      SIMT_UNROLL
      for (int i = 0; i < kWidth; ++i) start[i] = args.bias[column + i];
    }
    SIMT_NO_UNROLL
    for (int row = first_row; row < all_rows; row += kRows * lanes_down) {
      int rows = 1;  // of the next ones, those that are there
      SIMT_UNROLL
      for (int r = 1; r < kRows; ++r) rows += row + r * lanes_down < all_rows ? 1 : 0;
      float* const out = args.out + (row * out_stride + column);
      const int out_step = lanes_down * out_stride;
      float sums[kRows][kWidth];
      SIMT_UNROLL
      for (int r = 0; r < kRows; ++r) {
        SIMT_UNROLL
        for (int i = 0; i < kWidth; ++i) sums[r][i] = start[i];
        if (args.accumulate && r < rows)
          load_group(out + r * out_step, kWidth, args.out_in_fours, sums[r]);
      }
      const float* const a = args.a + row * steps.a_row;
      if (depth > 0)
        add_four_places(a, lanes_down * steps.a_row, steps.a_place, rows, depth, right[0], sums);
      if (depth > 4) {
        add_four_places(a + 4 * steps.a_place, lanes_down * steps.a_row, steps.a_place, rows,
                        depth - 4, right[1], sums);
      }
      const Activation f = args.activation;
      const bool relu = is_plain_relu(f);
      SIMT_UNROLL
      for (int r = 0; r < kRows; ++r) {
        SIMT_UNROLL
        for (float& sum : sums[r]) sum = relu ? plain_relu_of(sum) : sum;
        if (r < rows) store_group(out + r * out_step, kWidth, args.out_in_fours, sums[r]);
      }
      if (f.kind == ActivationKind::linear || relu) continue;
      // Read again, so that the functions' code stands here once.
      SIMT_NO_UNROLL
      for (int i = 0; i < rows * kWidth; ++i)
        store_activated(out[i / kWidth * out_step + i % kWidth], f,
                        out + i / kWidth * out_step + i % kWidth);
    }
  }
}

__device__ inline void multiply_few_places(const DenseProduct& args, const ElementSteps& steps) {
  if (args.columns % 4 == 0) {
    multiply_few_places<4>(args, steps);
  } else {
    multiply_few_places<1>(args, steps);
  }
}

// Few columns over a depth of any length: a thread makes one sum, then the one all threads further
// on. Many places are asked for before the first is added.
template <int kAtOnce>
__device__ inline void multiply_few_columns(const DenseProduct& args, const ElementSteps& steps) {
  const auto columns = static_cast<int>(args.columns);
  const auto weights_rows = static_cast<int>(args.rows);
  const auto depth = static_cast<int>(args.depth);
  // The sums of b's columns are one row more.
  const int rows = weights_rows + (args.column_sums != nullptr ? 1 : 0);
  SIMT_NO_UNROLL
  for (int i = static_cast<int>(threadIdx.x); i < rows * columns; i += kDenseThreads) {
    const int row = i / columns;
    const int column = i - row * columns;
    const bool sums_b = row == weights_rows;
    float& out = sums_b ? args.column_sums[column]
                        : args.out[row * static_cast<int>(args.out_stride) + column];
    const float* b = args.b + column * steps.b_column;
    // Sums of b's columns need nothing of a, which may have nothing.
    const float* a = sums_b ? b : args.a + row * steps.a_row;
    const int a_place = sums_b ? steps.b_place : steps.a_place;
    float sum = args.accumulate ? out : 0.0F;
    SIMT_NO_UNROLL
    for (int k = 0; k < depth; k += kAtOnce) {
      const int places = min(depth - k, kAtOnce);
      float left[kAtOnce];
      float right[kAtOnce];
      SIMT_UNROLL
      for (int n = 0; n < kAtOnce; ++n) {
        const int place = n < places ? n : places - 1;
        left[n] = a[place * a_place];
        right[n] = b[place * steps.b_place];
      }
      SIMT_UNROLL
      for (int n = 0; n < kAtOnce; ++n) {
        const float more = fmaf(sums_b ? 1.0F : left[n], right[n], sum);
        sum = n < places ? more : sum;
      }
      a += kAtOnce * a_place;
      b += kAtOnce * steps.b_place;
    }
    out = sum;
  }
}

__device__ inline void multiply_few_columns(const DenseProduct& args, const ElementSteps& steps) {
  if (args.depth <= kFewPlaces) {
    multiply_few_columns<kFewPlaces>(args, steps);
  } else {
    multiply_few_columns<4 * kFewPlaces>(args, steps);
  }
}

}  // namespace
}  // namespace braid::kernels
