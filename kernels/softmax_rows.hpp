#pragma once
#include "kernels/simt/elements.hpp"
#include "kernels/softmax.hpp"
#include "kernels/vector_math.hpp"

// A warp owns the columns of one row, or of one group of a row where the axis is not the last.
namespace braid::kernels {
namespace {

// Calls body(row, group) for each; all lanes of a warp with the same ones.
template <class Blocks, class Index, class Body>
__device__ inline void for_groups(const Blocks& blocks, std::int64_t rows, Index inner,
                                  const Body& body) {
  for_each_by_warp(blocks, rows * inner, [&](auto i) { body(i / inner, i % inner); });
}

template <class Blocks>
__device__ inline void run_rows(const Blocks& blocks, const SoftmaxForward& args) {
  using Index = IndexOf<Blocks>;
  const auto inner = static_cast<Index>(args.inner);
  const Index columns = static_cast<Index>(args.in.columns) / inner;
  const Index lane = threadIdx.x % 32;
  for_groups(blocks, args.in.rows, inner, [&](auto n, auto group) {
    const float* in = args.in.row(n) + group;
    float* out = args.out.row(n) + group;
    float largest = -INFINITY;
    for (Index c = lane; c < columns; c += 32) {
      largest = in[c * inner] > largest ? in[c * inner] : largest;
    }
    largest = largest_of_warp(largest);
    float sum = 0;
    if (args.logarithm) {
      // The largest element's own exponential is 1: without it a sum near 0 keeps its digits.
      float equal = 0;
      for (Index c = lane; c < columns; c += 32) {
        if (in[c * inner] == largest) {
          equal += 1;
        } else {
          sum += vector_exp(in[c * inner] - largest);
        }
      }
      sum = sum_of_warp(sum);
      const float logarithm = vector_log1p(sum + (sum_of_warp(equal) - 1));
      for (Index c = lane; c < columns; c += 32) {
        out[c * inner] = (in[c * inner] - largest) - logarithm;
      }
      return;
    }
    for (Index c = lane; c < columns; c += 32) {
      const float power = vector_exp(in[c * inner] - largest);
      out[c * inner] = power;
      sum += power;
    }
    const float scale = 1.0F / sum_of_warp(sum);
    for (Index c = lane; c < columns; c += 32) out[c * inner] *= scale;
  });
}

template <class Blocks>
__device__ inline void run_rows(const Blocks& blocks, const SoftmaxBackward& args) {
  using Index = IndexOf<Blocks>;
  const auto inner = static_cast<Index>(args.inner);
  const Index columns = static_cast<Index>(args.out.columns) / inner;
  const Index lane = threadIdx.x % 32;
  for_groups(blocks, args.out.rows, inner, [&](auto n, auto group) {
    const float* out = args.out.row(n) + group;
    const float* out_grad = args.out_grad.row(n) + group;
    float* in_grad = args.in_grad.row(n) + group;
    float sum = 0;
    for (Index c = lane; c < columns; c += 32) {
      const float grad = out_grad[c * inner];
      sum = fmaf(args.logarithm ? 1.0F : out[c * inner], grad, sum);
    }
    sum = sum_of_warp(sum);
    for (Index c = lane; c < columns; c += 32) {
      const float grad = out_grad[c * inner];
      in_grad[c * inner] = args.logarithm ? fmaf(-vector_exp(out[c * inner]), sum, grad)
                                          : out[c * inner] * (grad - sum);
    }
  });
}

}  // namespace
}  // namespace braid::kernels
