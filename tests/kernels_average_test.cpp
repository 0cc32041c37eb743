// The kernels of the mean over time against float64.
#include <cmath>
#include <string>
#include <vector>

#include "kernels/mask.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/guarded_matrix.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

struct Problem {
  std::int64_t rows = 1;
  std::int64_t steps = 1;
  std::int64_t features = 1;
  Numbers mask;  // [B, T], or empty

  bool is_valid(std::int64_t b, std::int64_t t) const {
    return mask.empty() || mask[static_cast<std::size_t>(b * steps + t)] != 0;
  }
  double valid_steps(std::int64_t b) const {
    double count = 0;
    for (std::int64_t t = 0; t < steps; ++t) count += is_valid(b, t) ? 1 : 0;
    return count;
  }
};

std::string described(const Problem& p) {
  return "B " + std::to_string(p.rows) + ", T " + std::to_string(p.steps) + ", F " +
         std::to_string(p.features) + (p.mask.empty() ? "" : ", masked");
}

std::vector<float> forward(Backend backend, const Problem& p, const Numbers& values,
                           std::int64_t gap) {
  GuardedMatrix<float> in(p.rows * p.steps, p.features, gap);
  in.fill(values);
  GuardedMatrix<std::uint8_t> mask(p.rows, p.steps, gap);
  mask.fill(p.mask.empty() ? Numbers(static_cast<std::size_t>(p.rows * p.steps), 1) : p.mask);
  GuardedMatrix<float> out(p.rows, p.features, gap);
  launch_on(backend, kernels::AverageTimeForward{
                         .in = in.matrix(),
                         .mask = p.mask.empty() ? Matrix<std::uint8_t>{} : mask.matrix(),
                         .out = out.matrix()});
  CHECK(out.guards_are_intact());
  return out.elements();
}

std::vector<float> backward(Backend backend, const Problem& p, const Numbers& out_grads,
                            std::int64_t gap) {
  GuardedMatrix<float> out_grad(p.rows, p.features, gap);
  out_grad.fill(out_grads);
  GuardedMatrix<std::uint8_t> mask(p.rows, p.steps, gap);
  mask.fill(p.mask.empty() ? Numbers(static_cast<std::size_t>(p.rows * p.steps), 1) : p.mask);
  GuardedMatrix<float> in_grad(p.rows * p.steps, p.features, gap);
  launch_on(backend, kernels::AverageTimeBackward{
                         .mask = p.mask.empty() ? Matrix<std::uint8_t>{} : mask.matrix(),
                         .out_grad = out_grad.matrix(),
                         .in_grad = in_grad.matrix()});
  CHECK(in_grad.guards_are_intact());
  return in_grad.elements();
}

// NaN where NaN is expected, else within roundings of numbers of magnitude 2.
bool are_near(const std::vector<float>& got, const Numbers& expected) {
  if (got.size() != expected.size()) return false;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double error = std::fabs(static_cast<double>(got[i]) - expected[i]);
    if (std::isnan(expected[i]) ? !std::isnan(got[i]) : !(error < 2e-6)) return false;
  }
  return true;
}

const std::vector<Problem>& problems() {
  static const std::vector<Problem> all = [] {
    RandomNumbers random(121);
    std::vector<Problem> made;
    for (const Problem& size :
         {Problem{0, 3, 5}, Problem{2, 3, 0}, Problem{2, 0, 3}, Problem{1, 1, 1}, Problem{5, 7, 17},
          Problem{3, 19, 33}, Problem{4, 2, 131}}) {
      for (const bool masked : {false, true}) {
        Problem problem = size;
        for (std::int64_t i = 0; masked && i < size.rows * size.steps; ++i)
          problem.mask.push_back(static_cast<double>(random.below(3)));
        made.push_back(problem);
      }
    }
    for (std::int64_t steps = 1; steps <= 4; ++steps) {
      Problem every{std::int64_t{1} << steps, steps, 3, {}};
      for (std::int64_t b = 0; b < every.rows; ++b) {
        for (std::int64_t t = 0; t < steps; ++t)
          every.mask.push_back(static_cast<double>(b >> t & 1));
      }
      made.push_back(every);
    }
    return made;
  }();
  return all;
}

}  // namespace

TEST_CASE("average over time: means of the valid steps, and no number where there are none") {
  RandomNumbers random(122);
  for (const Problem& p : problems()) {
    Numbers in = random.floats(p.rows * p.steps * p.features, -2, 2);
    Numbers expected;
    for (std::int64_t b = 0; b < p.rows; ++b) {
      for (std::int64_t f = 0; f < p.features; ++f) {
        double sum = 0;
        for (std::int64_t t = 0; t < p.steps; ++t) {
          double& x = in[static_cast<std::size_t>((b * p.steps + t) * p.features + f)];
          if (p.is_valid(b, t)) sum += x;
          // What a masked step holds has no influence.
          if (!p.is_valid(b, t) && f % 2 == 0) x = NAN;
        }
        expected.push_back(sum / p.valid_steps(b));
      }
    }
    for (const Backend backend : tested_backends()) {
      INFO(described(p) << " on " << kernels::name_of(backend));
      CHECK(are_near(forward(backend, p, in, 0), expected));
      CHECK(are_near(forward(backend, p, in, 3), expected));
    }
  }
}

TEST_CASE("average over time: valid steps share the gradient, masked ones get 0") {
  RandomNumbers random(123);
  for (const Problem& p : problems()) {
    const Numbers out_grad = random.floats(p.rows * p.features, -2, 2);
    Numbers expected;
    for (std::int64_t b = 0; b < p.rows; ++b) {
      for (std::int64_t t = 0; t < p.steps; ++t) {
        for (std::int64_t f = 0; f < p.features; ++f) {
          const double arriving = out_grad[static_cast<std::size_t>(b * p.features + f)];
          const double weight = p.is_valid(b, t) ? 1 : 0;
          // Without a valid step it is 0 / 0, as the mean itself.
          expected.push_back(weight * arriving / p.valid_steps(b));
        }
      }
    }
    for (const Backend backend : tested_backends()) {
      INFO(described(p) << " on " << kernels::name_of(backend));
      CHECK(are_near(backward(backend, p, out_grad, 0), expected));
      CHECK(are_near(backward(backend, p, out_grad, 3), expected));
    }
  }
}

TEST_CASE("average over time: a row's bits do not depend on the rows beside it") {
  RandomNumbers random(124);
  const Problem whole{7, 5, 19, {}};
  const Numbers in = random.floats(7 * 5 * 19, -2, 2);
  for (const Backend backend : tested_backends()) {
    const std::vector<float> together = forward(backend, whole, in, 0);
    std::vector<float> apart;
    for (std::int64_t b = 0; b < 7; ++b) {
      const std::vector<float> row =
          forward(backend, {1, 5, 19, {}}, {in.begin() + b * 95, in.begin() + (b + 1) * 95}, 0);
      apart.insert(apart.end(), row.begin(), row.end());
    }
    CHECK(apart == together);
  }
}
