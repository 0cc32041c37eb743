// Activation functions against float64, at their kinks and far out too; softmax over every axis.
#include "engine/graph/ops/activation.hpp"
#include "tests/support/activations.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/op_check.hpp"

using namespace braid;
using namespace braid::testing;
using kernels::Activation;
using kernels::ActivationKind;

namespace {

OpCheck activation_of(const Activation& function, Array in) {
  OpCheck check{.name = named(name_of(function), " of ", in.shape)};
  check.inputs = {batched("in", std::move(in)).any_length(3)};
  check.build = [function](Graph& graph, const Values& in) -> Values {
    return {ops::activation(graph, in[0], function)};
  };
  check.reference = [function](const Arrays& in) -> Arrays {
    Array out = in[0];
    for (double& value : out.values) value = activated(function, value);
    return {out};
  };
  return check;
}

std::vector<OpCheck> activations() {
  RandomNumbers random(1);
  std::vector<OpCheck> checks;
  for (const Activation& function : all_activations()) {
    for (const Shape& shape : and_random({{0, 3}, {1}, {67}, {3, 2, 5}, {37, 17}}, 2, random)) {
      OpCheck check = activation_of(function, random_array(shape, random, -7, 7));
      check.each_by_itself = function.kind != ActivationKind::gelu_tanh;
      checks.push_back(std::move(check));
    }
  }
  return checks;
}

// One activation for values and gradients of both signs far from 0, where a careless formula
// overflows or loses everything.
std::vector<OpCheck> activations_far_out() {
  std::vector<OpCheck> checks;
  for (const Activation& function : all_activations()) {
    std::vector<double> values{-3e4, -400, -104, -89, -61, -30, -17, 17, 30, 61, 88};
    if (function.kind != ActivationKind::exponential)
      values.insert(values.end(), {89, 104, 400, 3e4});
    const auto rows = static_cast<Dim>(values.size());
    OpCheck check = activation_of(function, {Shape{rows, 1}, std::move(values)});
    check.each_by_itself = true;
    check.tolerance = 1e-5;
    // A difference of large numbers is good to few digits.
    check.step = 1e-3;
    checks.push_back(std::move(check));
  }
  return checks;
}

struct Kink {
  Activation function;
  float at;
  double value;
  double slope;
};

// What Keras makes of the points without a derivative.
std::vector<OpCheck> kinks() {
  const Activation ramp{ActivationKind::relu, 0.25F, 0.625F, 0.125F};
  std::vector<OpCheck> checks;
  for (const Kink& kink : {
           Kink{{ActivationKind::relu}, 0, 0, 0},
           Kink{{ActivationKind::relu, 0, 0.5F, 0}, 0.5F, 0.5, 0},
           Kink{ramp, 0.125F, 0, 0.25},
           Kink{ramp, 0.625F, 0.625, 0},
           Kink{{ActivationKind::leaky_relu, 0.25F}, 0, 0, 1},
           Kink{{ActivationKind::relu6}, 0, 0, 0},
           Kink{{ActivationKind::relu6}, 6, 6, 0},
           Kink{{ActivationKind::elu, 0.75F}, 0, 0, 0.75},
           Kink{{ActivationKind::selu}, 0, 0, 1.7580993408473766},
           Kink{{ActivationKind::celu, 1.5F}, 0, 0, 1},
           Kink{{ActivationKind::softsign}, 0, 0, 1},
           Kink{{ActivationKind::hard_sigmoid}, -3, 0, 0},
           Kink{{ActivationKind::hard_sigmoid}, 3, 1, 0},
           Kink{{ActivationKind::hard_silu}, -3, 0, 0},
           Kink{{ActivationKind::hard_silu}, 3, 3, 1},
       }) {
    OpCheck check = activation_of(kink.function, Array(Shape{5, 7}, kink.at));
    check.name = named(check.name, " at its kink ", kink.at);
    check.reference = [kink](const Arrays& in) -> Arrays {
      return {Array(in[0].shape, kink.value)};
    };
    check.gradients = [kink](const Arrays&, const Arrays& out_grads) -> Arrays {
      return {out_grads[0].times(kink.slope)};
    };
    checks.push_back(std::move(check));
  }
  return checks;
}

// The groups of a softmax over `axis`: elements first + c * inner for every c.
template <class Body>
void for_groups(const Shape& shape, std::int64_t axis, const Body& body) {
  const std::int64_t inner =
      shape.slice(static_cast<std::size_t>(axis) + 1, shape.rank()).elements();
  const std::int64_t count = shape[static_cast<std::size_t>(axis)];
  const std::int64_t outer = shape.slice(0, static_cast<std::size_t>(axis)).elements();
  for (std::int64_t o = 0; o < outer; ++o) {
    for (std::int64_t i = 0; i < inner; ++i) body(o * count * inner + i, count, inner);
  }
}

enum class Form { plain, logarithm };

OpCheck softmax_of(Array in, std::int64_t axis, Form form) {
  const auto rank = static_cast<std::int64_t>(in.shape.rank());
  OpCheck check{.name = named(form == Form::plain ? "softmax of " : "log_softmax of ", in.shape,
                              " over axis ", axis)};
  check.inputs = {batched("in", std::move(in))};
  if (axis != 1) check.inputs[0] = std::move(check.inputs[0]).any_length(3);
  check.build = [axis, form](Graph& graph, const Values& in) -> Values {
    return {form == Form::plain ? ops::softmax(graph, in[0], axis)
                                : ops::log_softmax(graph, in[0], axis)};
  };
  check.reference = [axis = axis < 0 ? axis + rank : axis, form](const Arrays& in) -> Arrays {
    Array out = in[0];
    for_groups(out.shape, axis, [&](std::int64_t first, std::int64_t count, std::int64_t inner) {
      double largest = -INFINITY;
      double sum = 0;
      for (std::int64_t c = 0; c < count; ++c)
        largest = std::fmax(largest, in[0][first + c * inner]);
      for (std::int64_t c = 0; c < count; ++c) sum += std::exp(in[0][first + c * inner] - largest);
      for (std::int64_t c = 0; c < count; ++c) {
        double& value = out[first + c * inner];
        value -= largest + std::log(sum);
        if (form == Form::plain) value = std::exp(value);
      }
    });
    return {out};
  };
  return check;
}

std::vector<OpCheck> softmaxes() {
  RandomNumbers random(2);
  std::vector<OpCheck> checks;
  for (const Form form : {Form::plain, Form::logarithm}) {
    for (const Shape& shape : and_random({{0, 3},
                                          {1, 1},
                                          {5, 1},
                                          {3, 2},
                                          {19, 7},
                                          {66, 17},
                                          {3, 65},
                                          {5, 3, 4},
                                          {21, 2, 5},
                                          {2, 0, 3},
                                          {3, 2, 4, 3}},
                                         6, random)) {
      for (std::size_t axis = 1; axis < shape.rank(); ++axis) {
        // From the front and from the back.
        const auto from_back =
            static_cast<std::int64_t>(axis) - static_cast<std::int64_t>(shape.rank());
        checks.push_back(softmax_of(random_array(shape, random, -3, 3),
                                    axis % 2 == 0 ? static_cast<std::int64_t>(axis) : from_back,
                                    form));
      }
    }
    // Only differences between the numbers count, however large they are.
    Array large = random_array({9, 5}, random, -2, 2);
    for (double& value : large.values) value += value > 0 ? 3e4 : -3e4;
    OpCheck check = softmax_of(std::move(large), -1, form);
    check.name += ", large numbers";
    check.step = 1e-3;
    checks.push_back(std::move(check));
  }
  return checks;
}

const OpFamily family{activations, activations_far_out, kinks, softmaxes};

}  // namespace

TEST_CASE("ops: every activation and its derivative are Keras's") { check(activations()); }

TEST_CASE("ops: activations of large numbers neither overflow nor lose their digits") {
  check(activations_far_out());
}

TEST_CASE("ops: activations have Keras's derivative at their kinks") { check(kinks()); }

TEST_CASE("ops: softmax and its logarithm go over any axis") { check(softmaxes()); }
