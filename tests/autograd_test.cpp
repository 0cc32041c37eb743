// Gradients of graphs: what reaches a value by several ways, and what reaches nothing.
#include "engine/graph/autograd.hpp"

#include "engine/core/error.hpp"
#include "engine/graph/ops/activation.hpp"
#include "engine/graph/ops/dense.hpp"
#include "engine/graph/ops/elementwise.hpp"
#include "engine/graph/ops/shape.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/op_check.hpp"

using namespace braid;
using namespace braid::testing;
using kernels::ActivationKind;
using kernels::BinaryKind;

namespace {

// x is read by a product, a reshape and an activation; the result of one is used again.
OpCheck diamond(std::int64_t rows) {
  RandomNumbers random(1);
  OpCheck check{.name = named("a value used by four ops, ", rows, " rows")};
  check.inputs = {batched("x", random_array({rows, 4}, random)),
                  weight("kernel", random_array({4, 4}, random))};
  check.build = [](Graph& graph, const Values& in) -> Values {
    const Value product = ops::dense(graph, in[0], in[1], {});
    const Value squashed = ops::activation(graph, in[0], {ActivationKind::tanh});
    const Value once = ops::binary(graph, BinaryKind::multiply, product, squashed);
    const Value more = ops::binary(graph, BinaryKind::add, once, in[0]);
    return {ops::binary(graph, BinaryKind::multiply, more, product),
            ops::reshape(graph, in[0], {2, 2}), ops::penalty(graph, in[1], 0.1, 0.2)};
  };
  check.reference = [](const Arrays& in) -> Arrays {
    Array out(in[0].shape);
    for (std::int64_t n = 0; n < out.rows(); ++n) {
      for (std::int64_t m = 0; m < 4; ++m) {
        double product = 0;
        for (std::int64_t k = 0; k < 4; ++k) product += in[0](n, k) * in[1](k, m);
        out(n, m) = (product * std::tanh(in[0](n, m)) + in[0](n, m)) * product;
      }
    }
    double penalty = 0;
    for (const double w : in[1].values) penalty += 0.1 * std::fabs(w) + 0.2 * w * w;
    return {out, {Shape{in[0].shape[0], 2, 2}, in[0].values}, Array(Shape{1}, penalty)};
  };
  // The penalty is no sum over the rows.
  check.rows_stand_alone = false;
  return check;
}

// A chain of many ops, each of which sends its gradient on.
OpCheck chain() {
  RandomNumbers random(2);
  OpCheck check{.name = "a chain of forty ops",
                .inputs = {batched("x", random_array({9, 3}, random))}};
  check.build = [](Graph& graph, const Values& in) -> Values {
    Value value = in[0];
    for (int n = 0; n < 20; ++n) {
      value = ops::affine(graph, value, 1.25F, 0.125F);
      value = ops::activation(graph, value, {ActivationKind::softsign});
    }
    return {value};
  };
  check.reference = [](const Arrays& in) -> Arrays {
    Array out = in[0];
    for (double& x : out.values) {
      for (int n = 0; n < 20; ++n) {
        x = 1.25 * x + 0.125;
        x = x / (1 + std::fabs(x));
      }
    }
    return {out};
  };
  return check;
}

}  // namespace

TEST_CASE("autograd: what reaches a value by several ways adds up") {
  for (const std::int64_t rows : {1, 7, 130}) check(diamond(rows));
  check(chain());
}

TEST_CASE("autograd: seeds of one value add up, and a seeded target is its own gradient") {
  Graph graph;
  const Value x = graph.input("x", {.shape = {None, 2}, .batched = true});
  const Value seed = graph.input("seed", {.shape = {None, 2}, .batched = true});
  const std::size_t nodes = graph.nodes().size();
  CHECK(add_gradients(graph, {{x, seed}}, {x}) == std::vector<Value>{seed});
  CHECK(graph.nodes().size() == nodes);
  const std::vector<Value> twice = add_gradients(graph, {{x, seed}, {x, seed}}, {x});
  CHECK(graph.producer(twice[0])->op->kind() == "sum");
}

TEST_CASE("autograd: a target that no seed depends on has no gradient and costs no op") {
  Graph graph;
  const Value x = graph.input("x", {.shape = {None, 2}, .batched = true});
  const Value other = graph.input("other", {.shape = {None, 2}, .batched = true});
  const Value y = ops::affine(graph, x, 2);
  ops::affine(graph, other, 2);
  const Value seed = graph.input("seed", {.shape = {None, 2}, .batched = true});
  const std::size_t nodes = graph.nodes().size();
  CHECK(add_gradients(graph, {{y, seed}}, {other}) == std::vector<Value>{Value{}});
  CHECK(graph.nodes().size() == nodes);
}

TEST_CASE("autograd: values between the seed and the target are targets too") {
  Graph graph;
  const Value x = graph.input("x", {.shape = {None, 2}, .batched = true});
  const Value y = ops::affine(graph, x, 2);
  const Value z = ops::affine(graph, y, 3);
  const Value seed = graph.input("seed", {.shape = {None, 2}, .batched = true});
  const std::vector<Value> gradients = add_gradients(graph, {{z, seed}}, {x, y, z});
  CHECK(gradients[2] == seed);
  CHECK(graph.producer(gradients[0])->inputs[0] == gradients[1]);
}

TEST_CASE("autograd: an op without a gradient is named when one is asked of it") {
  Graph graph;
  const Value x = graph.input("x", {.shape = {None, 2}, .batched = true});
  const Value total = ops::sum_all(graph, x);
  CHECK_THROWS_WITH(add_gradients(graph, {{total, graph.scalar(1)}}, {x}),
                    ContainsSubstring("sum_all") && ContainsSubstring("no gradient"));
}
