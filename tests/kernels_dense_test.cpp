// The dense kernels against sums in float64, each element within what float32 may lose of it.
#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/support/catch.hpp"
#include "tests/support/dense_kernel.hpp"

using namespace braid;
using namespace braid::testing;
using kernels::Activation;
using kernels::ActivationKind;

namespace {

// Depths and columns around the panels of 256, rows and columns around register blocks.
const std::vector<DenseSize>& sizes() {
  static const std::vector<DenseSize> all{
      {0, 3, 4},    {4, 3, 0},    {1, 0, 5},     {3, 0, 1},     {1, 1, 1},     {2, 3, 2},
      {5, 7, 1},    {13, 17, 16}, {3, 300, 1},   {7, 256, 17},  {12, 257, 33}, {25, 31, 67},
      {37, 5, 131}, {6, 255, 64}, {29, 513, 19}, {17, 16, 1},   {1, 1000, 3},  {7, 18, 256},
      {5, 33, 257}, {3, 4, 520},  {19, 300, 45}, {300, 20, 45}, {18, 517, 70}, {300, 440, 5}};
  return all;
}

void check_everything(const DenseProblem& problem, std::int64_t gap) {
  const auto plain = forward_totals(problem, false);
  const auto with_bias = forward_totals(problem, true);
  const auto of_input = input_totals(problem);
  const auto of_kernel = kernel_totals(problem);
  const auto of_bias = bias_totals(problem);
  for (const Backend backend : tested_backends()) {
    INFO(kernels::name_of(backend) << ", " << described(problem.size) << ", gap " << gap);
    CHECK(are_sums(as_numbers(dense_forward(backend, problem, false, gap)), plain));
    CHECK(are_sums(as_numbers(dense_forward(backend, problem, true, gap)), with_bias));
    CHECK(are_sums(as_numbers(dense_input_gradient(backend, problem, gap)), of_input));
    const DenseWeightGradients gradients = dense_weight_gradients(backend, problem, gap);
    CHECK(are_sums(gradients.kernel, of_kernel));
    CHECK(are_sums(gradients.bias, of_bias));
  }
}

}  // namespace

TEST_CASE("dense: outputs and gradients are right for all sizes, in column slices too") {
  RandomNumbers random(51);
  for (const DenseSize& size : sizes()) {
    const DenseProblem problem(size, random);
    check_everything(problem, 0);
    check_everything(problem, 3);
  }
}

TEST_CASE("dense: every rest of rows and columns beside whole register blocks is right") {
  RandomNumbers random(52);
  // 16 lanes and four vectors a block at most: 64 columns, 12 rows.
  for (std::int64_t columns = 1; columns <= 67; ++columns)
    check_everything(DenseProblem({1 + columns % 14, 3, columns}, random), columns % 2);
  for (std::int64_t rows = 1; rows <= 27; ++rows)
    check_everything(DenseProblem({rows, 1 + rows % 5, 41}, random), rows % 2);
  for (std::int64_t depth = 1; depth <= 67; ++depth)
    check_everything(DenseProblem({1 + depth % 3, depth, 1 + depth % 23}, random), depth % 2);
}

TEST_CASE("dense: a single column of more rows than a GPU has warps for at once") {
  RandomNumbers random(58);
  for (const DenseSize& size : {DenseSize{4227, 9, 1}, DenseSize{4300, 1, 6}})
    check_everything(DenseProblem(size, random), 0);
}

TEST_CASE("dense: every activation follows the bias") {
  RandomNumbers random(53);
  for (const Activation& activation : all_activations()) {
    for (const DenseSize& size : {DenseSize{5, 19, 37}, DenseSize{9, 21, 1}, DenseSize{3, 0, 4}}) {
      const DenseProblem problem(size, random);
      Numbers expected;
      for (const Total& total : forward_totals(problem, true))
        expected.push_back(activated(activation, total.value));
      for (const std::int64_t gap : {0, 5}) {
        for (const Backend backend : tested_backends()) {
          INFO(name_of(activation)
               << " on " << kernels::name_of(backend) << ", " << described(size));
          CHECK(largest_error(as_numbers(dense_forward(backend, problem, true, gap, activation)),
                              expected) < 3e-6);
        }
      }
    }
  }
}

TEST_CASE("dense: a row's bits do not depend on the rows beside it") {
  RandomNumbers random(54);
  for (const DenseSize& size : {DenseSize{29, 37, 45}, DenseSize{23, 300, 1},
                                DenseSize{14, 261, 17}, DenseSize{40, 300, 45}}) {
    const DenseProblem problem(size, random);
    for (const Backend backend : tested_backends()) {
      for (const Activation& activation : {Activation{}, Activation{ActivationKind::gelu}}) {
        const std::vector<float> together = dense_forward(backend, problem, true, 0, activation);
        const std::vector<float> gradient = dense_input_gradient(backend, problem, 0);
        for (const std::int64_t rows : {1, 2, 3, 5, 7, 11, 19}) {
          INFO(kernels::name_of(backend) << ", " << described(size) << ", by " << rows);
          std::vector<float> apart;
          std::vector<float> gradient_apart;
          for (std::int64_t first = 0; first < size.rows; first += rows) {
            DenseProblem part = problem;
            part.size.rows = std::min(rows, size.rows - first);
            const auto cut = [&](const Numbers& all, std::int64_t columns) {
              return Numbers(all.begin() + first * columns,
                             all.begin() + (first + part.size.rows) * columns);
            };
            part.in = cut(problem.in, size.depth);
            part.out_grad = cut(problem.out_grad, size.columns);
            const auto values = dense_forward(backend, part, true, 0, activation);
            const auto slopes = dense_input_gradient(backend, part, 0);
            apart.insert(apart.end(), values.begin(), values.end());
            gradient_apart.insert(gradient_apart.end(), slopes.begin(), slopes.end());
          }
          CHECK(apart == together);
          CHECK(gradient_apart == gradient);
        }
      }
    }
  }
}

// A processor copies pieces of what does not stay in its caches, or reads it in another order.
TEST_CASE("dense: no bit depends on how far apart the rows of a matrix lie") {
  constexpr std::int64_t kFarApart = 5003;
  RandomNumbers random(59);
  for (const DenseSize& size :
       {DenseSize{1, 120, 70}, DenseSize{2, 121, 16}, DenseSize{3, 64, 131}, DenseSize{5, 70, 33},
        DenseSize{8, 259, 65}, DenseSize{9, 130, 129}, DenseSize{13, 300, 64},
        DenseSize{61, 257, 47}, DenseSize{270, 101, 67}, DenseSize{60, 58, 2},
        DenseSize{0, 58, 130}, DenseSize{66, 120, 140}}) {
    const DenseProblem problem(size, random);
    check_everything(problem, kFarApart);
    for (const Backend backend : tested_backends()) {
      INFO(kernels::name_of(backend) << ", " << described(size));
      CHECK(dense_forward(backend, problem, true, kFarApart) ==
            dense_forward(backend, problem, true, 0));
      CHECK(dense_input_gradient(backend, problem, kFarApart) ==
            dense_input_gradient(backend, problem, 0));
      const DenseWeightGradients far = dense_weight_gradients(backend, problem, kFarApart);
      const DenseWeightGradients near = dense_weight_gradients(backend, problem, 0);
      CHECK(far.kernel == near.kernel);
      CHECK(far.bias == near.bias);
    }
  }
}

TEST_CASE("dense: no bit depends on whether rows of inputs share their places of a cache") {
  constexpr std::int64_t kApart = 5120;  // 4096 bytes five times
  RandomNumbers random(60);
  for (const DenseSize& size : {DenseSize{63, 100, 20}, DenseSize{64, 97, 17},
                                DenseSize{70, 30, 16}, DenseSize{129, 200, 131}}) {
    const DenseProblem problem(size, random);
    const std::int64_t gap = kApart - size.depth;
    check_everything(problem, gap);
    for (const Backend backend : tested_backends()) {
      INFO(kernels::name_of(backend) << ", " << described(size));
      CHECK(dense_weight_gradients(backend, problem, gap).kernel ==
            dense_weight_gradients(backend, problem, 0).kernel);
    }
  }
}

TEST_CASE("dense: NaN stays in its row") {
  RandomNumbers random(55);
  const DenseSize size{11, 21, 35};
  const DenseProblem problem(size, random);
  DenseProblem spoilt = problem;
  spoilt.in[4 * 21 + 20] = NAN;
  for (const Backend backend : tested_backends()) {
    const auto clean = dense_forward(backend, problem, true, 0);
    const auto got = dense_forward(backend, spoilt, true, 0);
    for (std::size_t i = 0; i < got.size(); ++i)
      CHECK((i / 35 == 4 ? std::isnan(got[i]) : got[i] == clean[i]));
  }
}

TEST_CASE("dense: gradients are added to what is there when asked") {
  RandomNumbers random(56);
  for (const DenseSize& size :
       {DenseSize{7, 19, 35}, DenseSize{21, 260, 18}, DenseSize{300, 19, 45}, DenseSize{0, 3, 4},
        DenseSize{3, 4, 1}, DenseSize{5, 1, 37}, DenseSize{9, 1, 1}}) {
    const DenseProblem problem(size, random);
    const Numbers in_before = random.floats(size.rows * size.depth, -1, 1);
    const DenseWeightGradients before{random.floats(size.depth * size.columns, -1, 1),
                                      random.floats(size.columns, -1, 1)};
    auto of_input = input_totals(problem);
    auto of_kernel = kernel_totals(problem);
    auto of_bias = bias_totals(problem);
    add_to(of_input, in_before);
    add_to(of_kernel, before.kernel);
    add_to(of_bias, before.bias);
    for (const Backend backend : tested_backends()) {
      INFO(kernels::name_of(backend) << ", " << described(size));
      for (const std::int64_t gap : {0, 2, 5003}) {
        CHECK(
            are_sums(as_numbers(dense_input_gradient(backend, problem, gap, in_before)), of_input));
        const auto gradients = dense_weight_gradients(backend, problem, gap, before);
        CHECK(are_sums(gradients.kernel, of_kernel));
        CHECK(are_sums(gradients.bias, of_bias));
      }
    }
  }
}

TEST_CASE("dense: weight gradients are summed in the order of the rows, bit for bit") {
  RandomNumbers random(57);
  DenseProblem problem({143, 5, 39}, random);
  // Powers of two: products are exact, and what is left of the order are the sums.
  for (double& x : problem.in)
    x = std::ldexp(x < 0 ? -1.0 : 1.0, static_cast<int>(random.below(5)));
  Numbers kernel;
  Numbers bias;
  const auto in = reader(problem.in, 5);
  const auto out_grad = reader(problem.out_grad, 39);
  for (std::int64_t k = 0; k < 6; ++k) {
    for (std::int64_t m = 0; m < 39; ++m) {
      float sum = 0;
      for (std::int64_t n = 0; n < 143; ++n)
        sum += static_cast<float>((k < 5 ? in(n, k) : 1.0) * out_grad(n, m));
      (k < 5 ? kernel : bias).push_back(static_cast<double>(sum));
    }
  }
  for (const Backend backend : tested_backends()) {
    INFO(kernels::name_of(backend));
    const auto gradients = dense_weight_gradients(backend, problem, 0);
    CHECK(gradients.kernel == kernel);
    CHECK(gradients.bias == bias);
  }
}

TEST_CASE("dense: a gradient of the kernel or of the bias that is not wanted is left out") {
  RandomNumbers random(58);
  const DenseProblem problem({9, 6, 21}, random);
  auto in = filled(problem.in, 9, 6, 0);
  auto out_grad = filled(problem.out_grad, 9, 21, 0);
  for (const Backend backend : tested_backends()) {
    const auto both = dense_weight_gradients(backend, problem, 0);
    GuardedMatrix<float> kernel_grad(6, 21);
    GuardedMatrix<float> bias_grad(1, 21);
    launch_on(backend, kernels::DenseWeightGradient{.in = in.matrix(),
                                                    .out_grad = out_grad.matrix(),
                                                    .kernel_grad = kernel_grad.matrix()});
    launch_on(backend,
              kernels::DenseWeightGradient{
                  .in = in.matrix(), .out_grad = out_grad.matrix(), .bias_grad = bias_grad.data()});
    CHECK(kernel_grad.values() == both.kernel);
    CHECK(bias_grad.values() == both.bias);
    CHECK(kernel_grad.guards_are_intact());
    CHECK(bias_grad.guards_are_intact());
  }
}
