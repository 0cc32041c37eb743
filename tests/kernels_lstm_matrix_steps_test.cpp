// Steps of an LSTM on matrix units: of few units and many more rows than a device has
// multiprocessors, where operands need not be float32. The reference rounds the same operands to
// tf32, in float64.
#include "kernels/lstm_gpu.hpp"
#include "kernels/simt/launch_records.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/emulated_gpu_scope.hpp"
#include "tests/support/lstm_cut.hpp"
#include "tests/support/lstm_kernel.hpp"
#include "tests/support/rounded_lstm.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

// Two rows go to matrix units.
constexpr kernels::LstmCut kFewRows{.multiprocessors = 1, .rows_without_matrix_units = 1};

void check_on_matrix_units(const LstmProblem& problem, const LstmOutputGrads& grads,
                           std::int64_t gap = 0) {
  const LstmCutScope scope(kFewRows);
  check_rounded_lstm(problem, Precision::tf32, grads, gap);
}

}  // namespace

TEST_CASE("lstm on matrix units: steps of any number of units and rows, with any mask") {
  RandomNumbers random(181);
  for (const LstmSize& size :
       {LstmSize{2, 1, 1, 1}, LstmSize{3, 4, 2, 4}, LstmSize{8, 3, 3, 15}, LstmSize{9, 5, 1, 16},
        LstmSize{7, 2, 3, 17}, LstmSize{16, 3, 2, 31}, LstmSize{17, 4, 2, 32},
        LstmSize{5, 3, 3, 33}, LstmSize{10, 4, 2, 47}, LstmSize{3, 5, 2, 63},
        LstmSize{25, 3, 2, 64}}) {
    for (const bool masked : {false, true}) {
      LstmProblem problem = random_lstm(size, random);
      problem.precision = kRounding[random.below(2)];
      problem.go_backwards = random.below(2) == 0;
      if (masked) problem.mask = random_mask(problem, random);
      check_on_matrix_units(problem, random_grads(problem, random), size.rows % 3);
    }
  }
}

TEST_CASE("lstm on matrix units: every mask of up to four steps") {
  RandomNumbers random(182);
  for (std::int64_t steps = 1; steps <= 4; ++steps) {
    for (const std::int64_t units : {3, 40}) {
      LstmProblem problem = random_lstm({std::int64_t{1} << steps, steps, 2, units}, random);
      problem.precision = Precision::tf32;
      problem.mask = every_mask(steps);
      problem.go_backwards = steps % 2 == 0;
      check_on_matrix_units(problem, random_grads(problem, random));
    }
  }
}

TEST_CASE("lstm on matrix units: without states, sequences, or gradients of them") {
  RandomNumbers random(183);
  LstmProblem problem = random_lstm({11, 6, 3, 20}, random);
  problem.precision = Precision::tf32;
  problem.initial_h.clear();
  problem.initial_c.clear();
  problem.bias.clear();
  const LstmOutputGrads all = random_grads(problem, random);
  const LstmCutScope scope(kFewRows);
  const LstmProblem rounding = rounding_of(problem, Precision::tf32);
  for (const LstmOutputGrads& grads :
       {LstmOutputGrads{all.sequence, {}, {}}, {{}, all.last_h, {}}, {{}, {}, all.last_c}}) {
    LstmKernel kernel(gpu_backend(), problem);
    kernel.forward();
    const LstmGrads got = kernel.backward(grads);
    const LstmGrads expected = lstm_backward(rounding, grads);
    check_rounded_sums(got.in, expected.in);
    check_rounded_sums(got.kernel, expected.kernel);
    check_rounded_sums(got.recurrent, expected.recurrent);
  }
  // Predicting: nothing is kept, one output is wanted.
  LstmKernel kernel(gpu_backend(), problem);
  kernels::LstmForward forward = kernel.forward_arguments();
  GuardedMatrix<float> last(problem.rows, problem.units, 3);
  forward.last_output = last.matrix();
  kernel.launch(forward);
  CHECK(last.guards_are_intact());
  check_rounded_results(last.values(), lstm_forward(rounding).last_h);
}

TEST_CASE("lstm on matrix units: a row of many steps is right to its end") {
  RandomNumbers random(184);
  LstmProblem problem = random_lstm({9, 40, 2, 24}, random);
  problem.precision = Precision::tf32;
  problem.mask = random_mask(problem, random);
  for (std::size_t t = 0; t < 40; ++t) problem.mask[t] = 1;
  const LstmOutputGrads grads = random_grads(problem, random);
  const LstmProblem rounding = rounding_of(problem, Precision::tf32);
  const LstmCutScope scope(kFewRows);
  LstmKernel kernel(gpu_backend(), problem);
  const LstmResults got = kernel.forward();
  const LstmResults expected = lstm_forward(rounding);
  check_rounded_results(got.sequence, expected.sequence);
  check_rounded_results(got.last_c, expected.last_c);
  // In sums over all tokens everything that went to the other neighbour shows.
  const LstmGrads got_grads = kernel.backward(grads);
  const LstmGrads expected_grads = lstm_backward(rounding, grads);
  CHECK(share_within(got_grads.in, expected_grads.in, 2e-5) >= 0.9);
  for (const auto& [some, wanted] : {std::pair{&got_grads.in, &expected_grads.in},
                                     {&got_grads.kernel, &expected_grads.kernel},
                                     {&got_grads.recurrent, &expected_grads.recurrent},
                                     {&got_grads.bias, &expected_grads.bias}})
    CHECK(largest_error(*some, *wanted) < 0.003);
}

TEST_CASE("lstm on matrix units: float32, few rows, many units and other functions are not") {
  const EmulatedGpuScope gpu(kH100);
  if (gpu_backend() != Backend::emulated) return;
  const auto launches_of = [](const LstmSize& size, Precision precision,
                              kernels::ActivationKind activation) {
    RandomNumbers random(185);
    LstmProblem problem = random_lstm(size, random);
    problem.precision = precision;
    problem.activation = {activation};
    const LstmCutScope scope({.multiprocessors = 2, .rows_without_matrix_units = 2});
    const auto launches = [] {
      std::int64_t all = 0;
      for (const auto& [name, record] : simt::launch_records()) {
        if (short_kernel_name(name).find("_matrix_kernel<") != std::string::npos)
          all += record.launches;
      }
      return all;
    };
    const std::int64_t before = launches();
    LstmKernel kernel(Backend::emulated, problem);
    kernel.forward();
    kernel.backward(random_grads(problem, random));
    return launches() - before;
  };
  using kernels::ActivationKind;
  CHECK(launches_of({5, 2, 2, 64}, Precision::tf32, ActivationKind::tanh) == 2);
  CHECK(launches_of({5, 2, 2, 8}, Precision::bfloat16, ActivationKind::tanh) == 2);
  CHECK(launches_of({5, 2, 2, 8}, Precision::float32, ActivationKind::tanh) == 0);
  CHECK(launches_of({4, 2, 2, 8}, Precision::tf32, ActivationKind::tanh) == 0);
  CHECK(launches_of({5, 2, 2, 65}, Precision::tf32, ActivationKind::tanh) == 0);
  CHECK(launches_of({5, 2, 2, 8}, Precision::tf32, ActivationKind::relu) == 0);
}
