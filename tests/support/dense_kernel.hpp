#pragma once
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/dense.hpp"
#include "tests/support/activations.hpp"
#include "tests/support/guarded_matrix.hpp"

// Calls the dense kernels with a problem's numbers in guarded memory, and sums in float64.
namespace braid::testing {

struct DenseSize {
  std::int64_t rows;     // N
  std::int64_t depth;    // K
  std::int64_t columns;  // M
};

inline std::string described(const DenseSize& size) {
  return "N " + std::to_string(size.rows) + ", K " + std::to_string(size.depth) + ", M " +
         std::to_string(size.columns);
}

// A sum in float64 and what it would be without cancellation.
struct Total {
  double value = 0;
  double magnitude = 0;
  double terms = 0;
  void add(double term) {
    value += term;
    magnitude += std::fabs(term);
    ++terms;
  }
};

// Of rows x columns totals, each summed over `depth` products.
template <class Left, class Right>
std::vector<Total> products(std::int64_t rows, std::int64_t columns, std::int64_t depth,
                            const Left& left, const Right& right) {
  std::vector<Total> totals;
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < columns; ++c) {
      Total total;
      for (std::int64_t k = 0; k < depth; ++k) total.add(left(r, k) * right(k, c));
      totals.push_back(total);
    }
  }
  return totals;
}

// Every addition and product of the chain may round once, by half of `unit`. Matrix units cut off
// where float32 rounds, and do it more often.
constexpr double kFloat32Unit = 0x1p-23;
constexpr double kMatrixUnit = 0x1p-21;
inline bool are_sums(const std::vector<double>& got, const std::vector<Total>& expected,
                     double unit = kFloat32Unit) {
  if (got.size() != expected.size()) return false;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const Total& total = expected[i];
    const double allowed = (total.terms + 2) * unit / 2 * total.magnitude;
    if (!(std::fabs(got[i] - total.value) <= allowed)) return false;
  }
  return true;
}

inline auto reader(const Numbers& values, std::int64_t columns) {
  return [&values, columns](std::int64_t r, std::int64_t c) {
    return values[static_cast<std::size_t>(r * columns + c)];
  };
}

struct DenseProblem {
  DenseProblem(const DenseSize& s, RandomNumbers& random)
      : size(s),
        in(random.floats(s.rows * s.depth, -1, 1)),
        kernel(random.floats(s.depth * s.columns, -1, 1)),
        bias(random.floats(s.columns, -1, 1)),
        out_grad(random.floats(s.rows * s.columns, -1, 1)) {}

  DenseSize size;
  Numbers in;
  Numbers kernel;
  Numbers bias;
  Numbers out_grad;
  kernels::Precision precision = kernels::Precision::float32;
  bool in_parts = false;         // the weights' gradients get scratch memory
  std::int64_t workspace = 256;  // bytes for a library beside copies of operands; negative: neither
};

// Memory of one product of [N, K], [K, M] and [N, M] for a GPU's library.
class LibraryScratch {
 public:
  explicit LibraryScratch(const DenseProblem& problem)
      : bytes_(problem.workspace < 0
                   ? 0
                   : kernels::bfloat16_bytes(problem.size.rows, problem.size.depth) +
                         kernels::bfloat16_bytes(problem.size.depth, problem.size.columns) +
                         kernels::bfloat16_bytes(problem.size.rows, problem.size.columns) +
                         problem.workspace),
        scratch_(bytes_) {}
  kernels::LibraryMemory memory() {
    if (bytes_ == 0) return {};
    return {static_cast<std::byte*>(scratch_.data()), bytes_};
  }
  bool guards_are_intact() const { return scratch_.guards_are_intact(); }

 private:
  std::int64_t bytes_;
  GuardedScratch scratch_;
};

// A matrix of the size, also where it has no elements.
inline GuardedMatrix<float> filled(const Numbers& values, std::int64_t rows, std::int64_t columns,
                                   std::int64_t gap) {
  GuardedMatrix<float> matrix(rows, columns, gap);
  matrix.fill(values);
  return matrix;
}

inline std::vector<float> dense_forward(Backend backend, const DenseProblem& problem,
                                        bool with_bias, std::int64_t gap,
                                        const kernels::Activation& activation = {}) {
  const DenseSize& size = problem.size;
  auto in = filled(problem.in, size.rows, size.depth, gap);
  auto kernel = filled(problem.kernel, size.depth, size.columns, gap);
  auto bias = filled(problem.bias, 1, size.columns, 0);
  GuardedMatrix<float> out(size.rows, size.columns, gap);
  LibraryScratch library(problem);
  launch_on(backend, kernels::DenseForward{.in = in.matrix(),
                                           .kernel = kernel.matrix(),
                                           .bias = with_bias ? bias.data() : nullptr,
                                           .out = out.matrix(),
                                           .activation = activation,
                                           .precision = problem.precision,
                                           .for_library = library.memory()});
  CHECK(library.guards_are_intact());
  CHECK(out.guards_are_intact());
  return out.elements();
}

inline std::vector<float> dense_input_gradient(Backend backend, const DenseProblem& problem,
                                               std::int64_t gap, const Numbers& before = {}) {
  const DenseSize& size = problem.size;
  auto out_grad = filled(problem.out_grad, size.rows, size.columns, gap);
  auto kernel = filled(problem.kernel, size.depth, size.columns, gap);
  GuardedMatrix<float> in_grad(size.rows, size.depth, gap);
  if (!before.empty()) in_grad.fill(before);
  LibraryScratch library(problem);
  launch_on(backend, kernels::DenseInputGradient{.out_grad = out_grad.matrix(),
                                                 .kernel = kernel.matrix(),
                                                 .in_grad = in_grad.matrix(),
                                                 .accumulate = !before.empty(),
                                                 .precision = problem.precision,
                                                 .for_library = library.memory()});
  CHECK(library.guards_are_intact());
  CHECK(in_grad.guards_are_intact());
  return in_grad.elements();
}

struct DenseWeightGradients {
  Numbers kernel;
  Numbers bias;
};

inline DenseWeightGradients dense_weight_gradients(Backend backend, const DenseProblem& problem,
                                                   std::int64_t gap,
                                                   const DenseWeightGradients& before = {}) {
  const DenseSize& size = problem.size;
  auto in = filled(problem.in, size.rows, size.depth, gap);
  auto out_grad = filled(problem.out_grad, size.rows, size.columns, gap);
  GuardedMatrix<float> kernel_grad(size.depth, size.columns, gap);
  GuardedMatrix<float> bias_grad(1, size.columns);
  const bool accumulate = !before.bias.empty();
  if (accumulate) {
    kernel_grad.fill(before.kernel);
    bias_grad.fill(before.bias);
  }
  GuardedScratch scratch(kernels::dense_weight_scratch(size.rows, size.depth, size.columns));
  LibraryScratch library(problem);
  launch_on(backend,
            kernels::DenseWeightGradient{
                .in = in.matrix(),
                .out_grad = out_grad.matrix(),
                .kernel_grad = kernel_grad.matrix(),
                .bias_grad = bias_grad.data(),
                .accumulate = accumulate,
                .precision = problem.precision,
                .scratch = problem.in_parts ? static_cast<float*>(scratch.data()) : nullptr,
                .for_library = library.memory()});
  CHECK(library.guards_are_intact());
  CHECK(scratch.guards_are_intact());
  CHECK(kernel_grad.guards_are_intact());
  CHECK(bias_grad.guards_are_intact());
  return {kernel_grad.values(), bias_grad.values()};
}

inline Numbers as_numbers(const std::vector<float>& values) {
  return {values.begin(), values.end()};
}

inline std::vector<Total> forward_totals(const DenseProblem& problem, bool with_bias) {
  const DenseSize& size = problem.size;
  auto totals = products(size.rows, size.columns, size.depth, reader(problem.in, size.depth),
                         reader(problem.kernel, size.columns));
  for (std::size_t i = 0; i < totals.size() && with_bias; ++i)
    totals[i].add(problem.bias[i % problem.bias.size()]);
  return totals;
}

inline std::vector<Total> input_totals(const DenseProblem& problem) {
  const DenseSize& size = problem.size;
  const auto kernel = reader(problem.kernel, size.columns);
  return products(size.rows, size.depth, size.columns, reader(problem.out_grad, size.columns),
                  [&](std::int64_t m, std::int64_t k) { return kernel(k, m); });
}

inline std::vector<Total> kernel_totals(const DenseProblem& problem) {
  const DenseSize& size = problem.size;
  const auto in = reader(problem.in, size.depth);
  return products(
      size.depth, size.columns, size.rows, [&](std::int64_t k, std::int64_t n) { return in(n, k); },
      reader(problem.out_grad, size.columns));
}

inline std::vector<Total> bias_totals(const DenseProblem& problem) {
  return products(
      1, problem.size.columns, problem.size.rows, [](std::int64_t, std::int64_t) { return 1.0; },
      reader(problem.out_grad, problem.size.columns));
}

inline void add_to(std::vector<Total>& totals, const Numbers& before) {
  for (std::size_t i = 0; i < totals.size(); ++i) totals[i].add(before[i]);
}

}  // namespace braid::testing
