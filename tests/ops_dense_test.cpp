// Dense products against plain loops, alone and with every activation fused in.
#include "engine/graph/ops/activation.hpp"
#include "engine/graph/ops/dense.hpp"
#include "tests/support/activations.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/op_check.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

// in [..., K], kernel [K, M], bias [M] or nothing.
Array product(const Array& in, const Array& kernel, const Array* bias) {
  Shape shape = in.shape;
  shape[shape.rank() - 1] = kernel.columns();
  Array out(shape);
  for (std::int64_t n = 0; n < out.rows(); ++n) {
    for (std::int64_t m = 0; m < out.columns(); ++m) {
      double sum = bias != nullptr ? (*bias)[m] : 0;
      for (std::int64_t k = 0; k < in.columns(); ++k) sum += in(n, k) * kernel(k, m);
      out(n, m) = sum;
    }
  }
  return out;
}

Array product(const Arrays& in) { return product(in[0], in[1], in.size() > 2 ? &in[2] : nullptr); }

enum class Bias { none, given };

OpCheck dense_of(const Shape& rows, std::int64_t units, Bias bias, RandomNumbers& random) {
  OpCheck check{.name = named("dense ", rows, " to ", units)};
  check.inputs = {batched("in", random_array(rows, random)).any_length(3),
                  weight("kernel", random_array({rows.back(), units}, random))};
  if (bias == Bias::given) check.inputs.push_back(weight("bias", random_array({units}, random)));
  check.build = [](Graph& graph, const Values& in) -> Values {
    return {ops::dense(graph, in[0], in[1], in.size() > 2 ? in[2] : Value{})};
  };
  check.reference = [](const Arrays& in) -> Arrays { return {product(in)}; };
  return check;
}

std::vector<OpCheck> products() {
  RandomNumbers random(1);
  std::vector<OpCheck> checks;
  for (const Shape& rows :
       {Shape{0, 3}, Shape{1, 1}, Shape{1, 7}, Shape{7, 3}, Shape{65, 5}, Shape{257, 2}}) {
    for (const std::int64_t units : {1, 2, 13, 17}) {
      checks.push_back(dense_of(rows, units, Bias::given, random));
      checks.push_back(dense_of(rows, units, Bias::none, random));
    }
  }
  for (const Shape& rows : {Shape{3, 2, 5}, Shape{17, 3, 7}, Shape{5, 0, 3}, Shape{0, 4, 3},
                            Shape{2, 3, 1, 4}, Shape{67, 2, 3, 2}}) {
    checks.push_back(dense_of(rows, 1, Bias::none, random));
    checks.push_back(dense_of(rows, 6, Bias::given, random));
  }
  for (int n = 0; n < 12; ++n) {
    const Shape rows{1 + random.below(40), 1 + random.below(40)};
    checks.push_back(dense_of(rows, 1 + random.below(40), Bias::given, random));
  }
  return checks;
}

std::vector<OpCheck> products_with_activation() {
  RandomNumbers random(2);
  std::vector<OpCheck> checks;
  for (const kernels::Activation& function : all_activations()) {
    for (const Shape& rows : {Shape{9, 4}, Shape{66, 3}, Shape{2, 3, 5}}) {
      OpCheck check = dense_of(rows, rows.rank() == 3 ? 1 : 5, Bias::given, random);
      check.name = named(check.name, " with ", name_of(function));
      check.build = [function](Graph& graph, const Values& in) -> Values {
        return {ops::activation(graph, ops::dense(graph, in[0], in[1], in[2]), function)};
      };
      check.reference = [function](const Arrays& in) -> Arrays {
        Array out = product(in);
        for (double& value : out.values) value = activated(function, value);
        return {out};
      };
      checks.push_back(std::move(check));
    }
  }
  return checks;
}

// The pre-activation is a result too, so nothing may be fused away.
std::vector<OpCheck> products_seen_before_their_activation() {
  RandomNumbers random(3);
  OpCheck check = dense_of({11, 3}, 4, Bias::given, random);
  check.name = "dense seen before its tanh";
  const kernels::Activation tanh{kernels::ActivationKind::tanh};
  check.build = [tanh](Graph& graph, const Values& in) -> Values {
    const Value before = ops::dense(graph, in[0], in[1], in[2]);
    return {ops::activation(graph, before, tanh), before};
  };
  check.reference = [](const Arrays& in) -> Arrays {
    Array out = product(in);
    const Array before = out;
    for (double& value : out.values) value = std::tanh(value);
    return {out, before};
  };
  return {check};
}

// One kernel in two layers and one row in two products: gradients add up.
std::vector<OpCheck> shared_kernels() {
  RandomNumbers random(4);
  std::vector<OpCheck> checks;
  for (const std::int64_t rows : {1, 19, 130}) {
    OpCheck check = dense_of({rows, 5}, 5, Bias::given, random);
    check.name = named("one kernel twice, ", rows, " rows");
    check.build = [](Graph& graph, const Values& in) -> Values {
      const Value once = ops::dense(graph, in[0], in[1], in[2]);
      return {ops::dense(graph, once, in[1], in[2]), ops::dense(graph, in[0], in[1], Value{})};
    };
    check.reference = [](const Arrays& in) -> Arrays {
      return {product(product(in), in[1], &in[2]), product(in[0], in[1], nullptr)};
    };
    checks.push_back(std::move(check));
  }
  return checks;
}

// Kernels too large for a copy a slice, whose gradients are computed from the whole batch. Plain
// loops instead of differences, which would take too long.
std::vector<OpCheck> large_kernels() {
  RandomNumbers random(5);
  std::vector<OpCheck> checks;
  for (const auto& [rows, units] : std::vector<std::pair<Shape, std::int64_t>>{
           {{1, 129}, 128},
           {{67, 3, 128}, 129},
           {{0, 128}, 128},
           {{37, 1}, 16411},
           // And those that tiles do not read, in one block and in many.
           {{3, 300}, 450},
           {{2, 7, 1031}, 131},
           {{0, 512}, 256},
           {{29, 2}, 65537}}) {
    OpCheck check = dense_of(rows, units, Bias::given, random);
    check.name += ", a large kernel";
    check.gradients = [](const Arrays& in, const Arrays& out_grads) -> Arrays {
      const Array& grad = out_grads[0];
      Arrays slopes{Array(in[0].shape), Array(in[1].shape), Array(in[2].shape)};
      for (std::int64_t n = 0; n < grad.rows(); ++n) {
        for (std::int64_t k = 0; k < in[0].columns(); ++k) {
          for (std::int64_t m = 0; m < grad.columns(); ++m) {
            slopes[0](n, k) += grad(n, m) * in[1](k, m);
            slopes[1](k, m) += grad(n, m) * in[0](n, k);
          }
        }
        for (std::int64_t m = 0; m < grad.columns(); ++m) slopes[2][m] += grad(n, m);
      }
      return slopes;
    };
    checks.push_back(std::move(check));
  }
  return checks;
}

// Inputs, kernels and biases that get no gradient, in every combination.
std::vector<OpCheck> frozen_operands() {
  RandomNumbers random(6);
  std::vector<OpCheck> checks;
  for (int wanted = 0; wanted < 8; ++wanted) {
    OpCheck check = dense_of({23, 5}, 6, Bias::given, random);
    check.name = named(check.name, " with gradients for ", wanted);
    for (std::size_t i = 0; i < 3; ++i) check.inputs[i].differentiable = (wanted >> i & 1) != 0;
    checks.push_back(std::move(check));
  }
  return checks;
}

const OpFamily family{
    products,      products_with_activation, products_seen_before_their_activation, shared_kernels,
    large_kernels, frozen_operands};

}  // namespace

TEST_CASE("ops: dense multiplies rows of any rank by its kernel") { check(products()); }

TEST_CASE("ops: dense with an activation is the same fused and not fused") {
  check(products_with_activation());
}

TEST_CASE("ops: dense keeps the pre-activation where somebody looks at it") {
  check(products_seen_before_their_activation());
}

TEST_CASE("ops: dense gradients of a kernel that is used twice add up") { check(shared_kernels()); }

TEST_CASE("ops: dense gradients of a large kernel are those of the whole batch") {
  check(large_kernels());
}

TEST_CASE("ops: dense gives gradients to what wants them alone") { check(frozen_operands()); }
