#pragma once
#include <optional>

#include "kernels/row_program.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/guarded_matrix.hpp"

// Row programs of steps that tests took down.
namespace braid::testing {

// The steps that come last, and how often everything does.
struct Repeats {
  std::int64_t updates = 0;
  std::int64_t blocks_of_updates = 0;
  std::int64_t repeats = 1;
  std::int64_t shared_bytes = 0;
};

// Runs what was taken down: of each block its steps, then the closing ones, then the updates.
inline void run_steps(Backend backend, std::optional<DeviceOperands>& operands,
                      const kernels::RowSteps& collector, std::int64_t blocks,
                      std::int64_t of_block, const Repeats& more = {}) {
  const KernelMemory<kernels::RowStep> steps(collector.steps().begin(), collector.steps().end());
  KernelMemory<kernels::RowProgram::Meeting> meeting(1);
  const auto count = static_cast<std::int64_t>(steps.size());
  const kernels::RowProgram program{.steps = steps.data(),
                                    .blocks = blocks,
                                    .steps_of_block = of_block,
                                    .closing_steps = count - blocks * of_block - more.updates,
                                    .updates = more.updates,
                                    .blocks_of_updates = more.blocks_of_updates,
                                    .repeats = more.repeats,
                                    .shared_bytes = more.shared_bytes,
                                    .meeting = meeting.data()};
  note_launch(typeid(program), backend);
  if (operands) {
    kernels::launch(operands->stream(), operands->moved(program));
    operands->bring_back();
  } else {
    kernels::launch(kernels::Stream{backend}, program);
  }
  CHECK(meeting[0].ended == 0);
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

template <class Arguments>
void run_alone(Backend backend, const Arguments& args) {
  const LaunchesAlone no_program;
  launch_on(backend, args);
}

}  // namespace braid::testing
