#pragma once
#include "kernels/backend.hpp"

namespace braid::kernels {

// Softmax along the columns of each row, stable: out[n, c] = exp(in[n, c] - max_n) / sum_c
// exp(in[n, c] - max_n); with `logarithm` its logarithm. Axis other than the last: `inner` > 1
// reads element c of group i at column c * inner + i.
struct SoftmaxForward {
  Matrix<const float> in;  // [N, C * inner]  read
  Matrix<float> out;       // [N, C * inner]  overwritten; may be `in`
  std::int64_t inner = 1;
  bool logarithm = false;
};
BRAID_KERNEL(SoftmaxForward)

// in_grad = out * (out_grad - sum_c out * out_grad), or, for the logarithm, out_grad - exp(out) *
// sum_c out_grad.
struct SoftmaxBackward {
  Matrix<const float> out;       // [N, C * inner]  read
  Matrix<const float> out_grad;  // [N, C * inner]  read
  Matrix<float> in_grad;         // [N, C * inner]  overwritten; may be `out_grad`
  std::int64_t inner = 1;
  bool logarithm = false;
};
BRAID_KERNEL(SoftmaxBackward)

}  // namespace braid::kernels
