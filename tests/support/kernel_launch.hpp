#pragma once
#include <iosfwd>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <typeinfo>
#include <utility>
#include <vector>

#include "kernels/launch.hpp"
#include "kernels/row_program.hpp"
#include "tests/support/device_operands.hpp"
#include "tests/support/schedules.hpp"

// How tests run a kernel. They know of the backends nothing but that each gives what the reference
// gives; where and how a kernel runs is said here alone.
namespace braid::testing {

using kernels::Backend;

const std::vector<Backend>& all_backends();
// Those that this machine can run, or that BRAID_TEST_BACKENDS names. Throws if it names others.
const std::vector<Backend>& tested_backends();
// Whether kernels of the backend work on memory of a device: of a GPU, or of the emulated one.
constexpr bool runs_on_device(Backend backend) {
  return backend == Backend::emulated || backend == Backend::cuda;
}

// Whether its products can round their operands (kernels/precision.hpp): a CPU's cannot, nor an old
// GPU's.
bool has_matrix_units(Backend backend);

// Where tests run of what GPUs alone do: on one, if it is among the tested backends, else emulated.
Backend gpu_backend();

// Kernels by the name of their arguments ("DenseForward"), and where they ran.
using Launches = std::set<std::pair<std::string, Backend>>;
const Launches& launches();
void note_launch(const std::type_info& arguments, Backend backend);

// For each launch of a kernel on the emulated device another order of its threads.
const simt::Schedule& next_schedule();

// The arguments of steps, of all blocks. Operands of a device are moved there.
template <class... Arguments>
KernelMemory<kernels::RowStep> row_steps(const Arguments&... arguments) {
  kernels::RowSteps collector;
  (collector.add(typeid(Arguments), &arguments), ...);
  return {collector.steps().begin(), collector.steps().end()};
}

// Whether these arguments may also be a step of a row program, whose products are in float32 and
// summed in one go.
template <class Arguments>
bool can_be_row_step(const Arguments& arguments) {
  if constexpr (requires { arguments.precision; }) {
    if (arguments.precision != kernels::Precision::float32) return false;
  }
  if constexpr (requires { arguments.scratch; }) {
    if (arguments.scratch != nullptr) return false;
  }
  if constexpr (requires { arguments.parts; }) {
    if (arguments.parts > 1) return false;
  }
  return kernels::kIsRowKernel<Arguments>;
}

// While it lives, no launch becomes a step of a row program.
class LaunchesAlone {
 public:
  LaunchesAlone() { ++count_; }
  ~LaunchesAlone() { --count_; }
  LaunchesAlone(const LaunchesAlone&) = delete;
  LaunchesAlone& operator=(const LaunchesAlone&) = delete;
  static bool any() { return count_ > 0; }

 private:
  static inline int count_ = 0;
};

// Returns when the results are there. A device gets copies of the operands in its own memory. Every
// other launch of a kernel that can be one is the only step of a row program.
template <class Arguments>
void launch_on(Backend backend, const Arguments& arguments) {
  const ScheduleScope order(backend == Backend::emulated ? next_schedule()
                                                         : simt::current_schedule());
  static std::map<Backend, int> launches_of_this_kernel;
  const bool as_step = !LaunchesAlone::any() && can_be_row_step(arguments) &&
                       launches_of_this_kernel[backend]++ % 2 == 1;
  note_launch(typeid(Arguments), backend);
  std::optional<DeviceOperands> operands;
  if (runs_on_device(backend)) operands.emplace(backend);
  const kernels::Stream stream = operands ? operands->stream() : kernels::Stream{backend};
  const auto moved = [&](const auto& args) { return operands ? operands->moved(args) : args; };
  KernelMemory<kernels::RowStep> steps;  // brought back, too
  if constexpr (kernels::kIsRowKernel<Arguments>) {
    if (as_step) steps = row_steps(moved(arguments));
  }
  if (as_step) {
    note_launch(typeid(kernels::RowProgram), backend);
    kernels::launch(stream, moved(kernels::RowProgram{steps.data(), 1, 1}));
  } else {
    kernels::launch(stream, moved(arguments));
  }
  if (operands) operands->bring_back();
}

struct DeclaredKernel {
  std::string name;      // of its arguments
  bool on_gpus = false;  // else on CPUs alone
  bool operator==(const DeclaredKernel&) const = default;
};
// The kernels that a header of kernels/ declares, from its text.
std::vector<DeclaredKernel> kernels_declared_in(const std::string& header);
// The functions of a GPU that a source defines, from its text.
std::vector<std::string> global_functions_in(const std::string& source);
// Those of kernels/*_cuda.cu.
std::vector<std::string> global_functions_of_tree();
// "embedding_forward_kernel<4>", of the emulated device's name for it; "" for a function of tests.
std::string short_kernel_name(std::string name);
// "AdamUpdate on avx2", ... for each that is not among the launches.
std::vector<std::string> never_launched(const std::vector<DeclaredKernel>& kernels,
                                        const std::vector<Backend>& backends,
                                        const Launches& launches);
// Of the kernels of the source tree on the tested backends, up to now, and of all functions of a
// GPU on the emulated device; names what is missing.
bool every_kernel_was_launched(std::ostream& report);

}  // namespace braid::testing
