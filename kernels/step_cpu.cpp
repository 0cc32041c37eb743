#include "kernels/step.hpp"

namespace braid::kernels {
namespace BRAID_CPU {

void run(const EndStep& args) {
  for (std::int64_t i = 0; i < args.count; ++i) {
    const AddedValues& added = args.added[i];
    for (std::int64_t k = 0; k < added.count; ++k)
      added.sums[k] += static_cast<double>(added.values[k]) * added.factor;
  }
  if (args.cursor == nullptr) return;
  if (args.rates_of_steps != nullptr) *args.rates = args.rates_of_steps[args.cursor->step];
  args.cursor->row += args.rows;
  args.cursor->step += 1;
  if (args.random_state != nullptr) args.random_state->step += 1;
}

}  // namespace BRAID_CPU
}  // namespace braid::kernels
