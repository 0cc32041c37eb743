#pragma once
#include <algorithm>

#include "kernels/far_columns.hpp"
#include "kernels/few_rows.hpp"
#include "kernels/panels.hpp"

// Products of matrices. Each element of C is summed in the order of k by one chain of fused
// multiply-adds: no bit depends on how a product is cut, or on which way it goes here.
namespace braid::kernels {
namespace {

// Numbers that a core's second-level cache keeps beside others.
constexpr std::int64_t kSecondLevel = 262144;
inline bool is_far(Matrix<const float> matrix) {
  return matrix.rows * matrix.stride >= kSecondLevel;
}

// Whether pieces of B are copied into panels while they are multiplied.
inline bool is_worth_copying(Matrix<const float> b, std::int64_t rows) {
  if (b.stride <= kPanelWidth) return false;
  if constexpr (kLanes == 16) return rows > kFewRows && is_far(b);
  constexpr std::int64_t kRowsWorthACopy = 18;
  constexpr std::int64_t kFirstLevel = 8192;
  return rows >= kRowsWorthACopy && b.rows * b.stride > kFirstLevel;
}

// C (+)= A . B (+ bias): p has what is not said of B.
inline void multiply_with(ProductOperands p, std::int64_t rows, Matrix<const float> b) {
  if (is_worth_copying(b, rows)) {
    alignas(64) float panel[kPanelDepth * kPanelWidth];
    multiply_panels(p, rows, b.columns,
                    [&](std::int64_t first, std::int64_t depth, std::int64_t column) {
                      copy_to_panel(b, first, depth, column, panel);
                      return panel;
                    });
    return;
  }
  p.b = b.data;
  p.b_stride = b.stride;
  if (rows <= kFewRows && rows > 0 && b.rows * b.stride >= 2 * kSecondLevel) {
    multiply_few_rows(p, rows, b.columns);
  } else {
    multiply(p, rows, b.columns);
  }
}

// C (+)= A . B (+ bias).
inline void product(Matrix<const float> a, Matrix<const float> b, const float* bias,
                    Matrix<float> c, bool accumulate) {
  multiply_with(operands_of_rows(a, bias, c, accumulate), a.rows, b);
}

// Whether more is lost by waiting for A^T and C than by copying B.
inline bool has_far_columns(Matrix<const float> a, Matrix<const float> b, Matrix<float> c) {
  constexpr std::int64_t kRowsWorthACopy = 64;
  constexpr std::int64_t kColumnsWorthACopy = 96;
  if (a.columns <= kFewRows) return false;
  if (a.rows * a.stride >= kSecondLevel / 2 || is_far(c)) return true;
  return kLanes == 16 && b.stride > kPanelWidth && a.rows >= kRowsWorthACopy &&
         a.columns >= kColumnsWorthACopy;
}

// C (+)= A^T . B: the sum runs over the rows of both, in order.
inline void product_transposed_a(Matrix<const float> a, Matrix<const float> b, Matrix<float> c,
                                 bool accumulate) {
  if (b.columns == 1 && c.stride == 1) {  // a row of C^T: vectors along the columns of A
    const Matrix<float> row{c.data, 1, a.columns, a.columns};
    multiply_with(operands_of_columns(b, row, accumulate), 1, a);
  } else if (has_far_columns(a, b, c)) {
    multiply_far_columns(a, b, c, accumulate);
  } else {
    multiply_with(operands_of_columns(a, c, accumulate), a.columns, b);
  }
}

// C (+)= A . B^T, for B [columns of C, depth]: pieces of B are turned round into a panel.
inline void product_transposed_b(Matrix<const float> a, Matrix<const float> b, Matrix<float> c,
                                 bool accumulate) {
  const ProductOperands p = operands_of_rows(a, nullptr, c, accumulate);
  if (b.columns == 1 && b.stride == 1) {  // B^T is a row already
    multiply_with(p, a.rows, {b.data, 1, b.rows, b.rows});
    return;
  }
  constexpr std::int64_t kDepth = 256;
  alignas(64) float panel[kDepth * kPanelWidth];
  multiply_panels<kDepth>(p, a.rows, b.rows,
                          [&](std::int64_t first, std::int64_t depth, std::int64_t column) {
                            transpose_to_panel(b, first, depth, column, panel);
                            return panel;
                          });
}

}  // namespace
}  // namespace braid::kernels
