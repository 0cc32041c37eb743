// The binary kernels over operands of any strides against plain loops: values bit for bit (each is
// one operation), gradients within what sums in float32 may lose.
#include <algorithm>
#include <array>
#include <cmath>
#include <sstream>
#include <string>
#include <vector>

#include "kernels/elementwise.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/strided_operand.hpp"

using namespace braid;
using namespace braid::testing;
using kernels::BinaryKind;

namespace {

constexpr BinaryKind kKinds[] = {BinaryKind::add,    BinaryKind::subtract, BinaryKind::multiply,
                                 BinaryKind::divide, BinaryKind::maximum,  BinaryKind::minimum};

// One problem: both operands with masks, and the gradient that arrives.
struct Problem {
  Problem(const Axes& size, const Repeats& repeats_a, const Repeats& repeats_b, std::int64_t gap,
          RandomNumbers& random)
      : extent(size),
        a_repeats(repeats_a),
        a(size, repeats_a, gap),
        b(size, repeats_b, gap),
        a_mask(size, repeats_a, gap),
        b_mask(size, repeats_b, gap),
        out_grad(size, {}, gap) {
    const auto fill_with = [&](auto& operand, const auto& next) {
      for_places(operand.own(), [&](const Axes& at) { operand.at(at) = next(); });
    };
    // Of few values, so that ties are common; never 0, by which to divide.
    const auto number = [&] {
      return static_cast<float>(random.below(6) + 1) * (random.below(2) == 0 ? -0.375F : 0.625F);
    };
    fill_with(a, number);
    fill_with(b, number);
    fill_with(a_mask, [&] { return static_cast<std::uint8_t>(random.below(2)); });
    fill_with(b_mask, [&] { return static_cast<std::uint8_t>(random.below(2)); });
    fill_with(out_grad, [&] { return static_cast<float>(random.uniform(-2, 2)); });
  }

  Axes extent;
  Repeats a_repeats;
  Operand<float> a;
  Operand<float> b;
  Operand<std::uint8_t> a_mask;
  Operand<std::uint8_t> b_mask;
  Operand<float> out_grad;
};

enum Masks { kNone, kOfFirst, kOfSecond, kOfBoth };

struct Valid {
  bool a;
  bool b;
};
Valid valid_at(Problem& p, const Axes& at, int masks) {
  return {masks == kNone || masks == kOfSecond || p.a_mask.at(at) != 0,
          masks == kNone || masks == kOfFirst || p.b_mask.at(at) != 0};
}

template <class T>
T combined(BinaryKind kind, T a, T b, const Valid& valid) {
  switch (kind) {
    case BinaryKind::add: return a + b;
    case BinaryKind::subtract: return a - b;
    case BinaryKind::divide: return a / b;
    case BinaryKind::multiply: return (valid.a ? a : 1) * (valid.b ? b : 1);
    case BinaryKind::maximum:
    case BinaryKind::minimum:
      if (!valid.b) return a;
      if (!valid.a) return b;
      return kind == BinaryKind::maximum ? std::max(a, b) : std::min(a, b);
  }
  return 0;
}

// By central differences; at a tie of maximum and minimum they give the half that Keras gives.
double slope_at(Problem& p, const Axes& at, BinaryKind kind, bool of_first, int masks) {
  const double step = 1e-6;
  const double a = static_cast<double>(p.a.at(at));
  const double b = static_cast<double>(p.b.at(at));
  const Valid valid = valid_at(p, at, masks);
  const auto moved = [&](double by) {
    return combined(kind, of_first ? a + by : a, of_first ? b : b + by, valid);
  };
  return (moved(step) - moved(-step)) / (2 * step);
}

void set_extent(std::int64_t (&target)[kMaxAxes], const Axes& extent) {
  for (std::size_t axis = 0; axis < kMaxAxes; ++axis) target[axis] = extent[axis];
}

std::string described(const Problem& p) {
  std::ostringstream text;
  text << "extent";
  for (const std::int64_t length : p.extent) text << " " << length;
  text << ", first repeated along";
  for (std::size_t axis = 0; axis < kMaxAxes; ++axis) {
    if (p.a_repeats[axis]) text << " " << axis;
  }
  return text.str();
}

kernels::BinaryForward forward_arguments(Problem& p, BinaryKind kind, int masks) {
  kernels::BinaryForward arguments{
      .a = read_only(p.a.strided()), .b = read_only(p.b.strided()), .kind = kind};
  if (masks == kOfFirst || masks == kOfBoth) arguments.a_mask = read_only(p.a_mask.strided());
  if (masks == kOfSecond || masks == kOfBoth) arguments.b_mask = read_only(p.b_mask.strided());
  set_extent(arguments.extent, p.extent);
  return arguments;
}

std::vector<float> expected_values(Problem& p, BinaryKind kind, int masks) {
  std::vector<float> expected;
  for_places(p.extent, [&](const Axes& at) {
    expected.push_back(combined(kind, p.a.at(at), p.b.at(at), valid_at(p, at, masks)));
  });
  return expected;
}

kernels::BinaryBackward backward_arguments(Problem& p, BinaryKind kind, int masks, bool of_first) {
  const kernels::BinaryForward f = forward_arguments(p, kind, masks);
  kernels::BinaryBackward arguments{.self = of_first ? f.a : f.b,
                                    .other = of_first ? f.b : f.a,
                                    .self_mask = of_first ? f.a_mask : f.b_mask,
                                    .other_mask = of_first ? f.b_mask : f.a_mask,
                                    .out_grad = read_only(p.out_grad.strided()),
                                    .kind = kind,
                                    .self_is_first = of_first};
  set_extent(arguments.extent, p.extent);
  return arguments;
}

// The gradient's sums and magnitudes against what a kernel wrote, from `before` on.
void check_sums(Problem& p, BinaryKind kind, int masks, bool of_first, Operand<float>& got,
                const Repeats& repeats, float before) {
  Operand<double> sum(p.extent, repeats, 0);
  Operand<double> allowed(p.extent, repeats, 0);
  for_places(sum.own(), [&](const Axes& at) {
    sum.at(at) = static_cast<double>(before);
    allowed.at(at) = std::fabs(sum.at(at)) * 0x1p-22;
  });
  for_places(p.extent, [&](const Axes& at) {
    const double term =
        slope_at(p, at, kind, of_first, masks) * static_cast<double>(p.out_grad.at(at));
    sum.at(at) += term;
    allowed.at(at) += std::fabs(term) * 0x1p-19;
  });
  int wrong = 0;
  for_places(sum.own(), [&](const Axes& at) {
    const double error = std::fabs(static_cast<double>(got.at(at)) - sum.at(at));
    if (!(error <= allowed.at(at))) ++wrong;
  });
  CHECK(wrong == 0);
  CHECK(got.memory().guards_are_intact());
}

const std::vector<std::array<Repeats, 2>>& ways_to_repeat() {
  static const std::vector<std::array<Repeats, 2>> ways{
      {{{0, 0, 0, 0, 0, 0}, {0, 0, 0, 0, 0, 0}}},
      {{{0, 0, 0, 0, 0, 0}, {1, 1, 1, 1, 1, 0}}},  // one row for all
      {{{0, 0, 0, 0, 0, 1}, {0, 0, 0, 0, 0, 0}}},  // one value a row
      {{{1, 1, 1, 1, 1, 1}, {0, 0, 0, 0, 0, 0}}},  // one value
      {{{0, 0, 0, 0, 0, 1}, {1, 1, 1, 1, 1, 0}}},  // an outer product
      {{{0, 0, 1, 0, 1, 0}, {0, 1, 0, 0, 0, 1}}},
      {{{1, 0, 1, 0, 1, 0}, {0, 1, 0, 1, 0, 1}}}};
  return ways;
}

const std::vector<Axes>& extents() {
  static const std::vector<Axes> all{{1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 7, 17}, {1, 1, 2, 3, 5, 33},
                                     {2, 3, 1, 2, 3, 5}, {1, 1, 1, 1, 0, 3},  {1, 1, 1, 0, 2, 3},
                                     {1, 1, 1, 1, 3, 0}, {1, 1, 1, 1, 2, 131}};
  return all;
}

template <class Body>
void for_problems(RandomNumbers& random, const Body& body) {
  for (const Axes& extent : extents()) {
    for (const auto& repeats : ways_to_repeat()) {
      for (const std::int64_t gap : {0, 3}) {
        Problem problem(extent, repeats[0], repeats[1], gap, random);
        for (const Backend backend : tested_backends()) {
          INFO(described(problem) << ", gap " << gap << " on " << kernels::name_of(backend));
          body(problem, backend, repeats, gap);
        }
      }
    }
  }
}

}  // namespace

TEST_CASE("binary: every kind with every mask is right for all ways to repeat operands") {
  RandomNumbers random(91);
  for_problems(random, [](Problem& problem, Backend backend, const auto&, std::int64_t gap) {
    for (const BinaryKind kind : kKinds) {
      for (const int masks : {kNone, kOfFirst, kOfSecond, kOfBoth}) {
        INFO("kind " << static_cast<int>(kind) << ", masks " << masks);
        Operand<float> out(problem.extent, {}, gap);
        kernels::BinaryForward arguments = forward_arguments(problem, kind, masks);
        arguments.out = out.strided();
        launch_on(backend, arguments);
        CHECK(out.memory().elements() == expected_values(problem, kind, masks));
        CHECK(out.memory().guards_are_intact());
      }
    }
  });
}

TEST_CASE("binary: the gradients of both operands are summed where they were repeated") {
  RandomNumbers random(92);
  for_problems(random, [](Problem& problem, Backend backend, const auto& repeats,
                          std::int64_t gap) {
    for (const BinaryKind kind : kKinds) {
      for (const int masks : {kNone, kOfFirst, kOfSecond, kOfBoth}) {
        for (const bool of_first : {true, false}) {
          INFO("kind " << static_cast<int>(kind) << ", masks " << masks << ", first " << of_first);
          const Repeats& own = repeats[of_first ? 0 : 1];
          Operand<float> grad(problem.extent, own, gap);
          auto arguments = backward_arguments(problem, kind, masks, of_first);
          arguments.self_grad = grad.strided();
          launch_on(backend, arguments);
          check_sums(problem, kind, masks, of_first, grad, own, 0);
          if (masks != kOfBoth) continue;
          for_places(grad.own(), [&](const Axes& at) { grad.at(at) = 1.5F; });
          arguments.accumulate = true;
          launch_on(backend, arguments);
          check_sums(problem, kind, masks, of_first, grad, own, 1.5F);
        }
      }
    }
  });
}

TEST_CASE("binary: the result may take the place of either operand") {
  RandomNumbers random(93);
  for (const BinaryKind kind : kKinds) {
    for (const bool in_first : {true, false}) {
      for (const Backend backend : tested_backends()) {
        INFO(kernels::name_of(backend) << ", kind " << static_cast<int>(kind));
        Problem problem({1, 1, 1, 3, 2, 37}, {}, {}, 2, random);
        const auto expected = expected_values(problem, kind, kOfBoth);
        kernels::BinaryForward arguments = forward_arguments(problem, kind, kOfBoth);
        Operand<float>& place = in_first ? problem.a : problem.b;
        arguments.out = place.strided();
        launch_on(backend, arguments);
        CHECK(place.memory().elements() == expected);
        CHECK(place.memory().guards_are_intact());
      }
    }
  }
}

TEST_CASE("binary: a result may have any strides, as operands may") {
  RandomNumbers random(94);
  const Repeats outer{0, 0, 0, 0, 0, 1};
  for (const Backend backend : tested_backends()) {
    INFO(kernels::name_of(backend));
    for (const bool first_repeats : {false, true}) {
      Problem problem({1, 1, 1, 1, 4, 5}, first_repeats ? outer : Repeats{}, {}, 0, random);
      GuardedMatrix<float> turned(5, 4, 1);
      kernels::BinaryForward arguments = forward_arguments(problem, BinaryKind::subtract, kNone);
      arguments.out.data = turned.data();
      arguments.out.stride[kMaxAxes - 2] = 1;
      arguments.out.stride[kMaxAxes - 1] = 5;
      launch_on(backend, arguments);
      const auto expected = expected_values(problem, BinaryKind::subtract, kNone);
      for (std::int64_t r = 0; r < 4; ++r) {
        for (std::int64_t c = 0; c < 5; ++c)
          CHECK(turned.matrix().row(c)[r] == expected[static_cast<std::size_t>(r * 5 + c)]);
      }
      CHECK(turned.guards_are_intact());
    }
  }
}

TEST_CASE("binary: sums and differences need no values for their gradients") {
  RandomNumbers random(95);
  for (const BinaryKind kind : {BinaryKind::add, BinaryKind::subtract}) {
    for (const bool of_first : {true, false}) {
      for (const Backend backend : tested_backends()) {
        INFO(kernels::name_of(backend) << ", kind " << static_cast<int>(kind));
        const Repeats repeats{0, 0, 0, 0, 1, 0};
        Problem problem({1, 1, 1, 2, 3, 19}, repeats, repeats, 0, random);
        auto arguments = backward_arguments(problem, kind, kNone, of_first);
        arguments.self = arguments.other = {};
        Operand<float> grad(problem.extent, repeats, 0);
        arguments.self_grad = grad.strided();
        launch_on(backend, arguments);
        check_sums(problem, kind, kNone, of_first, grad, repeats, 0);
      }
    }
  }
}

TEST_CASE("binary: repeated gradients are summed in index order, bit for bit") {
  RandomNumbers random(96);
  const Repeats repeats{0, 0, 1, 0, 1, 0};
  Problem problem({1, 1, 7, 2, 31, 19}, repeats, repeats, 0, random);
  Operand<float> expected(problem.extent, repeats, 0);
  for_places(expected.own(), [&](const Axes& at) { expected.at(at) = 0; });
  for_places(problem.extent, [&](const Axes& at) { expected.at(at) += problem.out_grad.at(at); });
  for (const Backend backend : tested_backends()) {
    INFO(kernels::name_of(backend));
    auto arguments = backward_arguments(problem, BinaryKind::add, kNone, true);
    Operand<float> grad(problem.extent, repeats, 0);
    arguments.self_grad = grad.strided();
    launch_on(backend, arguments);
    CHECK(grad.memory().elements() == expected.memory().elements());
  }
}

TEST_CASE("binary: quotients of very small and very large numbers keep their gradients") {
  RandomNumbers random(97);
  for (const float divisor : {1e-30F, 3e25F, -1e-22F}) {
    for (const Backend backend : tested_backends()) {
      Problem problem({1, 1, 1, 1, 1, 1}, {}, {}, 0, random);
      problem.a.at({}) = 0.75F * divisor;
      problem.b.at({}) = divisor;
      problem.out_grad.at({}) = divisor;
      auto arguments = backward_arguments(problem, BinaryKind::divide, kNone, false);
      Operand<float> grad(problem.extent, {}, 0);
      arguments.self_grad = grad.strided();
      launch_on(backend, arguments);
      INFO(kernels::name_of(backend) << ", divisor " << divisor);
      CHECK(static_cast<double>(grad.at({})) == Approx(-0.75).epsilon(1e-6));
    }
  }
}

TEST_CASE("binary: NaN wins over a number in maximum and minimum") {
  RandomNumbers random(98);
  for (const BinaryKind kind : {BinaryKind::maximum, BinaryKind::minimum}) {
    for (const bool in_first : {true, false}) {
      for (const Backend backend : tested_backends()) {
        Problem problem({1, 1, 1, 1, 1, 21}, {}, {}, 0, random);
        (in_first ? problem.a : problem.b).at({0, 0, 0, 0, 0, 7}) = NAN;
        Operand<float> out(problem.extent, {}, 0);
        kernels::BinaryForward arguments = forward_arguments(problem, kind, kNone);
        arguments.out = out.strided();
        launch_on(backend, arguments);
        INFO(kernels::name_of(backend) << ", kind " << static_cast<int>(kind));
        CHECK(std::isnan(out.at({0, 0, 0, 0, 0, 7})));
        CHECK_FALSE(std::isnan(out.at({0, 0, 0, 0, 0, 8})));
      }
    }
  }
}
