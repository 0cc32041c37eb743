#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/lstm.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/guarded_matrix.hpp"
#include "tests/support/lstm_reference.hpp"

namespace braid::testing {

// Calls the LSTM kernels with a problem's numbers, everything in guarded memory. `gap` numbers lie
// between the rows of each operand.
class LstmKernel {
 public:
  LstmKernel(Backend backend, const LstmProblem& problem, std::int64_t gap = 0)
      : backend_(backend),
        shape_{problem.rows, problem.steps, problem.features, problem.units},
        gap_(gap),
        in_(problem.in, problem.features, gap),
        mask_(problem.mask, problem.steps, gap),
        kernel_(problem.kernel, 4 * problem.units, gap),
        recurrent_(problem.recurrent, 4 * problem.units, gap),
        bias_(problem.bias, 4 * problem.units),
        initial_h_(problem.initial_h, problem.units, gap),
        initial_c_(problem.initial_c, problem.units, gap),
        saved_(1, problem.rows * kernels::lstm_saved_per_row(shape_)),
        problem_(problem) {}

  kernels::LstmForward forward_arguments() {
    return {.shape = shape_,
            .in = in_.matrix(),
            .mask = problem_.mask.empty() ? Matrix<std::uint8_t>{} : mask_.matrix(),
            .kernel = kernel_.matrix(),
            .recurrent = recurrent_.matrix(),
            .bias = problem_.bias.empty() ? nullptr : bias_.data(),
            .initial_h = problem_.initial_h.empty() ? Matrix<float>{} : initial_h_.matrix(),
            .initial_c = problem_.initial_c.empty() ? Matrix<float>{} : initial_c_.matrix(),
            .activation = problem_.activation,
            .recurrent_activation = problem_.recurrent_activation,
            .go_backwards = problem_.go_backwards,
            .precision = problem_.precision};
  }

  void launch(kernels::LstmForward arguments) {
    GuardedScratch scratch(kernels::lstm_forward_scratch(shape_));
    arguments.scratch = scratch.data();
    launch_on(backend_, arguments);
    CHECK(scratch.guards_are_intact());
  }

  // Keeps what the backward pass needs.
  LstmResults forward() {
    kernels::LstmForward arguments = forward_arguments();
    GuardedMatrix<float> sequence(shape_.rows * shape_.steps, shape_.units, gap_);
    GuardedMatrix<float> output(shape_.rows, shape_.units, gap_);
    GuardedMatrix<float> h(shape_.rows, shape_.units, gap_);
    GuardedMatrix<float> c(shape_.rows, shape_.units, gap_);
    arguments.sequence = sequence.matrix();
    arguments.last_output = output.matrix();
    arguments.last_h = h.matrix();
    arguments.last_c = c.matrix();
    arguments.saved = saved_.data();
    launch(arguments);
    for (const GuardedMatrix<float>* written : {&sequence, &output, &h, &c, &saved_}) {
      CHECK(written->guards_are_intact());
    }
    CHECK(output.elements() == h.elements());
    return {sequence.values(), h.values(), c.values()};
  }

  kernels::LstmBackward backward_arguments() {
    const kernels::LstmForward f = forward_arguments();
    return {.shape = shape_,
            .in = f.in,
            .mask = f.mask,
            .kernel = f.kernel,
            .recurrent = f.recurrent,
            .initial_h = f.initial_h,
            .initial_c = f.initial_c,
            .saved = saved_.data(),
            .activation = f.activation,
            .recurrent_activation = f.recurrent_activation,
            .go_backwards = f.go_backwards,
            .precision = f.precision};
  }

  void launch(kernels::LstmBackward arguments) {
    GuardedScratch scratch(kernels::lstm_backward_scratch(shape_, arguments.table_grad.rows));
    arguments.scratch = scratch.data();
    launch_on(backend_, arguments);
    CHECK(scratch.guards_are_intact());
  }

  // All gradients, after forward(). Half of last_h's arrives as the last output's.
  LstmGrads backward(const LstmOutputGrads& grads) {
    const Numbers half = [&] {
      Numbers values = grads.last_h;
      for (double& value : values) value /= 2;
      return values;
    }();
    GuardedMatrix<float> sequence_grad(grads.sequence, shape_.units, gap_);
    GuardedMatrix<float> h_grad(half, shape_.units, gap_);
    GuardedMatrix<float> c_grad(grads.last_c, shape_.units, gap_);
    GuardedMatrix<float> in(shape_.rows * shape_.steps, shape_.features, gap_);
    GuardedMatrix<float> kernel(shape_.features, 4 * shape_.units, gap_);
    GuardedMatrix<float> recurrent(shape_.units, 4 * shape_.units, gap_);
    GuardedMatrix<float> bias(1, 4 * shape_.units);
    GuardedMatrix<float> initial_h(shape_.rows, shape_.units, gap_);
    GuardedMatrix<float> initial_c(shape_.rows, shape_.units, gap_);
    kernels::LstmBackward arguments = backward_arguments();
    if (!grads.sequence.empty()) arguments.sequence_grad = sequence_grad.matrix();
    if (!grads.last_h.empty()) {
      arguments.last_output_grad = h_grad.matrix();
      arguments.last_h_grad = h_grad.matrix();
    }
    if (!grads.last_c.empty()) arguments.last_c_grad = c_grad.matrix();
    arguments.in_grad = in.matrix();
    arguments.kernel_grad = kernel.matrix();
    arguments.recurrent_grad = recurrent.matrix();
    arguments.bias_grad = bias.data();
    arguments.initial_h_grad = initial_h.matrix();
    arguments.initial_c_grad = initial_c.matrix();
    launch(arguments);
    for (const GuardedMatrix<float>* written :
         {&in, &kernel, &recurrent, &bias, &initial_h, &initial_c, &saved_}) {
      CHECK(written->guards_are_intact());
    }
    return {in.values(),   kernel.values(),    recurrent.values(),
            bias.values(), initial_h.values(), initial_c.values()};
  }

 private:
  Backend backend_;
  kernels::LstmShape shape_;
  std::int64_t gap_;
  GuardedMatrix<float> in_;
  GuardedMatrix<std::uint8_t> mask_;
  GuardedMatrix<float> kernel_;
  GuardedMatrix<float> recurrent_;
  GuardedMatrix<float> bias_;
  GuardedMatrix<float> initial_h_;
  GuardedMatrix<float> initial_c_;
  GuardedMatrix<float> saved_;
  LstmProblem problem_;
};

struct LstmSize {
  std::int64_t rows;
  std::int64_t steps;
  std::int64_t features;
  std::int64_t units;
};

inline LstmProblem random_lstm(const LstmSize& size, RandomNumbers& random) {
  const double spread = 1.5 / std::sqrt(static_cast<double>(size.features + size.units));
  LstmProblem problem{
      .rows = size.rows, .steps = size.steps, .features = size.features, .units = size.units};
  problem.in = random.floats(size.rows * size.steps * size.features, -1, 1);
  problem.kernel = random.floats(size.features * 4 * size.units, -spread, spread);
  problem.recurrent = random.floats(size.units * 4 * size.units, -spread, spread);
  problem.bias = random.floats(4 * size.units, -0.5, 0.5);
  problem.initial_h = random.floats(size.rows * size.units, -0.7, 0.7);
  problem.initial_c = random.floats(size.rows * size.units, -1, 1);
  return problem;
}

inline LstmOutputGrads random_grads(const LstmProblem& problem, RandomNumbers& random) {
  return {random.floats(problem.rows * problem.steps * problem.units, -1, 1),
          random.floats(problem.rows * problem.units, -1, 1),
          random.floats(problem.rows * problem.units, -1, 1)};
}

// The share of numbers that differ by no more.
inline double share_within(const Numbers& got, const Numbers& expected, double most) {
  REQUIRE(got.size() == expected.size());
  if (got.empty()) return 1;
  std::size_t close = 0;
  for (std::size_t i = 0; i < got.size(); ++i)
    close += std::abs(got[i] - expected[i]) <= most ? 1 : 0;
  return static_cast<double>(close) / static_cast<double>(got.size());
}

// A gradient of z that lies between two rounded numbers may go to the other one than in float64:
// then a row or a column of sums is a little off.
inline void check_rounded_sums(const Numbers& got, const Numbers& expected) {
  CHECK(share_within(got, expected, 2e-5) >= 0.9);
  CHECK(largest_error(got, expected) < 0.03);
}

// Row b has the mask whose bits are b: every pattern of 2^T rows.
inline Numbers every_mask(std::int64_t steps) {
  Numbers mask;
  for (std::int64_t b = 0; b < std::int64_t{1} << steps; ++b) {
    for (std::int64_t t = 0; t < steps; ++t) mask.push_back(static_cast<double>((b >> t) & 1));
  }
  return mask;
}

inline Numbers random_mask(const LstmProblem& problem, RandomNumbers& random) {
  Numbers mask;
  for (std::int64_t b = 0; b < problem.rows; ++b) {
    const double share = random.uniform(-0.2, 1.2);
    for (std::int64_t t = 0; t < problem.steps; ++t) {
      mask.push_back(random.uniform(0, 1) < share ? 1 : 0);
    }
  }
  return mask;
}

}  // namespace braid::testing
