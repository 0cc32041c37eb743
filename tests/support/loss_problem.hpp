#pragma once
#include <cmath>

#include "engine/graph/ops/loss.hpp"
#include "tests/support/loss_reference.hpp"
#include "tests/support/op_check.hpp"

// Losses as ops, and checks of them.
namespace braid::testing {

inline bool is_crossentropy(LossKind kind) {
  return kind == LossKind::binary_crossentropy || kind == LossKind::categorical_crossentropy ||
         kind == LossKind::sparse_categorical_crossentropy;
}

// truth and predicted [B, ..., C] -> [B, ...].
inline Array losses(const LossRule& rule, const Array& truth, const Array& predicted) {
  Array out(predicted.shape.slice(0, predicted.shape.rank() - 1));
  const auto columns = static_cast<std::size_t>(predicted.columns());
  const bool sparse = rule.kind == LossKind::sparse_categorical_crossentropy;
  const std::size_t targets = sparse ? 1 : columns;
  for (std::int64_t n = 0; n < out.elements(); ++n) {
    const auto row = static_cast<std::size_t>(n);
    out[n] = LossOfRow(rule, {truth.values.data() + row * targets, targets},
                       {predicted.values.data() + row * columns, columns})
                 .value();
  }
  return out;
}

// Sigmoid, or softmax over the last axis.
inline Array probabilities_of(LossKind kind, const Array& logits) {
  Array out = logits;
  for (std::int64_t n = 0; n < out.rows(); ++n) {
    double sum = 0;
    for (std::int64_t c = 0; c < out.columns(); ++c) sum += std::exp(logits(n, c));
    for (std::int64_t c = 0; c < out.columns(); ++c) {
      out(n, c) = kind == LossKind::binary_crossentropy ? 1 / (1 + std::exp(-logits(n, c)))
                                                        : std::exp(logits(n, c)) / sum;
    }
  }
  return out;
}

// Targets and predictions that suit the rule: the inputs of a check.
inline std::vector<OpInput> loss_inputs(const LossRule& rule, const Shape& shape,
                                        RandomNumbers& random) {
  Array predicted = rule.from_logits ? random_array(shape, random, -4, 4)
                                     : random_array(shape, random, 0.05, 0.95);
  if (rule.kind == LossKind::sparse_categorical_crossentropy) {
    Array labels = random_ids(shape.slice(0, shape.rank() - 1), shape.back(), random);
    return {ids("labels", std::move(labels)), batched("predicted", std::move(predicted))};
  }
  Array truth = random_array(shape, random, 0.02, 0.98);
  for (std::int64_t i = 0; i < truth.elements(); ++i) {
    // Targets of 0 and 1 too, and none at the corner of an absolute value.
    if (is_crossentropy(rule.kind) && random.below(3) == 0) truth[i] = std::round(truth[i]);
    if (std::fabs(truth[i] - predicted[i]) < 1e-3) truth[i] += 0.015625;
  }
  return {given("truth", std::move(truth)), batched("predicted", std::move(predicted))};
}

inline OpCheck loss_check(const LossRule& rule, const Shape& shape, RandomNumbers& random) {
  OpCheck check{.name = named("loss ", static_cast<int>(rule.kind),
                              rule.from_logits ? " from logits" : "", " smoothing ",
                              rule.label_smoothing, " of ", shape)};
  check.inputs = loss_inputs(rule, shape, random);
  check.build = [rule](Graph& graph, const Values& in) -> Values {
    return {ops::loss_values(graph, rule, in[0], in[1])};
  };
  check.reference = [rule](const Arrays& in) -> Arrays { return {losses(rule, in[0], in[1])}; };
  return check;
}

}  // namespace braid::testing
