#pragma once
#include <algorithm>

#include "kernels/register_blocks.hpp"
#include "kernels/register_transpose.hpp"

// Copies of right-hand sides, or of pieces of them, in panels: each as wide as a register block and
// read from front to back. Rows of a matrix that are far apart fall on few places of the caches.
namespace braid::kernels {
namespace {

constexpr std::int64_t kPanelWidth = (kLanes == 16 ? 4 : 2) * kLanes;
// More than this of a panel would not stay in the first-level cache between two blocks of rows.
constexpr std::int64_t kPanelDepth = kLanes == 16 ? 128 : 256;

// With fewer rows a panel is too narrow to keep the multipliers busy: the matrix itself is faster.
constexpr std::int64_t kPanelRows = kLanes == 16 ? 1 : 4;

inline void prefetch(const float* from, std::int64_t floats) {
  constexpr std::int64_t kLine = 16;
  for (std::int64_t i = 0; i < floats; i += kLine) prefetch(from + i);
}

// Rows first .. first + depth - 1 of up to kPanelWidth columns.
inline void copy_to_panel(Matrix<const float> b, std::int64_t first, std::int64_t depth,
                          std::int64_t column, float* panel) {
  const std::int64_t width = std::min(kPanelWidth, b.columns - column);
  const std::int64_t next = std::min(kPanelWidth, b.columns - column - width);
  for (std::int64_t k = 0; k < depth; ++k, panel += kPanelWidth) {
    const float* from = b.row(first + k) + column;
    if (width == kPanelWidth) {
      std::memcpy(panel, from, sizeof(float) * kPanelWidth);
    } else {
      std::memcpy(panel, from, sizeof(float) * static_cast<std::size_t>(width));
    }
    prefetch(from + width, next);
  }
}

// The same of the transpose of b.
inline void transpose_to_panel(Matrix<const float> b, std::int64_t first, std::int64_t depth,
                               std::int64_t column, float* panel) {
  const std::int64_t width = std::min(kPanelWidth, b.rows - column);
  const std::int64_t next = std::min(kPanelWidth, b.rows - column - width);
  for (std::int64_t j = 0; j < next; ++j) prefetch(b.row(column + width + j) + first, depth);
  std::int64_t done = 0;
  const auto transpose = [&]<int kRows>() {
    for (; done + kRows <= width; done += kRows) {
      const float* rows[kRows];
      for (int i = 0; i < kRows; ++i) rows[i] = b.row(column + done + i) + first;
      transpose_rows<kRows>(rows, depth, panel + done, kPanelWidth);
    }
  };
  if constexpr (kLanes > 4) transpose.template operator()<kLanes>();
  transpose.template operator()<4>();
  transpose.template operator()<1>();
}

// A whole matrix that is used many times: copied once.
struct Panels {
  const float* data;
  std::int64_t depth;
  std::int64_t columns;
};

inline Panels make_panels(Matrix<const float> b, float* out) {
  float* to = out;
  for (std::int64_t column = 0; column < b.columns; column += kPanelWidth) {
    copy_to_panel(b, 0, b.rows, column, to);
    to += b.rows * kPanelWidth;
  }
  return {out, b.rows, b.columns};
}

// Panels of the transpose.
inline Panels make_transposed_panels(Matrix<const float> b, float* out) {
  float* to = out;
  for (std::int64_t column = 0; column < b.rows; column += kPanelWidth) {
    transpose_to_panel(b, 0, b.columns, column, to);
    to += b.columns * kPanelWidth;
  }
  return {out, b.columns, b.rows};
}

// p.b and its stride are set here: panel(first, column) gives the panel of those columns from row
// `first` of B on.
template <std::int64_t kDepth = kPanelDepth, class PanelAt>
inline void multiply_panels(const ProductOperands& p, std::int64_t rows, std::int64_t columns,
                            const PanelAt& panel) {
  ProductOperands part = p;
  part.b_stride = kPanelWidth;
  for (std::int64_t first = 0; first == 0 || first < p.depth; first += kDepth) {
    part.depth = std::min(kDepth, p.depth - first);
    part.a = p.a + first * p.depth_step;
    part.accumulate = p.accumulate || first > 0;
    for (std::int64_t column = 0; column < columns; column += kPanelWidth) {
      part.b = panel(first, part.depth, column);
      part.bias = p.bias != nullptr ? p.bias + column : nullptr;
      part.c = p.c + column;
      multiply(part, rows, std::min(kPanelWidth, columns - column));
    }
  }
}

// C (+)= A . B (+ bias). Each element is one chain of multiply-adds in the order of k.
inline void product(Matrix<const float> a, const Panels& b, const float* bias, Matrix<float> c,
                    bool accumulate) {
  multiply_panels(operands_of_rows(a, bias, c, accumulate), a.rows, b.columns,
                  [&](std::int64_t first, std::int64_t /*depth*/, std::int64_t column) {
                    return b.data + column * b.depth + first * kPanelWidth;
                  });
}

}  // namespace
}  // namespace braid::kernels
