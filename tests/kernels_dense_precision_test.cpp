// The dense kernels with operands rounded to tf32 and bfloat16: sums in float64 of operands that
// plain arithmetic has rounded the same way.
#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/support/catch.hpp"
#include "tests/support/dense_precision.hpp"

using namespace braid;
using namespace braid::testing;
using kernels::Activation;
using kernels::ActivationKind;
using kernels::Precision;

namespace {

// Whoever has no matrix units takes float32, and so does a GPU where the result is a single column.
Precision taken(Backend backend, Precision precision, std::int64_t columns) {
  return has_matrix_units(backend) && columns != 1 ? precision : Precision::float32;
}

// Depths around the 8 and 16 places of an instruction and the tiles of 16 and 32, rows and columns
// around blocks of 16 and 8 and tiles of 32.
const std::vector<DenseSize>& sizes() {
  static const std::vector<DenseSize> all{
      {0, 3, 4},    {4, 3, 0},    {3, 0, 2},    {1, 1, 1},     {1, 1, 2},   {2, 3, 2},
      {5, 7, 1},    {17, 1, 9},   {13, 16, 16}, {33, 17, 31},  {7, 64, 33}, {31, 8, 67},
      {16, 129, 8}, {29, 127, 5}, {65, 32, 40}, {3, 251, 130}, {40, 36, 44}};
  return all;
}

void check_everything(const DenseProblem& problem, std::int64_t gap) {
  const DenseSize& size = problem.size;
  for (const Backend backend : tested_backends()) {
    INFO(text_of(problem.precision)
         << " on " << kernels::name_of(backend) << ", " << described(size) << ", gap " << gap);
    const auto operands = [&](std::int64_t columns) {
      return rounded(taken(backend, problem.precision, columns), problem);
    };
    CHECK(are_sums(as_numbers(dense_forward(backend, problem, false, gap)),
                   forward_totals(operands(size.columns), false), kMatrixUnit));
    CHECK(are_sums(as_numbers(dense_forward(backend, problem, true, gap)),
                   forward_totals(operands(size.columns), true), kMatrixUnit));
    CHECK(are_sums(as_numbers(dense_input_gradient(backend, problem, gap)),
                   input_totals(operands(size.depth)), kMatrixUnit));
    const DenseWeightGradients gradients = dense_weight_gradients(backend, problem, gap);
    CHECK(are_sums(gradients.kernel, kernel_totals(operands(2)), kMatrixUnit));
    CHECK(are_sums(gradients.bias, bias_totals(problem)));
  }
}

}  // namespace

TEST_CASE("dense: tf32 and bfloat16 products are sums of rounded operands") {
  RandomNumbers random(61);
  for (const DenseSize& size : sizes()) {
    DenseProblem problem(size, random);
    for (const Precision precision : kRounding) {
      problem.precision = precision;
      check_everything(problem, 0);
      check_everything(problem, 3);
      check_everything(problem, 4);
    }
  }
}

TEST_CASE("dense: random sizes are right at every precision") {
  RandomNumbers random(62);
  for (int n = 0; n < 30; ++n) {
    DenseProblem problem({random.below(70), random.below(70), random.below(70)}, random);
    problem.precision = n % 3 == 0   ? Precision::float32
                        : n % 3 == 1 ? Precision::tf32
                                     : Precision::bfloat16;
    check_everything(problem, random.below(5));
  }
}

TEST_CASE("dense: operands between two numbers of a format go to the nearest") {
  struct Rounding {
    Precision precision;
    double operand;
    double expected;
  };
  const std::vector<Rounding> roundings{
      {Precision::tf32, 1 + 0x1p-11, 1 + 0x1p-10},
      {Precision::tf32, 1 + 0x1p-11 - 0x1p-23, 1},
      {Precision::tf32, -1 - 0x1p-11, -1 - 0x1p-10},
      {Precision::tf32, 2 - 0x1p-11, 2},
      {Precision::tf32, -1 - 0x1p-10, -1 - 0x1p-10},
      {Precision::bfloat16, 1 + 0x1p-8, 1},
      {Precision::bfloat16, 1 + 0x1p-8 + 0x1p-23, 1 + 0x1p-7},
      {Precision::bfloat16, -1 - 3 * 0x1p-8, -1 - 0x1p-6},
      {Precision::bfloat16, 2 - 0x1p-8, 2},
      {Precision::bfloat16, 1 + 0x1p-7, 1 + 0x1p-7},
  };
  for (const Backend backend : tested_backends()) {
    if (!has_matrix_units(backend)) continue;
    for (const Rounding& rounding : roundings) {
      RandomNumbers none(0);
      DenseProblem problem({2, 2, 2}, none);
      problem.precision = rounding.precision;
      problem.in = {rounding.operand, 0, 0, 1};
      problem.kernel = {1, 0, 0, rounding.operand};
      CHECK(as_numbers(dense_forward(backend, problem, false, 0)) ==
            Numbers{rounding.expected, 0, 0, rounding.expected});
    }
  }
}

TEST_CASE("dense: without matrix units float32 is taken, whatever is asked for") {
  RandomNumbers random(63);
  DenseProblem problem({13, 40, 21}, random);
  for (const Backend backend : tested_backends()) {
    if (has_matrix_units(backend)) continue;
    problem.precision = Precision::float32;
    const auto out = dense_forward(backend, problem, true, 0);
    const auto in_grad = dense_input_gradient(backend, problem, 0);
    const auto weights = dense_weight_gradients(backend, problem, 0);
    for (const Precision precision : kRounding) {
      problem.precision = precision;
      CHECK(dense_forward(backend, problem, true, 0) == out);
      CHECK(dense_input_gradient(backend, problem, 0) == in_grad);
      CHECK(dense_weight_gradients(backend, problem, 0).kernel == weights.kernel);
    }
  }
}

TEST_CASE("dense: every activation follows a product of rounded operands") {
  RandomNumbers random(64);
  for (const Precision precision : kRounding) {
    for (const Activation& activation : all_activations()) {
      for (const DenseSize& size : {DenseSize{5, 19, 37}, DenseSize{35, 0, 4}}) {
        DenseProblem problem(size, random);
        problem.precision = precision;
        Numbers expected;
        for (const Total& total : forward_totals(rounded(precision, problem), true))
          expected.push_back(activated(activation, total.value));
        for (const Backend backend : tested_backends()) {
          if (!has_matrix_units(backend)) continue;
          INFO(testing::name_of(activation)
               << " at " << text_of(precision) << ", " << described(size));
          CHECK(largest_error(as_numbers(dense_forward(backend, problem, true, 5, activation)),
                              expected) < 1e-5);
        }
      }
    }
  }
}

TEST_CASE("dense: at any precision gradients are added to what is there when asked") {
  RandomNumbers random(65);
  for (const DenseSize& size :
       {DenseSize{7, 19, 35}, DenseSize{41, 33, 18}, DenseSize{0, 3, 4}, DenseSize{3, 4, 1}}) {
    DenseProblem problem(size, random);
    const Numbers in_before = random.floats(size.rows * size.depth, -1, 1);
    const DenseWeightGradients before{random.floats(size.depth * size.columns, -1, 1),
                                      random.floats(size.columns, -1, 1)};
    for (const Precision precision : kRounding) {
      problem.precision = precision;
      const DenseProblem operands = rounded(precision, problem);
      auto of_input = input_totals(operands);
      auto of_kernel = kernel_totals(operands);
      auto of_bias = bias_totals(problem);
      add_to(of_input, in_before);
      add_to(of_kernel, before.kernel);
      add_to(of_bias, before.bias);
      for (const Backend backend : tested_backends()) {
        if (!has_matrix_units(backend)) continue;
        for (const std::int64_t gap : {0, 1}) {
          INFO(text_of(precision) << ", " << described(size) << ", gap " << gap);
          CHECK(are_sums(as_numbers(dense_input_gradient(backend, problem, gap, in_before)),
                         of_input, kMatrixUnit));
          const auto gradients = dense_weight_gradients(backend, problem, gap, before);
          CHECK(are_sums(gradients.kernel, of_kernel, kMatrixUnit));
          CHECK(are_sums(gradients.bias, of_bias));
        }
      }
    }
  }
}

TEST_CASE("dense: at any precision a row's bits depend neither on rows beside it nor on order") {
  RandomNumbers random(66);
  DenseProblem problem({71, 45, 67}, random);
  for (const Backend backend : tested_backends()) {
    for (const Precision precision : {Precision::float32, Precision::tf32, Precision::bfloat16}) {
      INFO(text_of(precision) << " on " << kernels::name_of(backend));
      problem.precision = precision;
      const std::vector<float> together = dense_forward(backend, problem, true, 0);
      // Launches take their threads in ever different orders.
      for (int again = 0; again < 5; ++again)
        CHECK(dense_forward(backend, problem, true, 4) == together);
      for (const std::int64_t rows : {1, 9, 40}) {
        DenseProblem part = problem;
        part.size.rows = rows;
        part.in.resize(static_cast<std::size_t>(rows * 45));
        const std::vector<float> first = dense_forward(backend, part, true, 0);
        CHECK(std::equal(first.begin(), first.end(), together.begin()));
      }
    }
  }
}

TEST_CASE("dense: at any precision NaN and infinity stay in their rows") {
  RandomNumbers random(67);
  const DenseProblem problem({11, 21, 35}, random);
  for (const Backend backend : tested_backends()) {
    for (const Precision precision : {Precision::float32, Precision::tf32, Precision::bfloat16}) {
      DenseProblem clean = problem;
      clean.precision = precision;
      DenseProblem spoilt = clean;
      spoilt.in[4 * 21 + 20] = NAN;
      spoilt.in[7 * 21] = INFINITY;
      const auto expected = dense_forward(backend, clean, true, 0);
      const auto got = dense_forward(backend, spoilt, true, 0);
      for (std::size_t i = 0; i < got.size(); ++i) {
        const bool right = i / 35 == 4   ? std::isnan(got[i])
                           : i / 35 == 7 ? std::isinf(got[i])
                                         : got[i] == expected[i];
        CHECK(right);
      }
    }
  }
}
