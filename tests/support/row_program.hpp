#pragma once
#include <optional>

#include "kernels/row_program.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/guarded_matrix.hpp"

// Row programs of steps that tests took down.
namespace braid::testing {

// Runs what was taken down: of each block its steps, then the closing ones.
inline void run_steps(Backend backend, std::optional<DeviceOperands>& operands,
                      const kernels::RowSteps& collector, std::int64_t blocks,
                      std::int64_t of_block, std::int64_t shared_bytes = 0) {
  const KernelMemory<kernels::RowStep> steps(collector.steps().begin(), collector.steps().end());
  KernelMemory<unsigned> ended{0};
  const auto count = static_cast<std::int64_t>(steps.size());
  const kernels::RowProgram program{.steps = steps.data(),
                                    .blocks = blocks,
                                    .steps_of_block = of_block,
                                    .closing_steps = count - blocks * of_block,
                                    .shared_bytes = shared_bytes,
                                    .ended = ended.data()};
  note_launch(typeid(program), backend);
  if (operands) {
    kernels::launch(operands->stream(), operands->moved(program));
    operands->bring_back();
  } else {
    kernels::launch(kernels::Stream{backend}, program);
  }
  CHECK(ended[0] == 0);
}

// Runs one kernel as the only step of a row program.
template <class Arguments>
void run_as_step(Backend backend, const Arguments& args) {
  const ScheduleScope order(next_schedule());
  std::optional<DeviceOperands> operands;
  if (runs_on_device(backend)) operands.emplace(backend);
  kernels::RowSteps collector;
  const auto there = operands ? operands->moved(args) : args;
  collector.add(typeid(args), &there);
  run_steps(backend, operands, collector, 1, 1);
}

// The same on the emulated device and the host's memory, where operands may end at its edge.
template <class Arguments>
void run_as_step_here(const Arguments& args) {
  std::optional<DeviceOperands> on_the_host;
  kernels::RowSteps collector;
  collector.add(typeid(args), &args);
  run_steps(Backend::emulated, on_the_host, collector, 1, 1);
}

template <class Arguments>
void run_alone(Backend backend, const Arguments& args) {
  const LaunchesAlone no_program;
  launch_on(backend, args);
}

}  // namespace braid::testing
