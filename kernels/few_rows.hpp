#pragma once
#include "kernels/register_blocks.hpp"

// Few rows times a matrix that comes from memory: it is read once, along its rows, and C stays in
// the first-level cache instead of in registers.
namespace braid::kernels {
namespace {

constexpr std::int64_t kFewRows = 8;

// Adds the products with the first kDepth rows of B.
template <int kRows, int kDepth>
inline void add_products_of_rows(const ProductOperands& p, std::int64_t columns) {
  float factors[kRows][kDepth];
  for (int r = 0; r < kRows; ++r) {
    for (int k = 0; k < kDepth; ++k) factors[r][k] = p.a[r * p.row_step + k * p.depth_step];
  }
  const auto add = [&](std::int64_t column, const auto& read, const auto& write) {
    Vector sum[kRows];
    for (int r = 0; r < kRows; ++r) {
      sum[r] = p.accumulate ? read(p.c + r * p.c_stride + column)
                            : (p.bias != nullptr ? read(p.bias + column) : Vector{});
    }
    for (int k = 0; k < kDepth; ++k) {
      const Vector row = read(p.b + k * p.b_stride + column);
      for (int r = 0; r < kRows; ++r) sum[r] += factors[r][k] * row;
    }
    for (int r = 0; r < kRows; ++r) write(p.c + r * p.c_stride + column, sum[r]);
  };
  std::int64_t column = 0;
  for (; column + kLanes <= columns; column += kLanes) add(column, load, store);
  if (const int rest = static_cast<int>(columns - column); rest > 0) {
    add(
        column, [&](const float* from) { return load_first(from, rest); },
        [&](float* to, Vector v) { store_first(to, v, rest); });
  }
}

// C (+)= A . B (+ bias) of up to kFewRows rows.
template <int kRows = kFewRows>
inline void multiply_few_rows(ProductOperands p, std::int64_t rows, std::int64_t columns) {
  constexpr int kDepth = 8;
  if constexpr (kRows > 1) {
    if (rows < kRows) return multiply_few_rows<kRows - 1>(p, rows, columns);
  }
  std::int64_t left = p.depth;
  const auto add = [&]<int kCount>() {
    add_products_of_rows<kRows, kCount>(p, columns);
    p.a += kCount * p.depth_step;
    p.b += kCount * p.b_stride;
    p.accumulate = true;
    left -= kCount;
  };
  while (left >= kDepth) add.template operator()<kDepth>();
  while (left > 0) add.template operator()<1>();
}

}  // namespace
}  // namespace braid::kernels
