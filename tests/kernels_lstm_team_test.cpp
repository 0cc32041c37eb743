// LSTMs of many units by teams of blocks, which exchange what each step leaves. Cut for so many
// multiprocessors that one team fits, it has several tiles of rows to take in turns.
#include <algorithm>
#include <bit>
#include <cmath>

#include "kernels/lstm_gpu.hpp"
#include "kernels/simt/launch_records.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/emulated_gpu_scope.hpp"
#include "tests/support/lstm_cut.hpp"
#include "tests/support/lstm_kernel.hpp"
#include "tests/support/rounded_lstm.hpp"
#include "tests/support/schedules.hpp"

using namespace braid;
using namespace braid::testing;
using kernels::ActivationKind;

namespace {

// Of up to 136 units: 17 blocks forward, 9 back, of 18. On matrix units blocks have twice as many
// units, where these could not all have a multiprocessor of their own.
constexpr kernels::LstmCut kOneTeam{.multiprocessors = 9};

void check_exact(const LstmProblem& problem, const LstmOutputGrads& grads, std::int64_t gap = 0) {
  INFO("B " << problem.rows << ", T " << problem.steps << ", E " << problem.features << ", H "
            << problem.units);
  const LstmResults expected = lstm_forward(problem);
  const LstmGrads expected_grads = lstm_backward(problem, grads);
  LstmKernel kernel(gpu_backend(), problem, gap);
  const LstmResults got = kernel.forward();
  CHECK(largest_error(got.sequence, expected.sequence) < 3e-6);
  CHECK(largest_error(got.last_h, expected.last_h) < 3e-6);
  CHECK(largest_error(got.last_c, expected.last_c) < 3e-6);
  const LstmGrads got_grads = kernel.backward(grads);
  for (const auto& [some, wanted] : {std::pair{&got_grads.in, &expected_grads.in},
                                     {&got_grads.kernel, &expected_grads.kernel},
                                     {&got_grads.recurrent, &expected_grads.recurrent},
                                     {&got_grads.bias, &expected_grads.bias},
                                     {&got_grads.initial_h, &expected_grads.initial_h},
                                     {&got_grads.initial_c, &expected_grads.initial_c}}) {
    if (!wanted->empty()) CHECK(largest_error(*some, *wanted) < 1e-5);
  }
}

// In float32, and with operands that are rounded, by small blocks and by large ones.
void check_all_precisions(LstmProblem problem, const LstmOutputGrads& grads, std::int64_t gap = 0) {
  problem.precision = Precision::float32;
  check_exact(problem, grads, gap);
  for (const Precision precision : kRounding) {
    problem.precision = precision;
    for (const kernels::LstmCut& cut : {kernels::LstmCut{}, kOneTeam}) {
      const LstmCutScope scope(cut);
      check_rounded_lstm(problem, precision, grads, gap);
    }
  }
}

// Launches of a pass forward and one back: by teams, and of steps by themselves.
struct Launched {
  std::int64_t forward = 0;
  std::int64_t backward = 0;
  std::int64_t steps = 0;
};
Launched launched(const LstmProblem& problem) {
  RandomNumbers random(204);
  auto before = simt::launch_records();
  LstmKernel kernel(Backend::emulated, problem);
  kernel.forward();
  kernel.backward(random_grads(problem, random));
  Launched counts;
  for (const auto& [name, record] : simt::launch_records()) {
    const std::string kernel_name = short_kernel_name(name);
    const std::int64_t more = record.launches - before[name].launches;
    const auto is = [&](const char* part) { return kernel_name.find(part) != std::string::npos; };
    if (is("lstm_forward_team_kernel<")) counts.forward += more;
    if (is("lstm_backward_team_kernel<")) counts.backward += more;
    if (is("_step_kernel<")) counts.steps += more;
  }
  return counts;
}
bool goes_by_teams(const LstmProblem& problem) {
  const Launched counts = launched(problem);
  return counts.forward == 1 && counts.backward == 1 && counts.steps == 0;
}

}  // namespace

TEST_CASE("lstm by teams: any number of units and rows, with any mask") {
  const EmulatedGpuScope gpu(kH100);
  RandomNumbers random(201);
  for (const LstmSize& size :
       {LstmSize{1, 2, 2, 129}, LstmSize{2, 1, 2, 130}, LstmSize{31, 1, 2, 136},
        LstmSize{33, 1, 2, 137}, LstmSize{25, 3, 2, 129}, LstmSize{4, 2, 3, 191},
        LstmSize{3, 2, 1, 192}, LstmSize{2, 2, 0, 257}}) {
    LstmProblem problem = random_lstm(size, random);
    problem.go_backwards = random.below(2) == 0;
    if (size.rows != 2) problem.mask = random_mask(problem, random);
    check_all_precisions(problem, random_grads(problem, random), size.units % 3);
  }
}

TEST_CASE("lstm by teams: a team takes tiles of rows in turns, which end at different steps") {
  const EmulatedGpuScope gpu(kH100);
  RandomNumbers random(202);
  const LstmCutScope scope(kOneTeam);
  // Three and four at once, and five in two rounds.
  for (const std::int64_t rows : {70, 97, 130}) {
    LstmProblem problem = random_lstm({rows, 4, 1, rows == 97 ? 136 : 129}, random);
    problem.mask = random_mask(problem, random);
    check_exact(problem, random_grads(problem, random));
  }
  // With operands that are rounded a step and the one before it; of more, that the bits are those
  // without turns is checked below.
  const LstmProblem problem = random_lstm({70, 1, 2, 131}, random);
  check_all_precisions(problem, random_grads(problem, random));
}

TEST_CASE("lstm by teams: a round begins when all have read what the one before it left") {
  RandomNumbers random(213);
  const LstmProblem problem = random_lstm({130, 1, 1, 129}, random);
  const LstmOutputGrads grads = random_grads(problem, random);
  // One team forward; one back, and forward none.
  for (const kernels::LstmCut& cut : {kOneTeam, kernels::LstmCut{.multiprocessors = 5}}) {
    const LstmCutScope scope(cut);
    for (const simt::Schedule& schedule : every_schedule()) {
      const ScheduleScope order(schedule);
      check_exact(problem, grads);
    }
  }
}

TEST_CASE("lstm by teams: every mask of up to four steps") {
  const EmulatedGpuScope gpu(kH100);
  RandomNumbers random(203);
  for (std::int64_t steps = 1; steps <= 4; ++steps) {
    LstmProblem problem = random_lstm({std::int64_t{1} << steps, steps, 2, 131}, random);
    problem.mask = every_mask(steps);
    problem.go_backwards = steps % 2 == 0;
    check_all_precisions(problem, random_grads(problem, random));
  }
}

TEST_CASE("lstm by teams: a row of many steps is right to its end") {
  RandomNumbers random(205);
  LstmProblem problem = random_lstm({35, 40, 1, 129}, random);
  problem.mask = random_mask(problem, random);
  for (std::size_t t = 0; t < 40; ++t) problem.mask[t] = 1;
  check_exact(problem, random_grads(problem, random));
}

TEST_CASE("lstm by teams: numbers that look like words nobody has left are left all the same") {
  const float unset = std::bit_cast<float>(0xFFFFFFFFU);  // one that is not a number
  RandomNumbers random(210);
  LstmProblem problem = random_lstm({3, 4, 2, 130}, random);
  const auto columns = static_cast<std::size_t>(problem.units);
  const auto check_row = [&](const Numbers& numbers, std::size_t row) {
    for (std::size_t i = 0; i < numbers.size(); ++i)
      CHECK(std::isnan(numbers[i]) == (i / columns == row));
  };
  for (const Precision precision : {Precision::float32, Precision::tf32, Precision::bfloat16}) {
    INFO(text_of(precision));
    problem.precision = precision;
    LstmProblem first = problem;
    std::fill_n(first.initial_h.begin(), columns, unset);
    LstmKernel predicting(gpu_backend(), first);
    kernels::LstmForward forward = predicting.forward_arguments();
    GuardedMatrix<float> last(problem.rows, problem.units);
    forward.last_h = last.matrix();
    predicting.launch(forward);
    check_row(last.values(), 0);

    LstmOutputGrads grads = random_grads(problem, random);
    std::fill_n(grads.last_h.begin() + problem.units, columns, unset);
    LstmKernel training(gpu_backend(), problem);
    training.forward();
    check_row(training.backward(grads).initial_h, 1);
  }
}

TEST_CASE("lstm by teams: without steps, states, sequences, or gradients of them") {
  RandomNumbers random(206);
  LstmProblem none = random_lstm({3, 0, 2, 130}, random);
  check_exact(none, random_grads(none, random));
  LstmProblem problem = random_lstm({5, 4, 2, 130}, random);
  problem.mask = {1, 1, 0, 1, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 1, 0, 1, 0, 0, 0};
  problem.initial_h.clear();
  problem.initial_c.clear();
  problem.bias.clear();
  const LstmOutputGrads all = random_grads(problem, random);
  for (const LstmOutputGrads& grads :
       {LstmOutputGrads{all.sequence, {}, {}}, {{}, all.last_h, {}}, {{}, {}, all.last_c}})
    check_exact(problem, grads);
  // Nothing is kept, one output is wanted.
  LstmKernel kernel(gpu_backend(), problem);
  kernels::LstmForward forward = kernel.forward_arguments();
  GuardedMatrix<float> last(problem.rows, problem.units, 3);
  forward.last_output = last.matrix();
  kernel.launch(forward);
  CHECK(last.guards_are_intact());
  CHECK(largest_error(last.values(), lstm_forward(problem).last_h) < 3e-6);
  // Gradients of the weights alone: there is no step before the first one.
  LstmKernel training(gpu_backend(), problem);
  training.forward();
  kernels::LstmBackward backward = training.backward_arguments();
  GuardedMatrix<float> h_grad(all.last_h, problem.units);
  GuardedMatrix<float> recurrent(problem.units, 4 * problem.units);
  backward.last_h_grad = h_grad.matrix();
  backward.recurrent_grad = recurrent.matrix();
  training.launch(backward);
  CHECK(recurrent.guards_are_intact());
  CHECK(largest_error(recurrent.values(), lstm_backward(problem, {{}, all.last_h, {}}).recurrent) <
        1e-5);
}

TEST_CASE("lstm by teams: results do not depend on how many teams there are") {
  RandomNumbers random(207);
  // More steps than the ring has places for.
  LstmProblem problem = random_lstm({35, 12, 2, 130}, random);
  problem.mask = random_mask(problem, random);
  std::fill_n(problem.mask.begin(), problem.steps, 1);
  const LstmOutputGrads grads = random_grads(problem, random);
  const auto results_of = [&](const kernels::LstmCut& cut) {
    const LstmCutScope scope(cut);
    LstmKernel kernel(gpu_backend(), problem);
    const LstmResults got = kernel.forward();
    const LstmGrads got_grads = kernel.backward(grads);
    return std::vector<Numbers>{got.sequence, got.last_c, got_grads.in, got_grads.initial_h,
                                got_grads.initial_c};
  };
  for (const Precision precision : {Precision::float32, Precision::tf32, Precision::bfloat16}) {
    INFO(text_of(precision));
    problem.precision = precision;
    CHECK(results_of(kOneTeam) == results_of({}));
  }
}

TEST_CASE("lstm by teams: few units, other functions and too small devices are not") {
  const EmulatedGpuScope gpu(kH100);
  if (gpu_backend() != Backend::emulated) return;
  RandomNumbers random(208);
  LstmProblem problem = random_lstm({3, 2, 2, 136}, random);
  CHECK(goes_by_teams(problem));
  CHECK(launched(random_lstm({3, 2, 2, 128}, random)).forward == 0);
  LstmProblem other = problem;
  other.activation = {ActivationKind::relu};
  CHECK(launched(other).forward == 0);
  CHECK(launched(other).steps > 0);
  const LstmCutScope scope(kOneTeam);
  CHECK(goes_by_teams(problem));
  // Eighteen blocks going forward, nineteen; both ten at the most going back.
  CHECK(goes_by_teams(random_lstm({3, 2, 2, 144}, random)));
  const Launched too_many = launched(random_lstm({3, 2, 2, 145}, random));
  CHECK(too_many.forward == 0);
  CHECK(too_many.backward == 1);
}

// The race flavour would fill the memory: it keeps the clocks of all threads for each of them.
#if !defined(BRAID_SIMT_RACES)
TEST_CASE("lstm by teams: weights that a block cannot hold are for steps of their own") {
  const EmulatedGpuScope gpu(kH100);
  if (gpu_backend() != Backend::emulated) return;
  RandomNumbers random(209);
  // Sixteen columns of 4 x 840 floats are more than shared memory has beside the sums.
  LstmProblem problem = random_lstm({1, 1, 1, 840}, random);
  const Launched counts = launched(problem);
  CHECK(counts.forward == 1);
  CHECK(counts.backward == 0);
  CHECK(counts.steps > 0);
  problem.precision = Precision::bfloat16;
  CHECK(goes_by_teams(problem));
}
#endif
