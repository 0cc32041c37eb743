// A block adds one array of values to its sums. The first thread of all moves the step on: nobody
// else reads what it changes.
#include "kernels/step.hpp"

#include "kernels/simt/facade.hpp"

namespace braid::kernels {
namespace {

constexpr int kThreads = 128;

__global__ void end_step_kernel(EndStep args) {
  const int number = static_cast<int>(blockIdx.x);
  if (number < args.count) {
    const AddedValues& added = args.added[number];
    for (std::int64_t i = threadIdx.x; i < added.count; i += kThreads) {
      // A float times a number of rows is exact in double, so a fused sum has the same bits.
      added.sums[i] += static_cast<double>(added.values[i]) * added.factor;
    }
  }
  if (number != 0 || threadIdx.x != 0 || args.cursor == nullptr) return;
  args.cursor->row += args.rows;
  args.cursor->step += 1;
  if (args.random_state != nullptr) args.random_state->step += 1;
  if (args.rates_of_steps != nullptr && args.cursor->step < args.steps) {
    *args.rates = args.rates_of_steps[args.cursor->step];
  }
}

}  // namespace

namespace BRAID_GPU {

void run(const Stream& stream, const EndStep& args) {
  launch_kernel<end_step_kernel>({.grid = args.count > 1 ? args.count : 1, .block = kThreads},
                                 stream, args);
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
