// The LSTM's products over all tokens with operands rounded to tf32 and bfloat16, against float64
// sums of operands that plain arithmetic has rounded the same way. The recurrence stays in float32.
#include "tests/support/catch.hpp"
#include "tests/support/lstm_kernel.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

// Whoever has no matrix units takes float32.
LstmProblem taken_by(Backend backend, LstmProblem problem) {
  if (!has_matrix_units(backend)) problem.precision = Precision::float32;
  return problem;
}

void check_everything(const LstmProblem& problem, const LstmOutputGrads& grads, std::int64_t gap) {
  for (const Backend backend : tested_backends()) {
    INFO(text_of(problem.precision)
         << " on " << kernels::name_of(backend) << ", B " << problem.rows << ", T " << problem.steps
         << ", E " << problem.features << ", H " << problem.units);
    const LstmProblem rounding = taken_by(backend, problem);
    const LstmResults expected = lstm_forward(rounding);
    const LstmGrads expected_grads = lstm_backward(rounding, grads);
    LstmKernel kernel(backend, problem, gap);
    const LstmResults got = kernel.forward();
    CHECK(largest_error(got.sequence, expected.sequence) < 3e-6);
    CHECK(largest_error(got.last_h, expected.last_h) < 3e-6);
    CHECK(largest_error(got.last_c, expected.last_c) < 3e-6);
    const LstmGrads got_grads = kernel.backward(grads);
    check_rounded_sums(got_grads.in, expected_grads.in);
    check_rounded_sums(got_grads.kernel, expected_grads.kernel);
    check_rounded_sums(got_grads.recurrent, expected_grads.recurrent);
    // Of what is not there, the reference has no gradients.
    for (const auto& [some, wanted] : {std::pair{&got_grads.bias, &expected_grads.bias},
                                       {&got_grads.initial_h, &expected_grads.initial_h},
                                       {&got_grads.initial_c, &expected_grads.initial_c}})
      CHECK((wanted->empty() || largest_error(*some, *wanted) < 1e-5));
  }
}

}  // namespace

TEST_CASE("lstm: tf32 and bfloat16 products over tokens are sums of rounded operands") {
  RandomNumbers random(71);
  // Around the 8 and 16 places of an instruction, the blocks of 16 x 8, the tiles of 64 x 128.
  for (const LstmSize& size : {LstmSize{1, 1, 1, 1},
                               {2, 3, 2, 3},
                               {3, 5, 7, 8},
                               {1, 9, 16, 9},
                               {5, 13, 17, 16},
                               {4, 17, 33, 31},
                               {13, 5, 8, 33},
                               {7, 10, 130, 40},
                               {2, 70, 15, 66}}) {
    LstmProblem problem = random_lstm(size, random);
    const LstmOutputGrads grads = random_grads(problem, random);
    for (const Precision precision : kRounding) {
      problem.precision = precision;
      check_everything(problem, grads, size.units % 3);
    }
  }
}

TEST_CASE("lstm: tf32 and bfloat16 go with masks, without bias and states, and back through time") {
  RandomNumbers random(72);
  LstmProblem problem = random_lstm({6, 11, 12, 20}, random);
  problem.mask = random_mask(problem, random);
  problem.bias.clear();
  problem.initial_h.clear();
  problem.initial_c.clear();
  problem.go_backwards = true;
  const LstmOutputGrads grads = random_grads(problem, random);
  for (const Precision precision : kRounding) {
    problem.precision = precision;
    check_everything(problem, grads, 1);
  }
}

TEST_CASE("lstm: a precision is taken, and only by the products over tokens") {
  if (!has_matrix_units(gpu_backend())) return;
  RandomNumbers random(73);
  LstmProblem problem = random_lstm({3, 6, 40, 24}, random);
  const LstmOutputGrads grads = random_grads(problem, random);
  LstmKernel exact(gpu_backend(), problem);
  const Numbers sequence = exact.forward().sequence;
  const LstmGrads exact_grads = exact.backward(grads);
  double before = 1e-6;
  for (const Precision precision : kRounding) {
    INFO(text_of(precision));
    problem.precision = precision;
    LstmKernel kernel(gpu_backend(), problem);
    const double error = largest_error(kernel.forward().sequence, sequence);
    CHECK(error > 2 * before);
    before = error;
    const LstmGrads got = kernel.backward(grads);
    for (const auto& [rounded, plain] : {std::pair{&got.in, &exact_grads.in},
                                         {&got.kernel, &exact_grads.kernel},
                                         {&got.recurrent, &exact_grads.recurrent}})
      CHECK(share_within(*rounded, *plain, 2e-6) < 0.5);
  }
  // Without inputs there is nothing to round.
  LstmProblem alone = random_lstm({2, 5, 0, 12}, random);
  LstmKernel plain(gpu_backend(), alone);
  const Numbers expected = plain.forward().sequence;
  alone.precision = Precision::bfloat16;
  LstmKernel rounding(gpu_backend(), alone);
  CHECK(rounding.forward().sequence == expected);
}
