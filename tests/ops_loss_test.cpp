// Losses of rows and steps against Keras's formulas in float64, alone and beside the probabilities.
#include "engine/core/error.hpp"
#include "engine/graph/fusion.hpp"
#include "engine/graph/ops/activation.hpp"
#include "engine/graph/ops/elementwise.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/loss_problem.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

std::vector<OpCheck> elementwise_losses() {
  RandomNumbers random(1);
  std::vector<OpCheck> checks;
  for (const LossKind kind : kElementwiseLosses) {
    for (const Shape& shape :
         and_random({{0, 3}, {1, 1}, {67, 1}, {9, 5}, {5, 17}, {19, 3, 2}}, 2, random)) {
      OpCheck check = loss_check({.kind = kind, .delta = 0.25F}, shape, random);
      for (OpInput& input : check.inputs) input = std::move(input).any_length(3);
      check.tolerance = 1e-5;  // logarithms of numbers near 1
      checks.push_back(std::move(check));
    }
  }
  return checks;
}

std::vector<LossRule> crossentropies() {
  std::vector<LossRule> rules;
  for (const LossKind kind : kCrossentropies) {
    for (const float smoothing : {0.0F, 0.25F}) {
      rules.push_back({.kind = kind, .label_smoothing = smoothing});
      rules.push_back({.kind = kind, .from_logits = true, .label_smoothing = smoothing});
      if (kind == LossKind::sparse_categorical_crossentropy) break;
    }
  }
  return rules;
}

std::vector<OpCheck> crossentropy_losses() {
  RandomNumbers random(2);
  std::vector<OpCheck> checks;
  for (const LossRule& rule : crossentropies()) {
    for (const Shape& shape :
         and_random({{0, 3}, {1, 2}, {67, 1}, {9, 5}, {5, 17}, {19, 3, 2}}, 2, random)) {
      OpCheck check = loss_check(rule, shape, random);
      if (shape.rank() > 2) {
        for (OpInput& input : check.inputs) input = std::move(input).any_length();
      }
      checks.push_back(std::move(check));
    }
  }
  return checks;
}

std::vector<OpCheck> ignored_classes() {
  RandomNumbers random(3);
  std::vector<OpCheck> checks;
  for (const std::int32_t ignored : {0, 2, -1}) {
    LossRule rule{.kind = LossKind::sparse_categorical_crossentropy};
    rule.has_ignore_class = true;
    rule.ignore_class = ignored;
    for (const bool from_logits : {false, true}) {
      rule.from_logits = from_logits;
      OpCheck check = loss_check(rule, {23, 2, 4}, random);
      check.name = named(check.name, ", ignoring ", ignored);
      // A class that no output stands for.
      for (std::int64_t i = 0; ignored < 0 && i < 46; i += 3) check.inputs[0].array[i] = ignored;
      checks.push_back(std::move(check));
    }
  }
  return checks;
}

// The probabilities are results too, and get a gradient of their own: fused or not, both gradients
// reach the logits.
std::vector<OpCheck> losses_with_probabilities() {
  RandomNumbers random(4);
  std::vector<OpCheck> checks;
  for (const LossRule& rule : crossentropies()) {
    if (!rule.from_logits) continue;
    for (const Shape& shape : {Shape{9, 5}, Shape{67, 1}, Shape{3, 2, 7}}) {
      OpCheck check = loss_check(rule, shape, random);
      check.name = named(check.name, " beside its probabilities");
      check.build = [rule](Graph& graph, const Values& in) -> Values {
        const Value probabilities =
            rule.kind == LossKind::binary_crossentropy
                ? ops::activation(graph, in[1], {.kind = kernels::ActivationKind::sigmoid})
                : ops::softmax(graph, in[1]);
        return {ops::loss_values(graph, rule, in[0], in[1]), probabilities};
      };
      check.reference = [rule](const Arrays& in) -> Arrays {
        return {losses(rule, in[0], in[1]), probabilities_of(rule.kind, in[1])};
      };
      checks.push_back(check);
      // Only the probabilities are wanted, and the loss of them.
      check.name = named(check.name, " and the loss of those");
      check.build = [build = check.build](Graph& graph, const Values& in) -> Values {
        const Values both = build(graph, in);
        const Value zeros = ops::affine(graph, both[1], 0);
        return {ops::loss_values(graph, {.kind = LossKind::mean_squared_error}, zeros, both[1])};
      };
      check.reference = [rule](const Arrays& in) -> Arrays {
        return {losses({.kind = LossKind::mean_squared_error}, Array(in[1].shape),
                       probabilities_of(rule.kind, in[1]))};
      };
      checks.push_back(std::move(check));
    }
  }
  return checks;
}

// Two losses of one prediction: one of them takes the probabilities over, the other does without.
std::vector<OpCheck> two_losses_of_one_prediction() {
  RandomNumbers random(5);
  std::vector<OpCheck> checks;
  for (const LossKind kind : {LossKind::binary_crossentropy, LossKind::categorical_crossentropy}) {
    const LossRule rule{.kind = kind, .from_logits = true};
    OpCheck check = loss_check(rule, {11, 4}, random);
    check.name = named(check.name, ", twice");
    check.inputs.push_back(given("other truth", random_array({11, 4}, random, 0, 1)));
    check.build = [rule](Graph& graph, const Values& in) -> Values {
      const Value probabilities =
          rule.kind == LossKind::binary_crossentropy
              ? ops::activation(graph, in[1], {.kind = kernels::ActivationKind::sigmoid})
              : ops::softmax(graph, in[1]);
      return {ops::loss_values(graph, rule, in[0], in[1]),
              ops::loss_values(graph, rule, in[2], in[1]), probabilities};
    };
    check.reference = [rule](const Arrays& in) -> Arrays {
      return {losses(rule, in[0], in[1]), losses(rule, in[2], in[1]),
              probabilities_of(rule.kind, in[1])};
    };
    checks.push_back(std::move(check));
  }
  return checks;
}

const OpFamily family{elementwise_losses, crossentropy_losses, ignored_classes,
                      losses_with_probabilities, two_losses_of_one_prediction};

}  // namespace

TEST_CASE("ops: losses of numbers are Keras's") { check(elementwise_losses()); }

TEST_CASE("ops: crossentropies take probabilities or logits, smoothed or not") {
  check(crossentropy_losses());
}

TEST_CASE("ops: rows of an ignored class have neither loss nor gradient") {
  check(ignored_classes());
}

TEST_CASE("ops: a loss from logits that gives the probabilities passes their gradient on") {
  check(losses_with_probabilities());
}

TEST_CASE("ops: one prediction may have two losses") { check(two_losses_of_one_prediction()); }

TEST_CASE("ops: a target that does not fit its prediction is named") {
  Graph graph;
  const Value predicted = graph.input("predicted", {.shape = {None, 3}, .batched = true});
  const Value truth = graph.input("truth", {.shape = {None, 4}, .batched = true});
  CHECK_THROWS_AS(ops::loss_values(graph, {}, truth, predicted), ShapeError);
  CHECK_THROWS_WITH(ops::loss_values(graph, {}, truth, predicted),
                    ContainsSubstring("[batch, 4]") && ContainsSubstring("[batch, 3]"));
}
