#pragma once
#include <cstdint>

#include "bench/reference_models.hpp"

namespace bench {

// Bytes of a device that a training step takes beside weights, state of the optimizer and inputs.
struct StepMemory {
  std::int64_t arena = 0;    // values, gradients among them, each as long as it is needed
  std::int64_t scratch = 0;  // what the op that needs most has for itself while it runs
};
StepMemory memory_of_step(const ReferenceModel& reference, const Rows& batch);

}  // namespace bench
