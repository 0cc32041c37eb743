#include "kernels/row_program.hpp"

namespace braid::kernels {
namespace BRAID_CPU {

void run(const RowProgram& args) {
  if (args.blocks == 0) return;
  const std::int64_t steps = args.blocks * args.steps_of_block + args.closing_steps + args.updates;
  for (std::int64_t repeat = 0; repeat < args.repeats; ++repeat) {
    for (std::int64_t i = 0; i < steps; ++i)
      with_arguments(args.steps[i], [](const auto& arguments) { run(arguments); });
  }
}

}  // namespace BRAID_CPU
}  // namespace braid::kernels
