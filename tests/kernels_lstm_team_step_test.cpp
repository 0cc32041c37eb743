// What a step of the LSTM by teams of blocks (kernels/lstm_team.hpp) waits for, measured on the
// emulated device. The heads of the kernels' sources and the table of bench/results say the same.
#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "kernels/lstm_gpu.hpp"
#include "kernels/simt/launch_records.hpp"
#include "kernels/simt/machine.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/emulated_gpu_scope.hpp"
#include "tests/support/kernel_table.hpp"
#include "tests/support/lstm_kernel.hpp"
#include "tests/support/watch_scope.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

constexpr std::int64_t kRows = 2;
constexpr std::int64_t kSteps = 6;
constexpr std::int64_t kUnits = 130;
constexpr Precision kPrecisions[] = {Precision::float32, Precision::tf32, Precision::bfloat16};

LstmProblem problem_of(std::int64_t steps, Precision precision) {
  RandomNumbers random(211);
  LstmProblem problem = random_lstm({kRows, steps, 2, kUnits}, random);
  problem.precision = precision;
  return problem;
}
LstmOutputGrads grads_of(const LstmProblem& problem) {
  RandomNumbers random(212);
  return random_grads(problem, random);
}

struct StepCost {
  std::string kernel;
  Precision precision;
  bool is_forward;
  std::int64_t barriers = 0;  // of a block
  std::int64_t shuffles = 0;  // of a warp
};

// Barriers and exchanges of all launches so far, forward and back.
struct Passed {
  std::int64_t barriers[2] = {};
  std::int64_t shuffles[2] = {};
};
Passed passed_so_far() {
  Passed all;
  for (const auto& [name, record] : simt::launch_records()) {
    const std::string kernel = short_kernel_name(name);
    const bool is_forward = kernel.rfind("lstm_forward_team_kernel<", 0) == 0;
    if (!is_forward && kernel.rfind("lstm_backward_team_kernel<", 0) != 0) continue;
    all.barriers[is_forward ? 0 : 1] += record.barriers;
    all.shuffles[is_forward ? 0 : 1] += record.shuffles;
  }
  return all;
}
Passed passed_in(std::int64_t steps, Precision precision) {
  const LstmProblem problem = problem_of(steps, precision);
  const Passed before = passed_so_far();
  LstmKernel kernel(Backend::emulated, problem);
  kernel.forward();
  kernel.backward(grads_of(problem));
  Passed passed = passed_so_far();
  for (const int pass : {0, 1}) {
    passed.barriers[pass] -= before.barriers[pass];
    passed.shuffles[pass] -= before.shuffles[pass];
  }
  return passed;
}

// By what twice as many steps take more.
const std::vector<StepCost>& costs() {
  static const std::vector<StepCost> all = [] {
    std::vector<StepCost> costs;
    for (const Precision precision : kPrecisions) {
      const Passed some = passed_in(kSteps, precision);
      const Passed more = passed_in(2 * kSteps, precision);
      for (const int pass : {0, 1}) {
        const std::int64_t of_block = pass == 0 ? 8 : 16;
        const std::int64_t steps = (kUnits + of_block - 1) / of_block * kSteps;
        constexpr std::int64_t kWarps = 8;
        const std::int64_t barriers = more.barriers[pass] - some.barriers[pass];
        const std::int64_t shuffles = more.shuffles[pass] - some.shuffles[pass];
        REQUIRE(barriers % steps == 0);
        REQUIRE(shuffles % (steps * kWarps) == 0);
        costs.push_back(
            {std::string(pass == 0 ? "lstm_forward_team_kernel<" : "lstm_backward_team_kernel<") +
                 text_of(precision) + ">",
             precision, pass == 0, barriers / steps, shuffles / (steps * kWarps)});
      }
    }
    return costs;
  }();
  return all;
}

std::vector<std::string> table_rows() {
  std::vector<std::string> rows;
  for (const StepCost& cost : costs()) {
    rows.push_back(
        table_row({cost.kernel, std::to_string(cost.barriers), std::to_string(cost.shuffles)}));
  }
  return rows;
}

// What a pass forward and one back give, all but what is spoiled: at a barrier of a block, told by
// how many it has passed before, what it reads for its own units and a step.
class WatchedLstm {
 public:
  WatchedLstm() : problem_(problem_of(kSteps, Precision::float32)), grads_(grads_of(problem_)) {}

  // step_at says whether and of which step to spoil what a block of so many units reads.
  using StepAt = std::function<std::int64_t(std::int64_t passed)>;
  std::vector<float> forward(const StepAt& step_at) {
    LstmKernel kernel(Backend::emulated, problem_);
    saved_.assign(saved_floats(), 0.0F);
    GuardedMatrix<float> sequence(kRows * kSteps, kUnits);
    kernels::LstmForward arguments = kernel.forward_arguments();
    arguments.sequence = sequence.matrix();
    arguments.saved = saved_.data();
    const WatchScope scope([&](std::string_view name, std::int64_t passed) {
      if (name.find("lstm_forward_team_kernel") == std::string_view::npos) return;
      for_units(8, step_at(passed), [&](std::int64_t token, std::int64_t unit) {
        std::fill_n(kept().gates + (token * kUnits + unit) * 4, 4, NAN);
      });
    });
    GuardedScratch scratch(kernels::lstm_forward_scratch(shape()));
    arguments.scratch = scratch.data();
    kernels::launch({Backend::emulated}, arguments);
    return sequence.elements();
  }
  std::vector<float> backward(const StepAt& step_at) {
    static_cast<void>(forward([](std::int64_t) { return std::int64_t{-1}; }));
    LstmKernel kernel(Backend::emulated, problem_);
    GuardedMatrix<float> arriving(grads_.sequence, kUnits);
    GuardedMatrix<float> in_grad(kRows * kSteps, problem_.features);
    kernels::LstmBackward arguments = kernel.backward_arguments();
    arguments.saved = saved_.data();
    arguments.sequence_grad = arriving.matrix();
    arguments.in_grad = in_grad.matrix();
    const WatchScope scope([&](std::string_view name, std::int64_t passed) {
      if (name.find("lstm_backward_team_kernel") == std::string_view::npos) return;
      for_units(16, step_at(passed), [&](std::int64_t token, std::int64_t unit) {
        std::fill_n(kept().gates + (token * kUnits + unit) * 4, 4, NAN);
        kept().c[token * kUnits + unit] = NAN;
        arriving.matrix().row(token)[unit] = NAN;
      });
    });
    GuardedScratch scratch(kernels::lstm_backward_scratch(shape()));
    arguments.scratch = scratch.data();
    kernels::launch({Backend::emulated}, arguments);
    return in_grad.elements();
  }

 private:
  std::size_t saved_floats() const {
    return static_cast<std::size_t>(kRows * kernels::lstm_saved_per_row(shape()));
  }
  kernels::LstmShape shape() const { return {kRows, kSteps, problem_.features, kUnits}; }
  kernels::LstmKept kept() { return kernels::lstm_kept(saved_.data(), shape()); }
  template <class Spoil>
  static void for_units(std::int64_t of_block, std::int64_t step, const Spoil& spoil) {
    if (step < 0 || step >= kSteps) return;
    const std::int64_t first = std::int64_t{simt::blockIdx.x} * of_block;
    for (std::int64_t row = 0; row < kRows; ++row) {
      for (std::int64_t unit = first; unit < std::min(first + of_block, kUnits); ++unit)
        spoil(row * kSteps + step, unit);
    }
  }

  LstmProblem problem_;
  LstmOutputGrads grads_;
  std::vector<float> saved_;
};

}  // namespace

TEST_CASE("lstm by teams: a step passes two barriers and exchanges next to nothing") {
  const EmulatedGpuScope gpu(kH100);
  for (const StepCost& cost : costs()) {
    INFO(cost.kernel);
    CHECK(cost.barriers == 2);
    CHECK(cost.shuffles == (cost.is_forward && cost.precision == Precision::bfloat16 ? 1 : 0));
  }
  write_section("lstm_team_steps.md", {"kernel", "barriers", "exchanges of a warp"}, table_rows());
}

TEST_CASE("lstm by teams: a step asks for what it reads before it has what the others leave") {
  WatchedLstm lstm;
  const WatchedLstm::StepAt never = [](std::int64_t) { return std::int64_t{-1}; };
  // A step passes a barrier when all products are summed up, and one when the sums are read.
  const std::vector<float> outputs = lstm.forward(never);
  CHECK(lstm.forward([&](std::int64_t passed) { return passed % 2 == 0 ? passed / 2 : -1; }) ==
        outputs);
  CHECK(lstm.forward([&](std::int64_t passed) { return passed % 2 == 1 ? passed / 2 + 1 : -1; }) !=
        outputs);  // else nobody reads what is spoiled
  // Back, the last step has no products, and so passes the second one alone.
  const std::vector<float> gradients = lstm.backward(never);
  const auto step = [](std::int64_t passed) { return kSteps - 1 - (passed + 1) / 2; };
  CHECK(lstm.backward([&](std::int64_t passed) { return passed % 2 == 1 ? step(passed) : -1; }) ==
        gradients);
  CHECK(lstm.backward([&](std::int64_t passed) {
    return passed % 2 == 0 ? step(passed) - 1 : -1;
  }) != gradients);
}

TEST_CASE("kernel table: steps of the LSTM by teams wait for what it names") {
  const EmulatedGpuScope gpu(kH100);
  const auto committed = committed_rows("Steps of the LSTM by teams");
  if (!committed) return;
  INFO("`make kernels` writes the table anew");
  CHECK(*committed == table_rows());
}
