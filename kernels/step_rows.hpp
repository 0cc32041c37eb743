#pragma once
#include "kernels/simt/elements.hpp"
#include "kernels/step.hpp"

// A warp adds one array of values to its sums: what they all wait for comes at the same time. The
// last thread of the first block moves the step on: nobody else reads what it changes.
namespace braid::kernels {
namespace {

template <class Blocks>
__device__ inline void run_rows(const Blocks& blocks, const EndStep& args) {
  for_each_by_warp(blocks, args.count, [&](auto number) {
    const AddedValues& added = args.added[number];
    for (std::int64_t i = threadIdx.x % 32; i < added.count; i += 32) {
      // A float times a number of rows is exact in double, so a fused sum has the same bits.
      added.sums[i] += static_cast<double>(added.values[i]) * added.factor;
    }
  });
  if (blocks.number() != 0 || blocks.thread() != blockDim.x - 1 || args.cursor == nullptr) return;
  if (args.rates_of_steps != nullptr) *args.rates = args.rates_of_steps[args.cursor->step];
  args.cursor->row += args.rows;
  args.cursor->step += 1;
  if (args.random_state != nullptr) args.random_state->step += 1;
}

}  // namespace
}  // namespace braid::kernels
