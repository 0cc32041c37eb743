// The softmax kernels against float64.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "kernels/softmax.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/guarded_matrix.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Problem {
  std::int64_t rows = 1;
  std::int64_t classes = 1;
  std::int64_t inner = 1;
  bool logarithm = false;
  Numbers in;

  std::int64_t columns() const { return classes * inner; }
  // Where class c of group i of row n lies.
  std::size_t at(std::int64_t n, std::int64_t c, std::int64_t i) const {
    return static_cast<std::size_t>(n * columns() + c * inner + i);
  }
};

std::string described(const Problem& p) {
  return std::string(p.logarithm ? "logarithm, " : "") + "N " + std::to_string(p.rows) + ", C " +
         std::to_string(p.classes) + ", inner " + std::to_string(p.inner);
}

// Calls body(n, i) for every group of classes.
template <class Body>
void for_groups(const Problem& p, const Body& body) {
  for (std::int64_t n = 0; n < p.rows; ++n) {
    for (std::int64_t i = 0; i < p.inner; ++i) body(n, i);
  }
}

double largest_of(const Problem& p, std::int64_t n, std::int64_t i) {
  double largest = -kInfinity;
  for (std::int64_t c = 0; c < p.classes; ++c) largest = std::fmax(largest, p.in[p.at(n, c, i)]);
  return largest;
}

Numbers expected_values(const Problem& p) {
  Numbers out(p.in.size());
  for_groups(p, [&](std::int64_t n, std::int64_t i) {
    const double largest = largest_of(p, n, i);
    // Smallest first, without the largest, whose own exponential is 1.
    Numbers exponentials;
    for (std::int64_t c = 0; c < p.classes; ++c)
      exponentials.push_back(std::exp(p.in[p.at(n, c, i)] - largest));
    std::sort(exponentials.begin(), exponentials.end());
    const double others = std::accumulate(exponentials.begin(), exponentials.end() - 1, 0.0);
    for (std::int64_t c = 0; c < p.classes; ++c) {
      const double x = p.in[p.at(n, c, i)] - largest;
      out[p.at(n, c, i)] = p.logarithm ? x - std::log1p(others) : std::exp(x) / (1 + others);
    }
  });
  return out;
}

// By the whole Jacobian of each group.
Numbers expected_gradient(const Problem& p, const Numbers& out, const Numbers& out_grad) {
  Numbers in_grad(p.in.size(), 0.0);
  for_groups(p, [&](std::int64_t n, std::int64_t i) {
    for (std::int64_t c = 0; c < p.classes; ++c) {
      const double of_c = out[p.at(n, c, i)];
      for (std::int64_t d = 0; d < p.classes; ++d) {
        const double same = c == d ? 1 : 0;
        const double slope =
            p.logarithm ? same - std::exp(of_c) : out[p.at(n, d, i)] * (same - of_c);
        in_grad[p.at(n, c, i)] += out_grad[p.at(n, d, i)] * slope;
      }
    }
  });
  return in_grad;
}

enum class Place { separate, same };

std::vector<float> forward(Backend backend, const Problem& p, std::int64_t gap = 0,
                           Place place = Place::separate) {
  GuardedMatrix<float> in(p.rows, p.columns(), gap);
  in.fill(p.in);
  GuardedMatrix<float> separate(p.rows, p.columns(), gap);
  GuardedMatrix<float>& out = place == Place::same ? in : separate;
  launch_on(
      backend,
      kernels::SoftmaxForward{
          .in = in.matrix(), .out = out.matrix(), .inner = p.inner, .logarithm = p.logarithm});
  CHECK(out.guards_are_intact());
  return out.elements();
}

std::vector<float> backward(Backend backend, const Problem& p, const Numbers& out_values,
                            const Numbers& out_grads, std::int64_t gap = 0,
                            Place place = Place::separate) {
  GuardedMatrix<float> out(p.rows, p.columns(), gap);
  out.fill(out_values);
  GuardedMatrix<float> out_grad(p.rows, p.columns(), gap);
  out_grad.fill(out_grads);
  GuardedMatrix<float> separate(p.rows, p.columns(), gap);
  GuardedMatrix<float>& in_grad = place == Place::same ? out_grad : separate;
  launch_on(backend, kernels::SoftmaxBackward{.out = out.matrix(),
                                              .out_grad = out_grad.matrix(),
                                              .in_grad = in_grad.matrix(),
                                              .inner = p.inner,
                                              .logarithm = p.logarithm});
  CHECK(in_grad.guards_are_intact());
  return in_grad.elements();
}

Numbers as_numbers(const std::vector<float>& values) { return {values.begin(), values.end()}; }

// Each element within the roundings of its argument, of the sum and of the functions.
bool values_are_right(const Problem& p, const std::vector<float>& got) {
  const Numbers expected = expected_values(p);
  bool right = got.size() == expected.size();
  for_groups(p, [&](std::int64_t n, std::int64_t i) {
    const double largest = largest_of(p, n, i);
    for (std::int64_t c = 0; right && c < p.classes; ++c) {
      const double exact = expected[p.at(n, c, i)];
      const auto value = static_cast<double>(got[p.at(n, c, i)]);
      const double argument = std::fabs(p.in[p.at(n, c, i)] - largest);
      const double roundings = 6 + static_cast<double>(p.classes) / 4;
      const double allowed =
          p.logarithm ? roundings * (std::fabs(exact) + (argument == 0 ? 0 : 1)) * 0x1p-24
                      : (roundings + std::fmin(argument, 110)) * exact * 0x1p-24 + 0x1p-149;
      right =
          got[p.at(n, c, i)] == static_cast<float>(exact) || std::fabs(value - exact) <= allowed;
    }
  });
  return right;
}

struct Size {
  std::int64_t rows;
  std::int64_t classes;
  std::int64_t inner;
};
constexpr Size kSizes[] = {{0, 3, 1},   {1, 1, 1},    {4, 2, 1}, {3, 17, 1}, {7, 16, 1},
                           {2, 131, 1}, {1, 1000, 1}, {3, 5, 4}, {2, 33, 7}, {2, 1, 3}};

std::vector<Problem> random_problems(RandomNumbers& random) {
  std::vector<Problem> problems;
  for (const Size& size : kSizes) {
    for (const bool logarithm : {false, true}) {
      problems.push_back({size.rows, size.classes, size.inner, logarithm,
                          random.floats(size.rows * size.classes * size.inner, -6, 6)});
    }
  }
  return problems;
}

}  // namespace

TEST_CASE("softmax: values are right for all sizes, along any axis, in place and in slices") {
  RandomNumbers random(61);
  for (const Problem& problem : random_problems(random)) {
    for (const Backend backend : tested_backends()) {
      INFO(described(problem) << " on " << kernels::name_of(backend));
      for (const Place place : {Place::separate, Place::same}) {
        CHECK(values_are_right(problem, forward(backend, problem, 0, place)));
        CHECK(values_are_right(problem, forward(backend, problem, 3, place)));
      }
    }
  }
}

TEST_CASE("softmax: the float64 reference's gradient is its central difference") {
  RandomNumbers random(62);
  for (const bool logarithm : {false, true}) {
    Problem problem{2, 5, 3, logarithm, random.floats(30, -2, 2)};
    const Numbers out_grad = random.floats(30, -1, 1);
    const auto objective = [&] {
      const Numbers out = expected_values(problem);
      double sum = 0;
      for (std::size_t i = 0; i < out.size(); ++i) sum += out[i] * out_grad[i];
      return sum;
    };
    Numbers differences;
    for (double& x : problem.in) {
      const double kept = x;
      x = kept + 1e-5;
      const double above = objective();
      x = kept - 1e-5;
      differences.push_back((above - objective()) / 2e-5);
      x = kept;
    }
    CHECK(largest_error(expected_gradient(problem, expected_values(problem), out_grad),
                        differences) < 1e-8);
  }
}

TEST_CASE("softmax: gradients are right for all sizes, along any axis, in place and in slices") {
  RandomNumbers random(63);
  for (const Problem& problem : random_problems(random)) {
    const Numbers out = expected_values(problem);
    const Numbers out_grad = random.floats(problem.rows * problem.columns(), -1, 1);
    const Numbers expected = expected_gradient(problem, out, out_grad);
    for (const Backend backend : tested_backends()) {
      INFO(described(problem) << " on " << kernels::name_of(backend));
      for (const Place place : {Place::separate, Place::same}) {
        for (const std::int64_t gap : {0, 3}) {
          const auto got = backward(backend, problem, out, out_grad, gap, place);
          CHECK(largest_error(as_numbers(got), expected) < 3e-6);
        }
      }
    }
  }
}

TEST_CASE("softmax: large, far apart, equal and infinitely small logits give finite results") {
  const double huge = static_cast<double>(std::numeric_limits<float>::max());
  const std::vector<Numbers> rows{{88, 88, 88, 88},
                                  {-88, -88, 0, 88},
                                  {1e30F, -1e30F, 0, 1},
                                  {huge, -huge, huge, -huge},
                                  {-huge, -huge, -huge, -huge},
                                  {0, -kInfinity, 0, -kInfinity},
                                  {-100, -90, -95, 0},
                                  {0, 0, 0, 16},
                                  {20, 0, -1, -2},
                                  {-0.0, 0, 1e-42F, -1e-42F}};
  for (const Numbers& row : rows) {
    for (const bool logarithm : {false, true}) {
      Problem problem{1, 4, 1, logarithm, {}};
      for (const double x : row) problem.in.push_back(static_cast<double>(static_cast<float>(x)));
      for (const Backend backend : tested_backends()) {
        const std::vector<float> got = forward(backend, problem);
        INFO(described(problem) << " on " << kernels::name_of(backend) << " of "
                                << Catch::Detail::stringify(row) << ": "
                                << Catch::Detail::stringify(got));
        CHECK(values_are_right(problem, got));
      }
    }
  }
}

// A lane of a GPU's warp meets it several times.
TEST_CASE("softmax: many classes may all be the largest") {
  for (const std::int64_t classes : {33, 70}) {
    for (const bool logarithm : {false, true}) {
      const Problem problem{1, classes, 1, logarithm,
                            Numbers(static_cast<std::size_t>(classes), 3)};
      for (const Backend backend : tested_backends()) {
        INFO(described(problem) << " on " << kernels::name_of(backend));
        CHECK(values_are_right(problem, forward(backend, problem)));
      }
    }
  }
}

TEST_CASE("softmax: NaN spoils its own group alone") {
  RandomNumbers random(64);
  for (const bool logarithm : {false, true}) {
    for (const std::int64_t place : {0, 5, 16}) {
      Problem clean{3, 17, 2, logarithm, random.floats(3 * 34, -6, 6)};
      Problem spoilt = clean;
      spoilt.in[clean.at(1, place, 1)] = NAN;
      for (const Backend backend : tested_backends()) {
        INFO(described(clean) << " on " << kernels::name_of(backend) << ", class " << place);
        const std::vector<float> expected = forward(backend, clean);
        const std::vector<float> got = forward(backend, spoilt);
        int wrong = 0;
        for_groups(clean, [&](std::int64_t n, std::int64_t i) {
          for (std::int64_t c = 0; c < clean.classes; ++c) {
            const std::size_t at = clean.at(n, c, i);
            const bool is_spoilt = n == 1 && i == 1;
            wrong += (is_spoilt ? std::isnan(got[at]) : got[at] == expected[at]) ? 0 : 1;
          }
        });
        CHECK(wrong == 0);
      }
    }
  }
}

TEST_CASE("softmax: a row's bits do not depend on the rows beside it") {
  RandomNumbers random(65);
  for (const std::int64_t classes : {2, 10, 35}) {
    for (const bool logarithm : {false, true}) {
      const Problem problem{9, classes, 1, logarithm, random.floats(9 * classes, -6, 6)};
      const Numbers out_grad = random.floats(9 * classes, -1, 1);
      for (const Backend backend : tested_backends()) {
        INFO(described(problem) << " on " << kernels::name_of(backend));
        const std::vector<float> together = forward(backend, problem);
        const std::vector<float> gradient =
            backward(backend, problem, as_numbers(together), out_grad);
        for (std::int64_t n = 0; n < 9; ++n) {
          const auto row = [&](const auto& all) {
            return std::remove_cvref_t<decltype(all)>(all.begin() + n * classes,
                                                      all.begin() + (n + 1) * classes);
          };
          const Problem alone{1, classes, 1, logarithm, row(problem.in)};
          CHECK(forward(backend, alone) == row(together));
          CHECK(backward(backend, alone, as_numbers(row(together)), row(out_grad)) ==
                row(gradient));
        }
      }
    }
  }
}
