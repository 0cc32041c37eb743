#pragma once
#include "kernels/mask.hpp"
#include "kernels/simt/elements.hpp"

// A thread takes one element.
namespace braid::kernels {
namespace {

template <class Blocks>
__device__ inline void run_rows(const Blocks& blocks, const MaskToWeight& args) {
  for_elements<1>(blocks, args.mask.rows, args.mask.columns, [&](auto n, auto t) {
    const float given =
        args.sample_weight.data != nullptr ? *element(args.sample_weight, n, t) : 1.0F;
    *element(args.weight, n, t) = *element(args.mask, n, t) != 0 ? given : 0.0F;
  });
}

}  // namespace
}  // namespace braid::kernels
