// The gradient of the table that the ids of an LSTM name, made with the LSTM's other gradients: by
// sums over the ids, or by way of the inputs' gradients, whichever is less work.
#include <algorithm>

#include "kernels/embedding.hpp"
#include "kernels/lstm_gpu.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/lstm_cut.hpp"
#include "tests/support/lstm_kernel.hpp"
#include "tests/support/lstm_words.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

struct TableGrads {
  Numbers table;
  Numbers kernel;
  Numbers recurrent;
  Numbers bias;
};

TableGrads expected_grads(const LstmProblem& problem, const Matrix<std::int32_t>& ids,
                          std::int64_t table_rows, const LstmOutputGrads& grads) {
  const LstmGrads all = lstm_backward(problem, grads);
  TableGrads expected{Numbers(static_cast<std::size_t>(table_rows * problem.features)), all.kernel,
                      all.recurrent, all.bias};
  for (std::int64_t n = 0; n < problem.rows * problem.steps; ++n) {
    const std::int32_t id = ids.row(n / problem.steps)[n % problem.steps];
    for (std::int64_t e = 0; e < problem.features; ++e) {
      expected.table[static_cast<std::size_t>(id * problem.features + e)] +=
          all.in[static_cast<std::size_t>(n * problem.features + e)];
    }
  }
  return expected;
}

// With `more`, weight gradients are added to what is there.
TableGrads grads_of(Backend backend, LstmWords& words, std::int64_t table_rows,
                    const LstmOutputGrads& grads, float more = 0) {
  const LstmProblem& problem = words.problem();
  LstmKernel kernel(backend, problem);
  GuardedMatrix<float> saved(
      1, problem.rows * kernels::lstm_saved_per_row(kernel.forward_arguments().shape));
  kernels::LstmForward forward = kernel.forward_arguments();
  words.give_to(forward);
  forward.saved = saved.data();
  kernel.launch(forward);

  const std::int64_t positions = problem.rows * problem.steps;
  GuardedMatrix<std::int32_t> order(1, positions);
  GuardedMatrix<std::int32_t> segments(1, table_rows + 1);
  launch_on(backend, kernels::EmbeddingSort{.ids = words.ids(),
                                            .mask = forward.mask,
                                            .order = order.data(),
                                            .segments = segments.data(),
                                            .vocabulary = table_rows});
  GuardedMatrix<float> arriving(grads.sequence, problem.units);
  GuardedMatrix<float> table(table_rows, problem.features, 1);
  const auto filled = [&](std::int64_t rows) {
    return GuardedMatrix<float>(
        Numbers(static_cast<std::size_t>(rows * 4 * problem.units), double{more}),
        4 * problem.units);
  };
  GuardedMatrix<float> of_kernel = filled(problem.features);
  GuardedMatrix<float> of_recurrent = filled(problem.units);
  GuardedMatrix<float> bias = filled(1);
  kernels::LstmBackward backward = kernel.backward_arguments();
  words.give_to(backward);
  backward.saved = saved.data();
  backward.sequence_grad = arriving.matrix();
  backward.table_grad = table.matrix();
  backward.order = order.data();
  backward.segments = segments.data();
  backward.kernel_grad = of_kernel.matrix();
  backward.recurrent_grad = of_recurrent.matrix();
  backward.bias_grad = bias.data();
  backward.accumulate = more != 0;
  kernel.launch(backward);
  for (const GuardedMatrix<float>* written : {&table, &of_kernel, &of_recurrent, &bias, &saved})
    CHECK(written->guards_are_intact());
  TableGrads got{table.values(), of_kernel.values(), of_recurrent.values(), bias.values()};
  for (Numbers* sums : {&got.kernel, &got.recurrent, &got.bias}) {
    for (double& sum : *sums) sum -= double{more};
  }
  return got;
}

LstmOutputGrads sequence_grads(const LstmProblem& problem, RandomNumbers& random) {
  return {random.floats(problem.rows * problem.steps * problem.units, -1, 1), {}, {}};
}

void check_grads(const TableGrads& got, const TableGrads& expected, double tolerance) {
  CHECK(largest_error(got.table, expected.table) < tolerance);
  CHECK(largest_error(got.kernel, expected.kernel) < tolerance);
  CHECK(largest_error(got.recurrent, expected.recurrent) < tolerance);
  CHECK(largest_error(got.bias, expected.bias) < tolerance);
}

void check_everywhere(const LstmProblem& problem, std::int64_t table_rows, RandomNumbers& random) {
  LstmWords words(problem, random, table_rows);
  const LstmOutputGrads grads = sequence_grads(problem, random);
  const TableGrads expected = expected_grads(words.problem(), words.ids(), table_rows, grads);
  for (const Backend backend : tested_backends()) {
    INFO("B " << problem.rows << ", T " << problem.steps << ", E " << problem.features << ", H "
              << problem.units << ", V " << table_rows << " on " << kernels::name_of(backend));
    check_grads(grads_of(backend, words, table_rows, grads), expected, 2e-5);
  }
}

bool sums_by_ids(const LstmProblem& problem, std::int64_t table_rows) {
  return kernels::lstm_takes_table({problem.rows, problem.steps, problem.features, problem.units},
                                   table_rows);
}

}  // namespace

TEST_CASE("lstm of words: gradients are right by sums over ids, and by way of the inputs") {
  RandomNumbers random(171);
  for (const LstmSize& size :
       {LstmSize{1, 4, 1, 1}, LstmSize{7, 6, 5, 3}, LstmSize{9, 11, 33, 20}, LstmSize{5, 9, 8, 64},
        LstmSize{3, 7, 6, 100}, LstmSize{4, 9, 3, 131}}) {
    for (const bool masked : {false, true}) {
      LstmProblem problem = random_lstm(size, random);
      problem.go_backwards = masked == (size.units % 2 == 0);
      if (masked) problem.mask = random_mask(problem, random);
      for (const std::int64_t table_rows : {std::int64_t{1}, std::int64_t{3}, std::int64_t{90}})
        check_everywhere(problem, table_rows, random);
    }
  }
}

TEST_CASE("lstm of words: blocks share the sums over ids as they do those over tokens") {
  RandomNumbers random(172);
  // More rows of the table than a block takes alone, and more than a tile holds.
  LstmProblem problem = random_lstm({33, 9, 70, 34}, random);
  problem.mask = random_mask(problem, random);
  REQUIRE(sums_by_ids(problem, 140));
  for (const std::int64_t multiprocessors : {1, 4, 132}) {
    const LstmCutScope scope({.multiprocessors = multiprocessors});
    check_everywhere(problem, 140, random);
  }
}

TEST_CASE("lstm of words: every slice of a batch is added to the sums over ids") {
  RandomNumbers random(173);
  for (const std::int64_t slice_rows : {1, 2, 3}) {
    for (const bool masked : {false, true}) {
      LstmProblem problem = random_lstm({5, 12, 4, 8}, random);
      problem.go_backwards = true;
      if (masked) problem.mask = random_mask(problem, random);
      const LstmCutScope scope({.slice_bytes = slice_rows * 16 * 12 * 8});
      REQUIRE(sums_by_ids(problem, 4));
      check_everywhere(problem, 4, random);
    }
  }
}

TEST_CASE("lstm of words: an id that comes often is summed by many warps") {
  RandomNumbers random(174);
  LstmProblem problem = random_lstm({9, 40, 3, 5}, random);
  LstmWords words(problem, random, 7);
  Numbers ids;
  for (std::int64_t n = 0; n < 9 * 40; ++n)
    ids.push_back(n % 4 == 0 ? static_cast<double>(random.below(7)) : 3.0);
  words.name(ids);
  const LstmOutputGrads grads = sequence_grads(problem, random);
  const TableGrads expected = expected_grads(words.problem(), words.ids(), 7, grads);
  for (const Backend backend : tested_backends())
    check_grads(grads_of(backend, words, 7, grads), expected, 2e-5);
}

TEST_CASE("lstm of words: weight gradients are added to others, the table's are not") {
  RandomNumbers random(175);
  for (const std::int64_t table_rows : {3, 50}) {
    LstmProblem problem = random_lstm({4, 6, 5, 7}, random);
    LstmWords words(problem, random, table_rows);
    const LstmOutputGrads grads = sequence_grads(problem, random);
    const TableGrads expected = expected_grads(words.problem(), words.ids(), table_rows, grads);
    for (const Backend backend : tested_backends())
      check_grads(grads_of(backend, words, table_rows, grads, 0.5F), expected, 2e-5);
  }
}

TEST_CASE("lstm of words: sums over ids are rounded as operands of products of any precision") {
  RandomNumbers random(176);
  for (const Precision precision : kRounding) {
    LstmProblem problem = random_lstm({3, 12, 33, 20}, random);
    problem.precision = precision;
    // Each id is that of one valid step at the most, whose gradients are its sum.
    Numbers ids;
    problem.mask.clear();
    for (std::int64_t n = 0; n < 36; ++n) {
      ids.push_back(static_cast<double>(n / 2 % 14));
      problem.mask.push_back(n % 2 == 0 && n < 28 ? 1 : 0);
    }
    LstmWords words(problem, random, 14);
    words.name(ids);
    REQUIRE(sums_by_ids(problem, 14));
    const LstmOutputGrads grads = sequence_grads(problem, random);
    LstmProblem rounding = words.problem();
    if (!has_matrix_units(gpu_backend())) rounding.precision = Precision::float32;
    const TableGrads expected = expected_grads(rounding, words.ids(), 14, grads);
    const TableGrads got = grads_of(gpu_backend(), words, 14, grads);
    check_rounded_sums(got.table, expected.table);
    check_rounded_sums(got.kernel, expected.kernel);
  }
}
