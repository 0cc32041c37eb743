#include "kernels/row_program.hpp"

namespace braid::kernels {
namespace BRAID_CPU {

void run(const RowProgram& args) {
  if (args.blocks == 0) return;
  for (std::int64_t i = 0; i < args.blocks * args.steps_of_block + args.closing_steps; ++i)
    with_arguments(args.steps[i], [](const auto& arguments) { run(arguments); });
}

}  // namespace BRAID_CPU
}  // namespace braid::kernels
