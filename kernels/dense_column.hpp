#pragma once
#include "kernels/dense_product.hpp"
#include "kernels/functions.hpp"
#include "kernels/simt/elements.hpp"

// Products with one column of results.
namespace braid::kernels {
namespace {

// Of a alone: b's elements are b_stride apart.
BRAID_HOST_DEVICE inline void find_alignment_of_column(DenseProduct& args) {
  args.operands_in_fours = in_fours(args.a, args.a_stride);
}

// The product with the transpose of a kernel of one row.
BRAID_HOST_DEVICE inline DenseProduct column_of_row(DenseProduct args) {
  args.b_stride = 1;
  return args;
}

// Four terms at a time, in an order that depends on the depth alone.
__device__ inline float add_products(const float* a, const float* b, std::int64_t b_step,
                                     std::int64_t count, bool a_in_fours, float sum) {
  float left[4] = {0, 0, 0, 0};
  if (a_in_fours && count >= 4) {
    load_floats(a, left);
  } else {
    SIMT_UNROLL
    for (int i = 0; i < 4; ++i) {
      if (i < count) left[i] = a[i];
    }
  }
  SIMT_UNROLL
  for (int i = 0; i < 4; ++i) {
    if (i < count) sum = fmaf(left[i], b[i * b_step], sum);
  }
  return sum;
}

// A warp takes a row, its lanes the depth in fours.
template <class Blocks>
__device__ inline void multiply_column(const Blocks& blocks, const DenseProduct& args) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  const Activation f = args.activation;
  for_each_by_warp(blocks, args.rows, [&](std::int64_t n) {
    const float* a = args.a + n * args.a_stride;
    float sum = 0;
    for (std::int64_t k = 4 * lane; k < args.depth; k += 4 * 32) {
      sum = add_products(a + k, args.b + k * args.b_stride, args.b_stride, args.depth - k,
                         args.operands_in_fours, sum);
    }
    sum = sum_of_warp(sum);
    if (lane != 0) return;
    float& out = args.out[n * args.out_stride];
    if (args.accumulate) sum += out;
    if (args.bias != nullptr) sum += *args.bias;
    with_kind(f.kind, [&]<ActivationKind kind>() { out = function_of<kind>(sum, f); });
  });
}

}  // namespace
}  // namespace braid::kernels
