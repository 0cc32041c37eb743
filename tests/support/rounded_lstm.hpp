#pragma once
#include <algorithm>
#include <cmath>

#include "tests/support/lstm_kernel.hpp"

// LSTMs whose products are of rounded operands, from step to step too. The reference rounds the
// same ones, in float64.
namespace braid::testing {

// What is rounded may go to the other neighbour than in float64, and then a row is off by a step of
// the rounded numbers from there on.
inline void check_rounded_results(const Numbers& got, const Numbers& expected,
                                  Precision recurrence = Precision::tf32) {
  CHECK(share_within(got, expected, 5e-6) >= 0.9);
  CHECK(largest_error(got, expected) < (recurrence == Precision::tf32 ? 0.002 : 0.016));
}

// So many rows have numbers that differ by more.
inline std::int64_t rows_beyond(const Numbers& got, const Numbers& expected, std::int64_t rows,
                                double most) {
  REQUIRE(got.size() == expected.size());
  const std::size_t columns = got.size() / static_cast<std::size_t>(rows);
  std::int64_t beyond = 0;
  for (std::size_t first = 0; first < got.size(); first += columns) {
    double worst = 0;
    for (std::size_t i = first; i < first + columns; ++i)
      worst = std::max(worst, std::abs(got[i] - expected[i]));
    beyond += worst > most ? 1 : 0;
  }
  return beyond;
}

// The problem as the reference has to take it. Who has no matrix units takes float32.
inline LstmProblem rounding_of(LstmProblem problem, Precision recurrence) {
  if (has_matrix_units(gpu_backend())) {
    problem.recurrence = recurrence;
  } else {
    problem.precision = Precision::float32;
  }
  return problem;
}

inline void check_rounded_lstm(const LstmProblem& problem, Precision recurrence,
                               const LstmOutputGrads& grads, std::int64_t gap = 0) {
  INFO("B " << problem.rows << ", T " << problem.steps << ", E " << problem.features << ", H "
            << problem.units << ", " << text_of(problem.precision));
  const LstmProblem rounding = rounding_of(problem, recurrence);
  const LstmResults expected = lstm_forward(rounding);
  const LstmGrads expected_grads = lstm_backward(rounding, grads);
  LstmKernel kernel(gpu_backend(), problem, gap);
  const LstmResults got = kernel.forward();
  check_rounded_results(got.sequence, expected.sequence, recurrence);
  check_rounded_results(got.last_h, expected.last_h, recurrence);
  check_rounded_results(got.last_c, expected.last_c, recurrence);
  const LstmGrads got_grads = kernel.backward(grads);
  check_rounded_sums(got_grads.in, expected_grads.in);
  check_rounded_sums(got_grads.kernel, expected_grads.kernel);
  check_rounded_sums(got_grads.recurrent, expected_grads.recurrent);
  check_rounded_sums(got_grads.bias, expected_grads.bias);
  for (const auto& [some, wanted] : {std::pair{&got_grads.initial_h, &expected_grads.initial_h},
                                     {&got_grads.initial_c, &expected_grads.initial_c}}) {
    if (wanted->empty()) continue;
    CHECK(rows_beyond(*some, *wanted, problem.rows, 2e-5) <=
          std::max<std::int64_t>(1, problem.rows / 10));
    CHECK(largest_error(*some, *wanted) < 0.01);
  }
}

}  // namespace braid::testing
