#pragma once
#include "kernels/activation.hpp"
#include "kernels/backend.hpp"

namespace braid::kernels {

// out = activation(in . kernel + bias). The order of summation over K depends on K alone, never on
// the number of rows.
struct DenseForward {
  Matrix<const float> in;       // [N, K]  read; may be a column slice
  Matrix<const float> kernel;   // [K, M]  read
  const float* bias = nullptr;  // [M]     read; may be absent
  Matrix<float> out;            // [N, M]  overwritten; may be a column slice
  Activation activation;
};
BRAID_KERNEL(DenseForward)

// in_grad = out_grad . kernel^T (added to in_grad with `accumulate`).
struct DenseInputGradient {
  Matrix<const float> out_grad;  // [N, M]  read
  Matrix<const float> kernel;    // [K, M]  read
  Matrix<float> in_grad;         // [N, K]  overwritten, or added to; may be a column slice
  bool accumulate = false;
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
};
BRAID_KERNEL(DenseWeightGradient)

}  // namespace braid::kernels
