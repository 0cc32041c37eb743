// An LSTM on a GPU whose inputs are named by ids: where the table has clearly fewer rows than there
// are tokens, its rows are multiplied with the kernel, and tokens find theirs. Nobody is to see it.
#include <array>
#include <cmath>

#include "kernels/lstm_gpu.hpp"
#include "kernels/simt/launch_records.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/kernel_launch.hpp"
#include "tests/support/lstm_cut.hpp"
#include "tests/support/lstm_kernel.hpp"
#include "tests/support/lstm_words.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

Numbers sequence_of(LstmKernel& kernel, const LstmProblem& problem,
                    kernels::LstmForward arguments) {
  GuardedMatrix<float> sequence(problem.rows * problem.steps, problem.units, 1);
  arguments.sequence = sequence.matrix();
  kernel.launch(arguments);
  CHECK(sequence.guards_are_intact());
  return sequence.values();
}

struct WeightGrads {
  Numbers kernel;
  Numbers recurrent;
  bool operator==(const WeightGrads&) const = default;
};
WeightGrads weight_grads_of(LstmKernel& kernel, const LstmProblem& problem,
                            kernels::LstmBackward arguments, const LstmOutputGrads& grads) {
  GuardedMatrix<float> arriving(grads.sequence, problem.units);
  GuardedMatrix<float> of_kernel(problem.features, 4 * problem.units);
  GuardedMatrix<float> of_recurrent(problem.units, 4 * problem.units);
  arguments.sequence_grad = arriving.matrix();
  arguments.kernel_grad = of_kernel.matrix();
  arguments.recurrent_grad = of_recurrent.matrix();
  kernel.launch(arguments);
  return {of_kernel.values(), of_recurrent.values()};
}

// Learning and predicting, with ids and without.
void check_same_bits(const LstmProblem& problem, RandomNumbers& random) {
  INFO("B " << problem.rows << ", T " << problem.steps << ", H " << problem.units << ", "
            << text_of(problem.precision));
  LstmWords inputs(problem, random);
  LstmKernel kernel(gpu_backend(), inputs.problem());
  const LstmOutputGrads grads = random_grads(problem, random);
  const Numbers expected = kernel.forward().sequence;
  const WeightGrads expected_grads =
      weight_grads_of(kernel, problem, kernel.backward_arguments(), grads);

  GuardedMatrix<float> saved(
      1, problem.rows * kernels::lstm_saved_per_row(kernel.forward_arguments().shape));
  kernels::LstmForward forward = kernel.forward_arguments();
  inputs.give_to(forward);
  REQUIRE(kernels::lstm_takes_table(forward));
  CHECK(sequence_of(kernel, problem, forward) == expected);
  forward.saved = saved.data();
  CHECK(sequence_of(kernel, problem, forward) == expected);
  CHECK(saved.guards_are_intact());
  kernels::LstmBackward backward = kernel.backward_arguments();
  inputs.give_to(backward);
  backward.saved = saved.data();
  CHECK(weight_grads_of(kernel, problem, backward, grads) == expected_grads);
}

}  // namespace

TEST_CASE("lstm on a gpu: the table's rows are projected where they are fewer than the tokens") {
  const auto is_projected = [](std::int64_t table_rows, const kernels::LstmShape& shape) {
    GuardedMatrix<float> table(table_rows, shape.features);
    GuardedMatrix<std::int32_t> ids(shape.rows, shape.steps);
    kernels::LstmForward arguments{.shape = shape, .ids = ids.matrix(), .table = table.matrix()};
    return kernels::lstm_takes_table(arguments);
  };
  CHECK(is_projected(9, {4, 5, 3, 8}));
  CHECK_FALSE(is_projected(10, {4, 5, 3, 8}));
  CHECK_FALSE(is_projected(1, {0, 5, 3, 8}));
  CHECK_FALSE(kernels::lstm_takes_table(kernels::LstmForward{.shape = {4, 5, 3, 8}}));
  // The rows of the table, one more, and the numbers of the tokens' rows lie where z of a slice
  // would be.
  const LstmCutScope slices_of_two_rows({.slice_bytes = 2 * 16 * 5 * 8});
  CHECK(is_projected(8, {4, 5, 3, 8}));
  CHECK_FALSE(is_projected(9, {4, 5, 3, 8}));
}

TEST_CASE(
    "lstm on a gpu: results have the same bits whether tokens or rows of a table are projected") {
  RandomNumbers random(61);
  for (const std::int64_t units : {5, 40, 100, 131}) {
    for (const std::int64_t multiprocessors : {1, 132}) {
      const LstmCutScope scope({.multiprocessors = multiprocessors});
      LstmProblem problem = random_lstm({7, 6, 5, units}, random);
      check_same_bits(problem, random);
      problem.mask = random_mask(problem, random);
      problem.go_backwards = true;
      check_same_bits(problem, random);
    }
  }
}

TEST_CASE("lstm on a gpu: rows of a table are projected with operands of any precision") {
  RandomNumbers random(62);
  for (const Precision precision : {Precision::float32, Precision::tf32, Precision::bfloat16}) {
    LstmProblem problem = random_lstm({4, 7, 33, 20}, random);
    problem.precision = precision;
    problem.bias.clear();
    problem.mask = random_mask(problem, random);
    check_same_bits(problem, random);
  }
}

TEST_CASE("lstm on a gpu: the first slice of a batch projects the table for all of them") {
  RandomNumbers random(63);
  const LstmCutScope scope({.slice_bytes = 2 * 16 * 6 * 8});
  for (const bool masked : {false, true}) {
    LstmProblem problem = random_lstm({5, 6, 4, 8}, random);
    if (masked) problem.mask = random_mask(problem, random);
    check_same_bits(problem, random);
  }
}

TEST_CASE("lstm on a gpu: the slices behind the first one of a batch project nothing") {
  if (gpu_backend() != Backend::emulated) return;
  RandomNumbers random(65);
  const LstmProblem problem = random_lstm({6, 6, 4, 8}, random);
  LstmWords inputs(problem, random);
  LstmKernel kernel(Backend::emulated, inputs.problem());
  kernels::LstmForward forward = kernel.forward_arguments();
  inputs.give_to(forward);
  // One block has all there is to project, and passes barriers for it.
  const auto barriers_of_slices = [&](std::int64_t slices) {
    const LstmCutScope scope({.slice_bytes = 6 / slices * 16 * 6 * 8});
    const auto barriers = [] {
      std::int64_t all = 0;
      for (const auto& [name, record] : simt::launch_records()) {
        if (short_kernel_name(name).rfind("lstm_projection_kernel<", 0) == 0)
          all += record.barriers;
      }
      return all;
    };
    const std::int64_t before = barriers();
    static_cast<void>(sequence_of(kernel, problem, forward));
    return barriers() - before;
  };
  CHECK(barriers_of_slices(1) > 2);
  CHECK(barriers_of_slices(3) == barriers_of_slices(1) + 2);
}

TEST_CASE("lstm on a gpu: an id outside of a projected table makes its row NaN, and no other") {
  RandomNumbers random(64);
  for (const std::int64_t units : {8, 130}) {
    for (const bool masked : {false, true}) {
      LstmProblem problem = random_lstm({4, 6, 3, units}, random);
      problem.mask = Numbers(4 * 6, 1);
      problem.mask[2 * 6 + 5] = 0;
      if (!masked) problem.mask.clear();
      LstmWords inputs(problem, random);
      LstmKernel kernel(gpu_backend(), inputs.problem());
      const Numbers expected = kernel.forward().sequence;
      inputs.id(0, 3) = LstmWords::kTableRows;
      inputs.id(1, 0) = -1;
      inputs.id(2, 5) = LstmWords::kTableRows + 1;  // masked, or the last step
      kernels::LstmForward forward = kernel.forward_arguments();
      inputs.give_to(forward);
      const Numbers got = sequence_of(kernel, problem, forward);
      const std::array<std::int64_t, 4> good_steps{3, 0, masked ? 6 : 5, 6};
      for (std::int64_t n = 0; n < 4 * 6 * units; ++n) {
        const auto i = static_cast<std::size_t>(n);
        const std::int64_t row = n / units / 6;
        if (n / units % 6 < good_steps[static_cast<std::size_t>(row)]) {
          CHECK(got[i] == expected[i]);
        } else {
          CHECK(std::isnan(got[i]));
        }
      }
    }
  }
}
