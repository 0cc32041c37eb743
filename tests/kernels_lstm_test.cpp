// The LSTM kernels against the same mathematics in float64 (tests/support/lstm_reference.hpp).
#include <vector>

#include "tests/support/catch.hpp"
#include "tests/support/lstm_kernel.hpp"

using namespace braid;
using namespace braid::testing;
using kernels::Activation;
using kernels::ActivationKind;

namespace {

constexpr double kForwardTolerance = 3e-6;
constexpr double kGradientTolerance = 1e-5;
// Central differences in float64 add an error of their own.
constexpr double kDifferenceTolerance = 2e-9;

void check_close(const LstmResults& got, const LstmResults& expected) {
  CHECK(largest_error(got.sequence, expected.sequence) < kForwardTolerance);
  CHECK(largest_error(got.last_h, expected.last_h) < kForwardTolerance);
  CHECK(largest_error(got.last_c, expected.last_c) < kForwardTolerance);
}

// Gradients of what a problem does not have are not compared.
void check_close(const LstmGrads& got, const LstmGrads& expected, double tolerance) {
  CHECK(largest_error(got.in, expected.in) < tolerance);
  CHECK(largest_error(got.kernel, expected.kernel) < tolerance);
  CHECK(largest_error(got.recurrent, expected.recurrent) < tolerance);
  if (!expected.bias.empty()) CHECK(largest_error(got.bias, expected.bias) < tolerance);
  if (!expected.initial_h.empty())
    CHECK(largest_error(got.initial_h, expected.initial_h) < tolerance);
  if (!expected.initial_c.empty())
    CHECK(largest_error(got.initial_c, expected.initial_c) < tolerance);
}

void check_on_every_backend(const LstmProblem& problem, const LstmOutputGrads& grads,
                            const LstmGrads& expected, std::int64_t gap) {
  const LstmResults results = lstm_forward(problem);
  for (const Backend backend : tested_backends()) {
    INFO(kernels::name_of(backend) << ", B " << problem.rows << ", T " << problem.steps << ", E "
                                   << problem.features << ", H " << problem.units);
    LstmKernel kernel(backend, problem, gap);
    check_close(kernel.forward(), results);
    check_close(kernel.backward(grads), expected, kGradientTolerance);
  }
}

}  // namespace

TEST_CASE("lstm: the float64 reference's gradients are its central differences") {
  RandomNumbers random(1);
  for (const bool go_backwards : {false, true}) {
    LstmProblem problem = random_lstm({9, 4, 3, 2}, random);
    problem.mask = random_mask(problem, random);
    problem.go_backwards = go_backwards;
    const LstmOutputGrads grads = random_grads(problem, random);
    check_close(lstm_backward(problem, grads), lstm_differences(problem, grads),
                kDifferenceTolerance);
  }
}

TEST_CASE("lstm: outputs and gradients are right for every mask of up to four steps") {
  RandomNumbers random(2);
  for (std::int64_t steps = 1; steps <= 4; ++steps) {
    for (const bool go_backwards : {false, true}) {
      for (const bool has_state : {false, true}) {
        LstmProblem problem = random_lstm({std::int64_t{1} << steps, steps, 3, 5}, random);
        problem.mask = every_mask(steps);
        problem.go_backwards = go_backwards;
        if (!has_state) problem.initial_h = problem.initial_c = {};
        const LstmOutputGrads grads = random_grads(problem, random);
        check_on_every_backend(problem, grads, lstm_differences(problem, grads), 0);
      }
    }
  }
}

TEST_CASE("lstm: outputs and gradients are right for odd, prime and whole sizes") {
  RandomNumbers random(3);
  const std::vector<LstmSize> sizes{
      {1, 1, 1, 1},   {3, 2, 3, 2},   {17, 5, 8, 5},   {33, 19, 17, 16}, {3, 19, 8, 33},
      {17, 2, 3, 64}, {33, 5, 1, 64}, {1, 19, 17, 16}, {17, 19, 1, 2},   {3, 5, 8, 1},
      {5, 3, 33, 65}, {33, 1, 3, 33}, {1, 19, 8, 32},  {2, 70, 3, 5},    {1, 9, 5, 64}};
  for (const LstmSize& size : sizes) {
    for (const bool masked : {false, true}) {
      LstmProblem problem = random_lstm(size, random);
      problem.go_backwards = random.below(2) == 0;
      if (masked) problem.mask = random_mask(problem, random);
      const LstmOutputGrads grads = random_grads(problem, random);
      check_on_every_backend(problem, grads, lstm_backward(problem, grads), 0);
    }
  }
}

// Rows alone and together, units of whole vectors and panels of any instruction set and others.
TEST_CASE("lstm: outputs and gradients are right for random sizes") {
  RandomNumbers random(31);
  const std::int64_t whole[] = {8, 16, 32, 48, 64, 96};
  for (int n = 0; n < 12; ++n) {
    const std::int64_t units = n % 2 == 0 ? whole[n / 2] : 1 + random.below(70);
    const std::int64_t rows = n % 3 == 0 ? 1 : 1 + random.below(6);
    LstmProblem problem =
        random_lstm({rows, 1 + random.below(24), 1 + random.below(24), units}, random);
    problem.go_backwards = random.below(2) == 0;
    if (random.below(2) == 0) problem.mask = random_mask(problem, random);
    const LstmOutputGrads grads = random_grads(problem, random);
    check_on_every_backend(problem, grads, lstm_backward(problem, grads), n % 3);
  }
}

TEST_CASE("lstm: operands may be columns of wider matrices") {
  RandomNumbers random(4);
  LstmProblem problem = random_lstm({7, 5, 9, 21}, random);
  problem.mask = random_mask(problem, random);
  const LstmOutputGrads grads = random_grads(problem, random);
  check_on_every_backend(problem, grads, lstm_backward(problem, grads), 3);
}

TEST_CASE("lstm: bias, states, mask and arriving gradients may be absent") {
  RandomNumbers random(5);
  const LstmProblem full = random_lstm({6, 3, 4, 7}, random);
  const LstmOutputGrads all = random_grads(full, random);
  std::vector<std::pair<LstmProblem, LstmOutputGrads>> cases(7, {full, all});
  cases[0].first.bias = {};
  cases[1].first.initial_h = {};
  cases[2].first.initial_c = {};
  cases[3].second.sequence = {};
  cases[4].second.last_h = {};
  cases[5].second.last_c = {};
  cases[6].second = {.sequence = {}, .last_h = all.last_h, .last_c = {}};
  for (const auto& [problem, grads] : cases) {
    check_on_every_backend(problem, grads, lstm_differences(problem, grads), 0);
  }
}

TEST_CASE("lstm: every activation may serve for the cell and for the gates") {
  for (const Activation& activation : all_activations()) {
    RandomNumbers random(6);
    for (const bool of_gates : {false, true}) {
      INFO(name_of(activation) << (of_gates ? " of the gates" : " of the cell"));
      LstmProblem problem = random_lstm({5, 3, 4, 9}, random);
      // Exponentials of exponentials would leave float32.
      for (double& weight : problem.recurrent) weight /= 8;
      problem.mask = {1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 0};
      (of_gates ? problem.recurrent_activation : problem.activation) = activation;
      const LstmOutputGrads grads = random_grads(problem, random);
      check_on_every_backend(problem, grads, lstm_backward(problem, grads), 0);
    }
  }
}

TEST_CASE("lstm: no rows, no steps and all-masked rows leave the state as it was") {
  RandomNumbers random(7);
  for (const LstmSize& size : {LstmSize{0, 5, 3, 4}, LstmSize{3, 0, 3, 4}, LstmSize{4, 6, 3, 5}}) {
    LstmProblem problem = random_lstm(size, random);
    problem.mask = Numbers(static_cast<std::size_t>(size.rows * size.steps), 0.0);
    const LstmOutputGrads grads = random_grads(problem, random);
    check_on_every_backend(problem, grads, lstm_backward(problem, grads), 0);
    for (const Backend backend : tested_backends()) {
      CHECK(LstmKernel(backend, problem).forward().last_h == problem.initial_h);
    }
  }
}

TEST_CASE("lstm: predicting gives the bits that training gives") {
  RandomNumbers random(8);
  for (const LstmSize& size : {LstmSize{13, 11, 6, 24}, LstmSize{1, 30, 6, 64}}) {
    LstmProblem problem = random_lstm(size, random);
    problem.mask = random_mask(problem, random);
    for (const Backend backend : tested_backends()) {
      INFO(kernels::name_of(backend));
      LstmKernel kernel(backend, problem);
      const LstmResults trained = kernel.forward();
      GuardedMatrix<float> output(problem.rows, problem.units);
      kernels::LstmForward arguments = kernel.forward_arguments();
      arguments.last_output = output.matrix();
      kernel.launch(arguments);
      CHECK(output.values() == trained.last_h);
      CHECK(output.guards_are_intact());
    }
  }
}

TEST_CASE("lstm: a row's outputs do not depend on the rows beside it") {
  RandomNumbers random(9);
  const LstmSize size = GENERATE(LstmSize{19, 9, 7, 27}, LstmSize{5, 23, 7, 64});
  LstmProblem problem = random_lstm(size, random);
  // A first row of valid steps side by side, which may take another way than gaps do.
  problem.mask = random_mask(problem, random);
  std::fill_n(problem.mask.begin(), size.steps, std::uint8_t{1});
  for (const Backend backend : tested_backends()) {
    INFO(kernels::name_of(backend));
    const LstmResults together = LstmKernel(backend, problem).forward();
    LstmResults alone;
    for (std::int64_t b = 0; b < problem.rows; ++b) {
      LstmProblem row = problem;
      row.rows = 1;
      row.in = lstm_reference::row_of(problem.in, b, problem.steps * problem.features);
      row.mask = lstm_reference::row_of(problem.mask, b, problem.steps);
      row.initial_h = lstm_reference::row_of(problem.initial_h, b, problem.units);
      row.initial_c = lstm_reference::row_of(problem.initial_c, b, problem.units);
      const LstmResults result = LstmKernel(backend, row).forward();
      alone.sequence.insert(alone.sequence.end(), result.sequence.begin(), result.sequence.end());
      alone.last_c.insert(alone.last_c.end(), result.last_c.begin(), result.last_c.end());
    }
    CHECK(alone.sequence == together.sequence);
    CHECK(alone.last_c == together.last_c);
  }
}

TEST_CASE("lstm: what a masked step holds has no influence, not even NaN") {
  RandomNumbers random(10);
  LstmProblem problem = random_lstm({8, 6, 5, 18}, random);
  problem.mask = random_mask(problem, random);
  LstmProblem spoilt = problem;
  for (std::size_t n = 0; n < problem.mask.size(); ++n) {
    for (std::size_t e = 0; problem.mask[n] == 0 && e < 5; ++e) spoilt.in[n * 5 + e] = NAN;
  }
  const LstmOutputGrads grads = random_grads(problem, random);
  for (const Backend backend : tested_backends()) {
    INFO(kernels::name_of(backend));
    LstmKernel clean(backend, problem);
    LstmKernel kernel(backend, spoilt);
    CHECK(kernel.forward().sequence == clean.forward().sequence);
    const LstmGrads got = kernel.backward(grads);
    const LstmGrads expected = clean.backward(grads);
    CHECK(got.in == expected.in);
    CHECK(got.kernel == expected.kernel);
    CHECK(got.initial_h == expected.initial_h);
  }
}

TEST_CASE("lstm: inputs named by ids are the rows of the table") {
  RandomNumbers random(11);
  const std::int64_t vocabulary = 11;
  LstmProblem problem = random_lstm({6, 7, 5, 12}, random);
  problem.mask = random_mask(problem, random);
  const Numbers table_values = random.floats(vocabulary * problem.features, -1, 1);
  Numbers id_values;
  for (std::size_t n = 0; n < problem.mask.size(); ++n) {
    const std::int64_t id = random.below(vocabulary);
    id_values.push_back(static_cast<double>(id));
    for (std::int64_t e = 0; e < problem.features; ++e) {
      problem.in[n * 5 + static_cast<std::size_t>(e)] = table_values[lstm_reference::at(id, e, 5)];
    }
  }
  GuardedMatrix<float> table(table_values, problem.features, 2);
  GuardedMatrix<std::int32_t> ids(id_values, problem.steps, 3);
  for (const Backend backend : tested_backends()) {
    INFO(kernels::name_of(backend));
    LstmKernel kernel(backend, problem);
    const LstmResults expected = kernel.forward();
    const LstmOutputGrads grads = random_grads(problem, random);
    const LstmGrads expected_grads = kernel.backward(grads);

    GuardedMatrix<float> sequence(problem.rows * problem.steps, problem.units);
    kernels::LstmForward forward = kernel.forward_arguments();
    forward.in = {};
    forward.ids = ids.matrix();
    forward.table = table.matrix();
    forward.sequence = sequence.matrix();
    kernel.launch(forward);
    CHECK(sequence.values() == expected.sequence);

    GuardedMatrix<float> arriving(grads.sequence, problem.units);
    GuardedMatrix<float> last(grads.last_h, problem.units);
    GuardedMatrix<float> last_c(grads.last_c, problem.units);
    GuardedMatrix<float> kernel_grad(problem.features, 4 * problem.units);
    kernels::LstmBackward backward = kernel.backward_arguments();
    backward.in = {};
    backward.ids = ids.matrix();
    backward.table = table.matrix();
    backward.sequence_grad = arriving.matrix();
    backward.last_output_grad = last.matrix();
    backward.last_c_grad = last_c.matrix();
    backward.kernel_grad = kernel_grad.matrix();
    kernel.launch(backward);
    CHECK(largest_error(kernel_grad.values(), expected_grads.kernel) < 1e-6);
    CHECK(kernel_grad.guards_are_intact());
  }
}

TEST_CASE("lstm: weight gradients are added to what is there when asked") {
  RandomNumbers random(12);
  const LstmProblem problem = random_lstm({5, 4, 6, 10}, random);
  const LstmOutputGrads grads = random_grads(problem, random);
  for (const Backend backend : tested_backends()) {
    INFO(kernels::name_of(backend));
    LstmKernel kernel(backend, problem);
    kernel.forward();
    GuardedMatrix<float> last(grads.last_h, problem.units);
    GuardedMatrix<float> of_kernel(problem.features, 4 * problem.units, 2);
    GuardedMatrix<float> of_recurrent(problem.units, 4 * problem.units, 2);
    GuardedMatrix<float> of_bias(1, 4 * problem.units);
    kernels::LstmBackward arguments = kernel.backward_arguments();
    arguments.last_h_grad = last.matrix();
    arguments.kernel_grad = of_kernel.matrix();
    arguments.recurrent_grad = of_recurrent.matrix();
    arguments.bias_grad = of_bias.data();
    kernel.launch(arguments);
    const auto doubled = [](Numbers values) {
      for (double& value : values) value *= 2;
      return values;
    };
    const Numbers twice_kernel = doubled(of_kernel.values());
    const Numbers twice_recurrent = doubled(of_recurrent.values());
    const Numbers twice_bias = doubled(of_bias.values());
    arguments.accumulate = true;
    kernel.launch(arguments);
    CHECK(largest_error(of_kernel.values(), twice_kernel) < 1e-6);
    CHECK(largest_error(of_recurrent.values(), twice_recurrent) < 1e-6);
    CHECK(largest_error(of_bias.values(), twice_bias) < 1e-6);
    CHECK(of_kernel.guards_are_intact());
    CHECK(of_recurrent.guards_are_intact());
  }
}

TEST_CASE("lstm: steps of the padding's id are masked, whatever else the mask says") {
  RandomNumbers random(13);
  constexpr std::int64_t kVocabulary = 4;
  for (const bool masked : {false, true}) {
    LstmProblem problem = random_lstm({9, 7, 5, 6}, random);
    problem.mask = masked ? random_mask(problem, random) : Numbers(63, 1.0);
    Numbers table_values = random.floats(kVocabulary * 5, -1, 1);
    std::fill_n(table_values.begin() + 2 * 5, 5, NAN);  // what nobody reads
    const Numbers given_mask = problem.mask;
    Numbers id_values;
    for (std::size_t n = 0; n < 63; ++n) {
      const std::int64_t id = random.below(kVocabulary);
      id_values.push_back(static_cast<double>(id));
      if (id == 2) problem.mask[n] = 0;
      for (std::int64_t e = 0; e < 5; ++e)
        problem.in[n * 5 + static_cast<std::size_t>(e)] =
            table_values[lstm_reference::at(id, e, 5)];
    }
    GuardedMatrix<float> table(table_values, 5, 2);
    GuardedMatrix<std::int32_t> ids(id_values, 7, 3);
    GuardedMatrix<std::uint8_t> mask(given_mask, 7);
    const LstmOutputGrads grads = random_grads(problem, random);
    for (const Backend backend : tested_backends()) {
      INFO(kernels::name_of(backend) << (masked ? ", masked" : ""));
      LstmKernel kernel(backend, problem);
      const LstmResults expected = kernel.forward();
      const LstmGrads expected_grads = kernel.backward(grads);
      const auto name_inputs = [&](auto& arguments) {
        arguments.in = {};
        arguments.ids = ids.matrix();
        arguments.table = table.matrix();
        arguments.padding = 2;
        arguments.mask = masked ? mask.matrix() : Matrix<std::uint8_t>{};
      };
      GuardedMatrix<float> sequence(63, 6);
      GuardedMatrix<float> saved(1, 9 * kernels::lstm_saved_per_row({9, 7, 5, 6}));
      kernels::LstmForward forward = kernel.forward_arguments();
      name_inputs(forward);
      forward.sequence = sequence.matrix();
      forward.saved = saved.data();
      kernel.launch(forward);
      CHECK(sequence.values() == expected.sequence);

      GuardedMatrix<float> arriving(grads.sequence, 6);
      GuardedMatrix<float> last(grads.last_h, 6);
      GuardedMatrix<float> last_c(grads.last_c, 6);
      GuardedMatrix<float> in_grad(Numbers(63 * 5, 7.0), 5);
      GuardedMatrix<float> kernel_grad(5, 24);
      kernels::LstmBackward backward = kernel.backward_arguments();
      name_inputs(backward);
      backward.saved = saved.data();
      backward.sequence_grad = arriving.matrix();
      backward.last_output_grad = last.matrix();
      backward.last_c_grad = last_c.matrix();
      backward.in_grad = in_grad.matrix();
      backward.kernel_grad = kernel_grad.matrix();
      kernel.launch(backward);
      CHECK(largest_error(kernel_grad.values(), expected_grads.kernel) < 1e-6);
      Numbers expected_in = expected_grads.in;
      for (std::size_t n = 0; n < 63 * 5; ++n) {
        if (problem.mask[n / 5] == 0) expected_in[n] = 7;  // left alone
      }
      CHECK(largest_error(in_grad.values(), expected_in) < 1e-6);
      CHECK(in_grad.guards_are_intact());
    }
  }
}

TEST_CASE("lstm: a row with an id outside of the table is NaN on a gpu, and others are not") {
  RandomNumbers random(14);
  const LstmProblem problem = random_lstm({4, 3, 5, 6}, random);
  // Between other rows of numbers, which are not to be read.
  GuardedMatrix<float> rows(random.floats(9 * 5, -1, 1), 5);
  const Matrix<const float> table{rows.matrix().row(1), 7, 5, 5};
  GuardedMatrix<std::int32_t> ids(Numbers{0, 6, 1, 2, 7, 3, 4, 5, 6, 0, -1, 1}, 3);
  LstmKernel kernel(gpu_backend(), problem);
  GuardedMatrix<float> h(4, 6);
  GuardedMatrix<float> saved(1, 4 * kernels::lstm_saved_per_row({4, 3, 5, 6}));
  kernels::LstmForward forward = kernel.forward_arguments();
  forward.in = {};
  forward.ids = ids.matrix();
  forward.table = table;
  forward.last_h = h.matrix();
  forward.saved = saved.data();
  kernel.launch(forward);
  for (std::size_t i = 0; i < 4 * 6; ++i) {
    const bool is_bad = i / 6 == 1 || i / 6 == 3;
    CHECK(std::isnan(h.values()[i]) == is_bad);
  }
  GuardedMatrix<float> last(random.floats(4 * 6, -1, 1), 6);
  GuardedMatrix<float> kernel_grad(5, 24);
  kernels::LstmBackward backward = kernel.backward_arguments();
  backward.in = {};
  backward.ids = ids.matrix();
  backward.table = table;
  backward.saved = saved.data();
  backward.last_h_grad = last.matrix();
  backward.kernel_grad = kernel_grad.matrix();
  kernel.launch(backward);
  for (const double grad : kernel_grad.values()) CHECK(std::isnan(grad));
}
