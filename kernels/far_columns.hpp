#pragma once
#include <algorithm>

#include "kernels/panels.hpp"

// The product of A^T and B, where they or C come from memory. What is read of A and written to C
// lies in short pieces, far apart; a core that only then asks for each would wait most of the time.
namespace braid::kernels {
namespace {

constexpr std::int64_t kFarDepth = 128;
constexpr std::int64_t kFarWidth = 128;
constexpr std::int64_t kMostFarColumns = 96;

// Whether pieces of A's many rows, 4096 bytes or a multiple of them apart, drive each other out of
// the first-level cache before the last of several panels is multiplied with them. A block of wide
// panels is multiplied for longer than it takes to get them again.
inline bool is_in_one_place(Matrix<const float> a, Matrix<const float> b) {
  constexpr std::int64_t kPlaces = 1024;
  constexpr std::int64_t kManyRows = 64;
  return kLanes != 16 && a.stride % kPlaces == 0 && a.rows >= kManyRows && b.columns > kPanelWidth;
}

// Up to kFarDepth rows of A, p.depth, and kFarWidth columns of C: panels of B lie one after another
// from p.b on. A piece of few columns of A is multiplied with all of them while the next piece, and
// the rows of C that it adds to, come nearer.
inline void multiply_pieces(ProductOperands p, Matrix<const float> a, Matrix<float> c,
                            bool copies) {
  alignas(64) float copy[kFarDepth * kMostFarColumns];
  const std::int64_t size = copies ? kMostFarColumns : 24;
  const float* const panels = p.b;
  for (std::int64_t column = 0; column < a.columns; column += size) {
    const std::int64_t count = std::min(size, a.columns - column);
    p.a = a.data + column;
    p.depth_step = a.stride;
    if (copies) {
      for (std::int64_t k = 0; k < a.rows; ++k) {
        std::memcpy(copy + k * size, a.row(k) + column,
                    sizeof(float) * static_cast<std::size_t>(count));
      }
      p.a = copy;
      p.depth_step = size;
    }
    const std::int64_t next = column + count;
    for (std::int64_t r = next; r < std::min(next + size, a.columns); ++r)
      prefetch(c.row(r), c.columns);
    for (std::int64_t left = 0; left < c.columns; left += kPanelWidth) {
      p.b = panels + left * p.depth;
      p.c = c.row(column) + left;
      p.ahead = left == 0 && !copies ? size : 0;
      multiply(p, count, std::min(kPanelWidth, c.columns - left));
    }
  }
}

// C (+)= A^T . B.
inline void multiply_far_columns(Matrix<const float> a, Matrix<const float> b, Matrix<float> c,
                                 bool accumulate) {
  alignas(64) float panels[kFarDepth * kFarWidth];
  for (std::int64_t first = 0; first == 0 || first < a.rows; first += kFarDepth) {
    const std::int64_t depth = std::min(kFarDepth, a.rows - first);
    for (std::int64_t left = 0; left < b.columns; left += kFarWidth) {
      const std::int64_t width = std::min(kFarWidth, b.columns - left);
      const Matrix<const float> part = columns_of(rows_of(b, first, depth), left, width);
      const bool is_panel = b.stride <= kPanelWidth;
      multiply_pieces({.row_step = 1,
                       .b = is_panel ? part.data : make_panels(part, panels).data,
                       .b_stride = is_panel ? b.stride : kPanelWidth,
                       .c_stride = c.stride,
                       .depth = depth,
                       .accumulate = accumulate || first > 0},
                      rows_of(a, first, depth), columns_of(c, left, width), is_in_one_place(a, b));
    }
  }
}

}  // namespace
}  // namespace braid::kernels
