#pragma once
#include "kernels/dropout.hpp"
#include "kernels/gather.hpp"
#include "kernels/optimizer.hpp"

namespace braid::kernels {

// sums[i] += values[i] * factor, in double: the same bits as sums on the host.
struct AddedValues {
  const float* values = nullptr;  // [count]  read
  double* sums = nullptr;         // [count]  updated
  std::int64_t count = 0;
  double factor = 1;
};

// What stands between the graph of a step and its update where steps follow one another without
// the host: losses and metrics join their sums, the update gets its rates, and what the next
// graph reads moves on.
//   *rates = rates_of_steps[cursor->step];
//   cursor->row += rows; cursor->step += 1; random_state->step += 1
constexpr int kMaxAddedValues = 7;
struct EndStep {
  AddedValues added[kMaxAddedValues];
  std::int64_t count = 0;                       // of `added`
  StepCursor* cursor = nullptr;                 // updated; absent: only the sums are wanted
  std::int64_t rows = 0;                        // of the step's batch
  RandomState* random_state = nullptr;          // updated; may be absent
  const UpdateRates* rates_of_steps = nullptr;  // read; may be absent
  UpdateRates* rates = nullptr;                 // overwritten; absent with rates_of_steps
};
BRAID_KERNEL(EndStep)

}  // namespace braid::kernels
