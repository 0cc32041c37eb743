// That the kernels of Dense on a GPU read nothing behind their operands, not even what they throw
// away: each operand ends where the process's own memory ends.
#include <cstdint>

#include "kernels/dense.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/kernel_launch.hpp"
#include "tests/support/memory_at_the_edge.hpp"
#include "tests/support/row_program.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

struct Size {
  std::int64_t rows;
  std::int64_t depth;
  std::int64_t columns;
};

// a[n, k] . b[k, m] + start[n, m], with strides of n, k and of k, m.
struct Strides {
  std::int64_t of_a[2];
  std::int64_t of_b[2];
};
Numbers product(const Size& size, const Numbers& a, const Numbers& b, const Strides& strides,
                const Numbers& start) {
  Numbers out;
  for (std::int64_t n = 0; n < size.rows; ++n) {
    for (std::int64_t m = 0; m < size.columns; ++m) {
      double sum = start[static_cast<std::size_t>(n * size.columns + m)];
      for (std::int64_t k = 0; k < size.depth; ++k) {
        sum += a[static_cast<std::size_t>(n * strides.of_a[0] + k * strides.of_a[1])] *
               b[static_cast<std::size_t>(k * strides.of_b[0] + m * strides.of_b[1])];
      }
      out.push_back(sum);
    }
  }
  return out;
}

// launch(arguments) runs a kernel on the emulated device, on the host's memory.
template <class Launch>
void check_reads_nothing_behind(const Size& size, kernels::Precision precision,
                                RandomNumbers& random, const Launch& launch) {
  INFO(size.rows << " x " << size.depth << " x " << size.columns << ", "
                 << "precision " << static_cast<int>(precision));
  // Few bits, so that no precision rounds an operand.
  const auto numbers = [&](std::int64_t count) {
    Numbers values;
    for (std::int64_t i = 0; i < count; ++i)
      values.push_back(static_cast<double>(random.below(33) - 16) / 16);
    return values;
  };
  const Numbers in = numbers(size.rows * size.depth);
  const Numbers kernel = numbers(size.depth * size.columns);
  const Numbers bias = numbers(size.columns);
  const Numbers grad = numbers(size.rows * size.columns);
  const Numbers in_before = numbers(size.rows * size.depth);
  const Numbers kernel_before = numbers(size.depth * size.columns);
  Numbers biases;
  for (std::int64_t n = 0; n < size.rows; ++n)
    biases.insert(biases.end(), bias.begin(), bias.end());

  const MatrixAtTheEdge in_there(in, size.depth);
  const MatrixAtTheEdge kernel_there(kernel, size.columns);
  const MatrixAtTheEdge bias_there(bias, size.columns);
  const MatrixAtTheEdge grad_there(grad, size.columns);
  const MatrixAtTheEdge out(Numbers(grad.size(), 0), size.columns);
  const MatrixAtTheEdge in_grad(in_before, size.depth);
  const MatrixAtTheEdge kernel_grad(kernel_before, size.columns);
  const MatrixAtTheEdge bias_grad(bias, size.columns);
  launch(kernels::DenseForward{.in = in_there.matrix(),
                               .kernel = kernel_there.matrix(),
                               .bias = bias_there.data(),
                               .out = out.matrix(),
                               .precision = precision});
  launch(kernels::DenseInputGradient{.out_grad = grad_there.matrix(),
                                     .kernel = kernel_there.matrix(),
                                     .in_grad = in_grad.matrix(),
                                     .accumulate = true,
                                     .precision = precision});
  launch(kernels::DenseWeightGradient{.in = in_there.matrix(),
                                      .out_grad = grad_there.matrix(),
                                      .kernel_grad = kernel_grad.matrix(),
                                      .bias_grad = bias_grad.data(),
                                      .accumulate = true,
                                      .precision = precision});
  const auto [rows, depth, columns] = size;
  CHECK(largest_error(out.values(), product(size, in, kernel, {{depth, 1}, {columns, 1}}, biases)) <
        1e-6);
  CHECK(largest_error(in_grad.values(), product({rows, columns, depth}, grad, kernel,
                                                {{columns, 1}, {1, columns}}, in_before)) < 1e-6);
  CHECK(largest_error(kernel_grad.values(), product({depth, rows, columns}, in, grad,
                                                    {{1, depth}, {columns, 1}}, kernel_before)) <
        1e-6);
  CHECK(largest_error(bias_grad.values(),
                      product({1, rows, columns}, Numbers(static_cast<std::size_t>(rows), 1), grad,
                              {{0, 1}, {columns, 1}}, bias)) < 1e-6);
}

constexpr Size kSizes[] = {{5, 19, 37}, {1, 3, 2}, {70, 33, 66}, {9, 21, 1}, {6, 1, 5}};
// Also of few rows and a long depth, of which blocks of a row program copy weights ahead; and 552
// samples, two whole parts of what a block holds of them at once.
constexpr Size kSizesOfSteps[] = {{5, 19, 37},  {1, 3, 2},     {8, 21, 1},   {7, 21, 8},
                                  {6, 1, 5},    {60, 33, 20},  {8, 784, 36}, {3, 300, 20},
                                  {5, 1100, 4}, {16, 130, 64}, {552, 8, 36}};

}  // namespace

TEST_CASE("dense: the GPU's kernels read nothing behind the ends of their operands") {
  RandomNumbers random(31);
  for (const Size& size : kSizes) {
    for (const kernels::Precision precision :
         {kernels::Precision::float32, kernels::Precision::tf32, kernels::Precision::bfloat16}) {
      check_reads_nothing_behind(size, precision, random, [](const auto& arguments) {
        kernels::launch(kernels::Stream{Backend::emulated}, arguments);
      });
    }
  }
}

TEST_CASE("dense: steps of row programs read nothing behind the ends of their operands") {
  RandomNumbers random(32);
  for (const Size& size : kSizesOfSteps) {
    check_reads_nothing_behind(size, kernels::Precision::float32, random,
                               [](const auto& arguments) { run_as_step_here(arguments); });
  }
}
