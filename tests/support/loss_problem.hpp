#pragma once
#include <cmath>

#include "engine/graph/ops/loss.hpp"
#include "tests/support/op_check.hpp"

// Keras's losses in float64, and checks made of them.
namespace braid::testing {

using kernels::LossKind;
using kernels::LossRule;

inline bool is_crossentropy(LossKind kind) {
  return kind == LossKind::binary_crossentropy || kind == LossKind::categorical_crossentropy ||
         kind == LossKind::sparse_categorical_crossentropy;
}

// Keras clips in float32, where 1 - 1e-7 is this number.
constexpr double kAlmostOne = static_cast<double>(1.0F - 1e-7F);
inline double within(double p, double low, double high) {
  return std::fmin(std::fmax(p, low), high);
}

// The loss of one row: of `columns` predictions and targets, or one label.
class LossOfRow {
 public:
  LossOfRow(const LossRule& rule, const double* truth, const double* predicted,
            std::int64_t columns)
      : rule_(rule), y_(truth), p_(predicted), columns_(columns) {}

  double value() const {
    switch (rule_.kind) {
      case LossKind::categorical_crossentropy: return categorical();
      case LossKind::sparse_categorical_crossentropy: return sparse();
      default: break;
    }
    double sum = 0;
    for (std::int64_t c = 0; c < columns_; ++c) sum += element(y_[c], p_[c]);
    return rule_.kind == LossKind::kl_divergence ? sum : sum / static_cast<double>(columns_);
  }

 private:
  double element(double y, double p) const {
    const double e = std::fabs(p - y);
    const auto delta = static_cast<double>(rule_.delta);
    switch (rule_.kind) {
      case LossKind::mean_squared_error: return e * e;
      case LossKind::mean_absolute_error: return e;
      case LossKind::huber: return e <= delta ? e * e / 2 : delta * (e - delta / 2);
      case LossKind::mean_absolute_percentage_error: return 100 * e / std::fmax(std::fabs(y), 1e-7);
      case LossKind::mean_squared_logarithmic_error:
        return std::pow(std::log1p(std::fmax(p, 1e-7)) - std::log1p(std::fmax(y, 1e-7)), 2);
      case LossKind::log_cosh: return std::log(std::cosh(p - y));
      case LossKind::poisson: return p - y * std::log(p + 1e-7);
      case LossKind::kl_divergence:
        return within(y, 1e-7, 1) * std::log(within(y, 1e-7, 1) / within(p, 1e-7, 1));
      default: return binary(y, p);
    }
  }
  double binary(double y, double p) const {
    const auto smoothing = static_cast<double>(rule_.label_smoothing);
    const double target = y * (1 - smoothing) + smoothing / 2;
    if (rule_.from_logits) {
      // -log sigmoid(p) and -log sigmoid(-p).
      return target * std::log1p(std::exp(-p)) + (1 - target) * std::log1p(std::exp(p));
    }
    const double q = within(p, 1e-7, kAlmostOne);
    return -target * std::log(q) - (1 - target) * std::log(1 - q);
  }
  double categorical() const {
    const auto smoothing = static_cast<double>(rule_.label_smoothing);
    double total = 0;
    for (std::int64_t c = 0; c < columns_; ++c)
      total += rule_.from_logits ? std::exp(p_[c]) : p_[c];
    double sum = 0;
    for (std::int64_t c = 0; c < columns_; ++c) {
      const double target = y_[c] * (1 - smoothing) + smoothing / static_cast<double>(columns_);
      const double q =
          rule_.from_logits ? std::exp(p_[c]) / total : within(p_[c] / total, 1e-7, kAlmostOne);
      sum -= target * std::log(q);
    }
    return sum;
  }
  double sparse() const {
    const auto label = static_cast<std::int32_t>(y_[0]);
    if (rule_.has_ignore_class && label == rule_.ignore_class) return 0;
    const auto weight = [&](double p) {
      return rule_.from_logits ? std::exp(p) : within(p, 1e-7, kAlmostOne);
    };
    double total = 0;
    for (std::int64_t c = 0; c < columns_; ++c) total += weight(p_[c]);
    return -std::log(weight(p_[label]) / total);
  }

  const LossRule& rule_;
  const double* y_;
  const double* p_;
  std::int64_t columns_;
};

// truth and predicted [B, ..., C] -> [B, ...].
inline Array losses(const LossRule& rule, const Array& truth, const Array& predicted) {
  Array out(predicted.shape.slice(0, predicted.shape.rank() - 1));
  const bool sparse = rule.kind == LossKind::sparse_categorical_crossentropy;
  const std::int64_t columns = predicted.columns();
  for (std::int64_t n = 0; n < out.elements(); ++n) {
    const double* y = truth.values.data() + n * (sparse ? 1 : columns);
    out[n] = LossOfRow(rule, y, predicted.values.data() + n * columns, columns).value();
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
