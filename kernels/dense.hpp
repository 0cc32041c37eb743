#pragma once
#include "kernels/activation.hpp"
#include "kernels/backend.hpp"
#include "kernels/dense_costs.hpp"
#include "kernels/library_memory.hpp"
#include "kernels/precision.hpp"

namespace braid::kernels {

// `for_library`, where present, is library_memory(N, K, M, precision) bytes that a GPU may use for
// a large product: without them, or with less, its library makes none in bfloat16.

// out = activation(in . kernel + bias). The order of summation over K depends on K alone, never on
// the number of rows, but in large products that a GPU's library makes (product_library.hpp).
struct DenseForward {
  Matrix<const float> in;       // [N, K]  read; may be a column slice
  Matrix<const float> kernel;   // [K, M]  read
  const float* bias = nullptr;  // [M]     read; may be absent
  Matrix<float> out;            // [N, M]  overwritten; may be a column slice
  Activation activation;
  Precision precision = Precision::float32;
  LibraryMemory for_library;
};
BRAID_KERNEL(DenseForward)

// in_grad = out_grad . kernel^T (added to in_grad with `accumulate`).
struct DenseInputGradient {
  Matrix<const float> out_grad;  // [N, M]  read
  Matrix<const float> kernel;    // [K, M]  read
  Matrix<float> in_grad;         // [N, K]  overwritten, or added to; may be a column slice
  bool accumulate = false;
  Precision precision = Precision::float32;
  LibraryMemory for_library;
};
BRAID_KERNEL(DenseInputGradient)

// kernel_grad = in^T . out_grad and bias_grad[m] = sum_n out_grad[n, m], in the order of n; with
// `accumulate` both are added to what is there.
struct DenseWeightGradient {
  Matrix<const float> in;        // [N, K]  read
  Matrix<const float> out_grad;  // [N, M]  read
  Matrix<float> kernel_grad;     // [K, M]  overwritten, or added to; may be absent
  float* bias_grad = nullptr;    // [M]     overwritten, or added to; may be absent
  bool accumulate = false;
  Precision precision = Precision::float32;
  // dense_weight_scratch(N, K, M) bytes. A GPU then sums dense_weight_parts(N, K, M) parts of the
  // rows side by side, each in the order of n, and adds them up in order (dense_costs.hpp). Absent:
  // all in one go.
  float* scratch = nullptr;
  LibraryMemory for_library;  // may be the same as `scratch`
  // More than one: sums that the caller adds up. Each is that of dense_weight_part_rows(N, parts)
  // rows, the last one's may be fewer; from one to the next it is so many floats. Without
  // `accumulate` and `scratch`.
  std::int64_t parts = 1;
  std::int64_t kernel_part_floats = 0;
  std::int64_t bias_part_floats = 0;
};
BRAID_KERNEL(DenseWeightGradient)

// For a sum of both gradients for each part.
constexpr std::int64_t dense_weight_scratch(std::int64_t rows, std::int64_t depth,
                                            std::int64_t columns) {
  const std::int64_t parts = dense_weight_parts(rows, depth, columns);
  return parts == 1 ? 0 : parts * (depth + 1) * columns * static_cast<std::int64_t>(sizeof(float));
}

}  // namespace braid::kernels
