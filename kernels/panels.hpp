#pragma once
#include "kernels/product.hpp"

// Right-hand sides of products that are used many times: copied once into panels, each as wide as a
// register block and read from front to back.
namespace braid::kernels {
namespace {

constexpr std::int64_t kPanelWidth = (kLanes == 16 ? 4 : 2) * kLanes;
// More than this of a panel would not stay in the first-level cache between two blocks of rows.
constexpr std::int64_t kPanelDepth = kLanes == 16 ? 64 : 256;

// With fewer rows a panel is too narrow to keep the multipliers busy: the matrix itself is faster.
constexpr std::int64_t kPanelRows = kLanes == 16 ? 1 : 4;

struct Panels {
  const float* data;
  std::int64_t depth;
  std::int64_t columns;
};

inline Panels make_panels(Matrix<const float> b, float* out) {
  float* to = out;
  for (std::int64_t column = 0; column < b.columns; column += kPanelWidth) {
    const std::int64_t width = b.columns - column < kPanelWidth ? b.columns - column : kPanelWidth;
    for (std::int64_t k = 0; k < b.rows; ++k, to += kPanelWidth) {
      std::memcpy(to, b.row(k) + column, static_cast<std::size_t>(width) * sizeof(float));
    }
  }
  return {out, b.rows, b.columns};
}

// Panels of the transpose.
inline Panels make_transposed_panels(Matrix<const float> b, float* out) {
  float* to = out;
  for (std::int64_t column = 0; column < b.rows; column += kPanelWidth) {
    const std::int64_t width = b.rows - column < kPanelWidth ? b.rows - column : kPanelWidth;
    for (std::int64_t j = 0; j < width; ++j) {
      const float* from = b.row(column + j);
      for (std::int64_t k = 0; k < b.columns; ++k) to[k * kPanelWidth + j] = from[k];
    }
    to += b.columns * kPanelWidth;
  }
  return {out, b.columns, b.rows};
}

// C (+)= A . B (+ bias). Each element is one chain of multiply-adds in the order of k.
inline void product(Matrix<const float> a, const Panels& b, const float* bias, Matrix<float> c,
                    bool accumulate) {
  for (std::int64_t first = 0; first == 0 || first < b.depth; first += kPanelDepth) {
    const std::int64_t depth = b.depth - first < kPanelDepth ? b.depth - first : kPanelDepth;
    const float* panel = b.data + first * kPanelWidth;
    for (std::int64_t column = 0; column < b.columns; column += kPanelWidth) {
      const std::int64_t width =
          b.columns - column < kPanelWidth ? b.columns - column : kPanelWidth;
      multiply({a.data + first, a.stride, 1, panel, kPanelWidth,
                bias != nullptr ? bias + column : nullptr, c.data + column, c.stride, depth, 0,
                accumulate || first > 0},
               a.rows, width);
      panel += b.depth * kPanelWidth;
    }
  }
}

}  // namespace
}  // namespace braid::kernels
