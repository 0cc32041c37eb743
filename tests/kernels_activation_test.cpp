// The activation kernels against Keras's functions and derivatives in float64.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/activation.hpp"
#include "tests/support/activations.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/guarded_matrix.hpp"
#include "tests/support/memory_at_the_edge.hpp"
#include "tests/support/row_program.hpp"
#include "tests/support/ulps.hpp"

using namespace braid;
using namespace braid::testing;
using kernels::Activation;
using kernels::ActivationKind;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kLargest = static_cast<double>(std::numeric_limits<float>::max());

// How the operands lie in memory.
struct Layout {
  std::int64_t columns = 1;
  std::int64_t gap = 0;
  bool in_place = false;
};

std::vector<float> forward(Backend backend, const Activation& f, const Numbers& values,
                           const Layout& layout) {
  GuardedMatrix<float> in(values, layout.columns, layout.gap);
  GuardedMatrix<float> separate(in.matrix().rows, layout.columns, layout.gap);
  GuardedMatrix<float>& out = layout.in_place ? in : separate;
  launch_on(backend,
            kernels::ActivationForward{.in = in.matrix(), .out = out.matrix(), .activation = f});
  CHECK(in.guards_are_intact());
  CHECK(out.guards_are_intact());
  return out.elements();
}

enum class Known { input, output };

// The derivative at the inputs, or, if the outputs are what is known, at them.
std::vector<float> backward(Backend backend, const Activation& f, Known known,
                            const Numbers& values, const Numbers& out_grads, const Layout& layout) {
  GuardedMatrix<float> at(values, layout.columns, layout.gap);
  GuardedMatrix<float> out_grad(out_grads, layout.columns, layout.gap);
  GuardedMatrix<float> separate(at.matrix().rows, layout.columns, layout.gap);
  GuardedMatrix<float>& in_grad = layout.in_place ? out_grad : separate;
  const bool from_input = known == Known::input;
  launch_on(backend, kernels::ActivationBackward{.in = from_input ? at.matrix() : Matrix<float>{},
                                                 .out = from_input ? Matrix<float>{} : at.matrix(),
                                                 .out_grad = out_grad.matrix(),
                                                 .in_grad = in_grad.matrix(),
                                                 .activation = f});
  CHECK(at.guards_are_intact());
  CHECK(in_grad.guards_are_intact());
  return in_grad.elements();
}

Numbers as_numbers(const std::vector<float>& values) { return {values.begin(), values.end()}; }

// Errors of the argument of erf and of tanh grow in the result with the square of x.
double allowed_ulps(const Activation& f, double x) {
  if (f.kind == ActivationKind::gelu) return 3 + 1.2 * x * x;
  if (f.kind == ActivationKind::gelu_tanh) return 4 + 4 * x * x;
  return 4;
}

bool value_is_right(const Activation& f, double x, float got) {
  const double exact = activated(f, x);
  // Near -3 the line of the hard ones is a difference of near numbers.
  const bool hard = f.kind == ActivationKind::hard_sigmoid || f.kind == ActivationKind::hard_silu;
  if (hard && std::fabs(x) < 4 && std::fabs(static_cast<double>(got) - exact) < 1.5e-7) return true;
  // Of x times a factor below the smallest normal float no more than the factor's digits is left.
  const double error = std::fabs(static_cast<double>(got) - exact);
  return error_in_ulps(got, exact) <= allowed_ulps(f, x) || error <= std::fabs(x) * 0x1p-149;
}

bool slope_is_right(const Activation& f, double x, double out_grad, float got) {
  const double exact = out_grad * activated_slope(f, x);
  if (error_in_ulps(got, exact) <= 8) return true;
  return std::fabs(static_cast<double>(got) - exact) <= 1e-6 * std::fabs(out_grad);
}

// The x at which a result is wrong; nothing if all are right.
Numbers wrong_values(const Activation& f, const Numbers& x, const std::vector<float>& got) {
  Numbers wrong;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (i >= got.size() || !value_is_right(f, x[i], got[i])) wrong.push_back(x[i]);
  }
  return wrong;
}

Numbers wrong_slopes(const Activation& f, const Numbers& x, const Numbers& out_grads,
                     const std::vector<float>& got) {
  Numbers wrong;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (i >= got.size() || !slope_is_right(f, x[i], out_grads[i], got[i])) wrong.push_back(x[i]);
  }
  return wrong;
}

Numbers mixed_inputs(std::int64_t count, RandomNumbers& random) {
  Numbers values;
  for (std::int64_t i = 0; i < count; ++i) {
    const double reach = i % 3 == 0 ? 30 : 5;
    values.push_back(random.floats(1, -reach, reach)[0]);
  }
  return values;
}

struct Size {
  std::int64_t rows;
  std::int64_t columns;
};
constexpr Size kSizes[] = {{0, 3}, {1, 1}, {1, 31}, {7, 5}, {3, 17}, {13, 33}, {2, 130}, {5, 257}};

const Numbers& special_inputs() {
  static const Numbers special{
      0.0,   -0.0,  1e-45,  -1e-45, 1e-40,  -1e-40, 1.2e-38, -1.2e-38, 1e-20,    -1e-20, 0.05F,
      0.6F,  0.7F,  -3,     3,      6,      16,     -16,     40,       -40,      87.3F,  -87.3F,
      88,    -88,   88.7F,  -88.7F, 89,     -89,    103.9F,  -103.9F,  105,      -105,   1e4F,
      -1e4F, 1e13F, -1e13F, 2e19F,  -2e19F, 1e30F,  -1e30F,  kLargest, -kLargest};
  static const Numbers rounded = [] {
    Numbers values;
    for (const double x : special) values.push_back(static_cast<double>(static_cast<float>(x)));
    return values;
  }();
  return rounded;
}

}  // namespace

TEST_CASE("activation: the float64 reference's slopes are its central differences") {
  RandomNumbers random(41);
  for (const Activation& f : all_activations()) {
    INFO(name_of(f));
    for (const double x : random.floats(200, -7, 7)) {
      const double step = 1e-6;
      const double difference = (activated(f, x + step) - activated(f, x - step)) / (2 * step);
      CHECK(activated_slope(f, x) == Approx(difference).margin(1e-8).epsilon(1e-8));
    }
  }
}

TEST_CASE("activation: values and gradients of every kind are right for all sizes and layouts") {
  RandomNumbers random(42);
  for (const Activation& f : all_activations()) {
    for (const Size& size : kSizes) {
      const Numbers x = mixed_inputs(size.rows * size.columns, random);
      const Numbers out_grads = random.floats(size.rows * size.columns, -2, 2);
      for (const Layout& layout : {Layout{size.columns, 0, false}, Layout{size.columns, 3, false},
                                   Layout{size.columns, 0, true}, Layout{size.columns, 3, true}}) {
        for (const Backend backend : tested_backends()) {
          INFO(name_of(f) << " on " << kernels::name_of(backend) << ", N " << size.rows << ", C "
                          << size.columns << ", gap " << layout.gap);
          CHECK(wrong_values(f, x, forward(backend, f, x, layout)).empty());
          CHECK(wrong_slopes(f, x, out_grads,
                             backward(backend, f, Known::input, x, out_grads, layout))
                    .empty());
        }
      }
    }
  }
}

TEST_CASE("activation: where the output tells the gradient, it is the one that the input tells") {
  RandomNumbers random(43);
  int kinds = 0;
  for (const Activation& f : all_activations()) {
    if (!kernels::gradient_from_output(f)) continue;
    ++kinds;
    const Numbers x = mixed_inputs(7 * 19, random);
    const Numbers out_grads = random.floats(7 * 19, -2, 2);
    for (const Layout& layout : {Layout{19, 0, false}, Layout{19, 2, true}}) {
      for (const Backend backend : tested_backends()) {
        INFO(name_of(f) << " on " << kernels::name_of(backend));
        const Numbers y = as_numbers(forward(backend, f, x, layout));
        CHECK(backward(backend, f, Known::output, y, out_grads, layout) ==
              backward(backend, f, Known::input, x, out_grads, layout));
      }
    }
  }
  CHECK(kinds > 5);
}

TEST_CASE("activation: tiny, huge and infinite inputs give what Keras's formulas give") {
  Numbers x = special_inputs();
  x.push_back(kInfinity);
  x.push_back(-kInfinity);
  for (const Activation& f : all_activations()) {
    for (const Backend backend : tested_backends()) {
      INFO(name_of(f) << " on " << kernels::name_of(backend));
      const auto columns = static_cast<std::int64_t>(x.size());
      CHECK(wrong_values(f, x, forward(backend, f, x, {columns})) == Numbers{});
    }
  }
}

TEST_CASE("activation: gradients at every finite input are right, not NaN") {
  const Numbers& x = special_inputs();
  const Numbers ones(x.size(), 1.0);
  for (const Activation& f : all_activations()) {
    for (const Backend backend : tested_backends()) {
      INFO(name_of(f) << " on " << kernels::name_of(backend));
      const auto columns = static_cast<std::int64_t>(x.size());
      CHECK(wrong_slopes(f, x, ones, backward(backend, f, Known::input, x, ones, {columns})) ==
            Numbers{});
    }
  }
}

TEST_CASE("activation: NaN passes through every kind and stays in its place") {
  RandomNumbers random(44);
  for (const Activation& f : all_activations()) {
    const Numbers x = mixed_inputs(35, random);
    Numbers spoilt = x;
    spoilt[3] = spoilt[32] = NAN;
    for (const Backend backend : tested_backends()) {
      INFO(name_of(f) << " on " << kernels::name_of(backend));
      std::vector<float> got = forward(backend, f, spoilt, {35});
      CHECK(std::isnan(got[3]));
      CHECK(std::isnan(got[32]));
      const std::vector<float> clean = forward(backend, f, x, {35});
      got[3] = clean[3];
      got[32] = clean[32];
      CHECK(got == clean);
    }
  }
}

TEST_CASE("activation: an element's bits do not depend on its place or on its neighbours") {
  RandomNumbers random(45);
  for (const Activation& f : all_activations()) {
    const Numbers x = mixed_inputs(67, random);
    const Numbers out_grads = random.floats(67, -2, 2);
    for (const Backend backend : tested_backends()) {
      INFO(name_of(f) << " on " << kernels::name_of(backend));
      const std::vector<float> values = forward(backend, f, x, {67});
      const std::vector<float> slopes = backward(backend, f, Known::input, x, out_grads, {67});
      for (std::int64_t length = 1; length < 67; length += 1 + length / 5) {
        const auto from = [&](const auto& all) {
          return std::remove_cvref_t<decltype(all)>(all.end() - length, all.end());
        };
        CHECK(forward(backend, f, from(x), {length}) == from(values));
        CHECK(forward(backend, f, from(x), {1, 1}) == from(values));
        CHECK(backward(backend, f, Known::input, from(x), from(out_grads), {length}) ==
              from(slopes));
      }
    }
  }
}

TEST_CASE("activation: steps of row programs read nothing behind the ends of their operands") {
  RandomNumbers random(44);
  for (const Activation& f : {Activation{ActivationKind::relu}, Activation{ActivationKind::tanh}}) {
    for (const Size& size : {Size{1, 1}, Size{5, 8}, Size{7, 5}, Size{33, 40}}) {
      INFO(name_of(f) << ", " << size.rows << " x " << size.columns);
      const Numbers x = random.floats(size.rows * size.columns, -3, 3);
      const Numbers out_grads = random.floats(size.rows * size.columns, -2, 2);
      const MatrixAtTheEdge in(x, size.columns);
      const MatrixAtTheEdge out(Numbers(x.size(), 0), size.columns);
      const MatrixAtTheEdge out_grad(out_grads, size.columns);
      const MatrixAtTheEdge in_grad(Numbers(x.size(), 0), size.columns);
      run_as_step_here(
          kernels::ActivationForward{.in = in.matrix(), .out = out.matrix(), .activation = f});
      run_as_step_here(kernels::ActivationBackward{.in = {},
                                                   .out = out.matrix(),
                                                   .out_grad = out_grad.matrix(),
                                                   .in_grad = in_grad.matrix(),
                                                   .activation = f});
      const auto floats = [](const MatrixAtTheEdge& matrix) {
        const Numbers values = matrix.values();
        return std::vector<float>(values.begin(), values.end());
      };
      CHECK(wrong_values(f, x, floats(out)).empty());
      CHECK(wrong_slopes(f, x, out_grads, floats(in_grad)).empty());
    }
  }
}
