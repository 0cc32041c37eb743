#pragma once
#include "kernels/simt/elements.hpp"
#include "kernels/step.hpp"

// A block adds one array of values to its sums. The first thread of all moves the step on: nobody
// else reads what it changes.
namespace braid::kernels {
namespace {

template <class Blocks>
__device__ inline void run_rows(const Blocks& blocks, const EndStep& args) {
  for (std::int64_t number = blocks.number(); number < args.count; number += blocks.count()) {
    const AddedValues& added = args.added[number];
    for (std::int64_t i = blocks.thread(); i < added.count; i += blockDim.x) {
      // A float times a number of rows is exact in double, so a fused sum has the same bits.
      added.sums[i] += static_cast<double>(added.values[i]) * added.factor;
    }
  }
  if (blocks.number() != 0 || blocks.thread() != 0 || args.cursor == nullptr) return;
  if (args.rates_of_steps != nullptr) *args.rates = args.rates_of_steps[args.cursor->step];
  args.cursor->row += args.rows;
  args.cursor->step += 1;
  if (args.random_state != nullptr) args.random_state->step += 1;
}

}  // namespace
}  // namespace braid::kernels
