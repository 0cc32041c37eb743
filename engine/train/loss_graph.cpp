#include "engine/train/loss_graph.hpp"

#include <algorithm>
#include <cmath>

#include "engine/core/error.hpp"
#include "engine/graph/ops/activation.hpp"
#include "engine/graph/ops/elementwise.hpp"
#include "engine/graph/ops/loss.hpp"
#include "engine/graph/ops/mask.hpp"
#include "engine/graph/ops/metric.hpp"
#include "engine/graph/ops/shape.hpp"

namespace braid {
namespace {

using kernels::LossKind;

kernels::LossRule rule_of(const Loss& loss) {
  kernels::LossRule rule;
  switch (loss.kind) {
    case Loss::Kind::none:
    case Loss::Kind::mean_squared_error: rule.kind = LossKind::mean_squared_error; break;
    case Loss::Kind::mean_absolute_error: rule.kind = LossKind::mean_absolute_error; break;
    case Loss::Kind::huber: rule.kind = LossKind::huber; break;
    case Loss::Kind::mean_absolute_percentage_error:
      rule.kind = LossKind::mean_absolute_percentage_error;
      break;
    case Loss::Kind::mean_squared_logarithmic_error:
      rule.kind = LossKind::mean_squared_logarithmic_error;
      break;
    case Loss::Kind::log_cosh: rule.kind = LossKind::log_cosh; break;
    case Loss::Kind::poisson: rule.kind = LossKind::poisson; break;
    case Loss::Kind::kl_divergence: rule.kind = LossKind::kl_divergence; break;
    case Loss::Kind::binary_crossentropy: rule.kind = LossKind::binary_crossentropy; break;
    case Loss::Kind::categorical_crossentropy:
      rule.kind = LossKind::categorical_crossentropy;
      break;
    case Loss::Kind::sparse_categorical_crossentropy:
      rule.kind = LossKind::sparse_categorical_crossentropy;
      break;
  }
  rule.from_logits = loss.from_logits;
  rule.label_smoothing = static_cast<float>(loss.label_smoothing);
  rule.delta = static_cast<float>(loss.delta);
  rule.has_ignore_class = loss.ignore_class.has_value();
  rule.ignore_class = loss.ignore_class.value_or(0);
  return rule;
}

std::size_t rank_of(const Graph& graph, Value value) { return graph.info(value).shape.rank(); }

// Without its last axis, which is 1.
Value squeeze(Graph& graph, Value in) {
  const Shape& shape = graph.info(in).shape;
  return ops::reshape(graph, in, shape.slice(1, shape.rank() - 1));
}

Value expand(Graph& graph, Value in) {
  const Shape& shape = graph.info(in).shape;
  return ops::reshape(graph, in, shape.slice(1, shape.rank()).append(1));
}

struct Pair {
  Value truth;
  Value predicted;
};

Value as_labels(Graph& graph, Value truth, std::size_t rows_rank) {
  Value labels = graph.info(truth).dtype == DType::float32 ? ops::to_ids(graph, truth) : truth;
  if (rank_of(graph, labels) == rows_rank + 1 && graph.info(labels).shape.back() == 1)
    labels = squeeze(graph, labels);
  return labels;
}

// Keras's rule for ranks that differ by one: the shorter gets an axis of 1 if it has rank 1, else
// the longer loses one.
Pair equal_ranks(Graph& graph, const Judged& judged) {
  Pair pair{ops::to_float(graph, judged.truth), judged.prediction.value};
  const std::size_t truth = rank_of(graph, pair.truth);
  const std::size_t predicted = rank_of(graph, pair.predicted);
  if (truth + 1 == predicted && graph.info(pair.predicted).shape.back() == 1) {
    if (truth == 1) {
      pair.truth = expand(graph, pair.truth);
    } else if (judged.prediction.mask) {
      throw ShapeError("output \"" + judged.output + "\": a target " +
                       to_string(graph.info(pair.truth).shape) +
                       " under a mask needs a last axis of 1, like its prediction " +
                       to_string(graph.info(pair.predicted).shape));
    } else {
      pair.predicted = squeeze(graph, pair.predicted);
    }
  } else if (predicted + 1 == truth && graph.info(pair.truth).shape.back() == 1) {
    if (predicted == 1) {
      pair.predicted = expand(graph, pair.predicted);
    } else {
      pair.truth = squeeze(graph, pair.truth);
    }
  }
  return pair;
}

// The logits behind a prediction, where the loss of them is the same function; else absent.
Value logits_behind(const Graph& graph, const std::string& output, Value predicted,
                    const Loss& loss) {
  const GraphNode* producer = graph.producer(predicted);
  if (producer == nullptr || loss.ignore_class) return {};
  const auto* activation = dynamic_cast<const ops::Activation*>(producer->op.get());
  const bool sigmoid =
      activation != nullptr && activation->function().kind == kernels::ActivationKind::sigmoid;
  const auto* softmax_op = dynamic_cast<const ops::Softmax*>(producer->op.get());
  const bool softmax =
      softmax_op != nullptr && !softmax_op->logarithm() &&
      softmax_op->axis() + 1 == static_cast<std::int64_t>(graph.info(predicted).shape.rank());
  const bool binary = loss.kind == Loss::Kind::binary_crossentropy;
  const bool categorical = loss.kind == Loss::Kind::categorical_crossentropy ||
                           loss.kind == Loss::Kind::sparse_categorical_crossentropy;
  if ((sigmoid && categorical) || (softmax && binary)) {
    warn_once("output \"" + output + "\": a " +
              (softmax ? "softmax stands before a binary" : "sigmoid stands before a categorical") +
              " crossentropy: its probabilities are used as they are");
  }
  return (sigmoid && binary) || (softmax && categorical) ? producer->inputs[0] : Value{};
}

ops::Reduction reduction_of(const Loss& loss) {
  if (loss.reduction == "sum") return ops::Reduction::sum;
  if (loss.reduction == "mean_with_sample_weight") return ops::Reduction::mean_with_sample_weight;
  return ops::Reduction::sum_over_batch_size;
}

// An axis of 1 where the other's is not known to be 1: values are repeated along it.
bool repeats(const Graph& graph, Value in, Value like) {
  const Shape& shape = graph.info(in).shape;
  const Shape& target = graph.info(like).shape;
  for (std::size_t axis = 1; axis < shape.rank(); ++axis) {
    if (shape[axis] == 1 && target[axis] != 1) return true;
  }
  return false;
}

// Weights of the rank of `values`: a trailing 1 is dropped or put in. Axes of 1 may still have to
// be repeated.
Value fit_weight(Graph& graph, const Judged& judged, Value values) {
  const Value weight = judged.weight;
  if (!weight) return {};
  const std::size_t wanted = rank_of(graph, values);
  const std::size_t came = rank_of(graph, weight);
  if (came == wanted) return weight;
  if (came == wanted + 1 && graph.info(weight).shape.back() == 1) return squeeze(graph, weight);
  if (came + 1 == wanted && graph.info(values).shape.back() == 1) return expand(graph, weight);
  throw ShapeError("output \"" + judged.output + "\": sample weights " +
                   to_string(graph.info(weight).shape) + " do not fit losses " +
                   to_string(graph.info(values).shape) +
                   (came + 1 == wanted ? "; give them as [batch, 1] to weigh whole rows" : ""));
}

// A metric takes weights of fewer axes too, such as one a row for values of every step: each weight
// is for the mean of what it spans (Keras: reduce_to_samplewise_values). A mask has no such mean.
Value fit_metric_weight(Graph& graph, const Judged& judged, Value values) {
  const std::size_t wanted = rank_of(graph, values);
  if (!judged.weight || judged.prediction.mask || rank_of(graph, judged.weight) >= wanted)
    return fit_weight(graph, judged, values);
  Value weight = judged.weight;
  while (rank_of(graph, weight) < wanted) weight = expand(graph, weight);
  return weight;
}

// Weights for the elements of `predicted` [B, ..., C]: of all of them, or of what lies before the
// last axis.
Value fit_element_weight(Graph& graph, const Judged& judged, Value predicted) {
  Value weight = judged.weight;
  if (!weight) return {};
  const std::size_t rank = rank_of(graph, predicted);
  while (rank_of(graph, weight) >= std::max<std::size_t>(rank, 2) &&
         graph.info(weight).shape.back() == 1) {
    weight = squeeze(graph, weight);
  }
  if (rank_of(graph, weight) + 1 < rank || rank_of(graph, weight) > rank) {
    throw ShapeError("output \"" + judged.output + "\": sample weights " +
                     to_string(graph.info(weight).shape) + " do not fit predictions " +
                     to_string(graph.info(predicted).shape) +
                     "; give them as [batch, 1] to weigh whole rows");
  }
  if (!repeats(graph, weight, predicted)) return weight;
  if (rank_of(graph, weight) < rank) weight = expand(graph, weight);
  return ops::broadcast_like(graph, weight, predicted);
}

Value ignored_class_mask(Graph& graph, const Loss& loss, const Judged& judged) {
  const Value labels = as_labels(graph, judged.truth, rank_of(graph, judged.prediction.value) - 1);
  const Value valid = ops::ids_not_equal(graph, labels, *loss.ignore_class);
  return judged.prediction.mask ? ops::both(graph, valid, judged.prediction.mask) : valid;
}

}  // namespace

bool wants_labels(const Loss& loss) {
  return loss.kind == Loss::Kind::sparse_categorical_crossentropy;
}

Value add_loss_values(Graph& graph, const Loss& loss, const Judged& judged) {
  kernels::LossRule rule = rule_of(loss);
  try {
    Pair pair{judged.truth, judged.prediction.value};
    if (wants_labels(loss)) {
      pair.truth = as_labels(graph, judged.truth, rank_of(graph, pair.predicted) - 1);
    } else {
      pair = equal_ranks(graph, judged);
    }
    if (const Value logits = logits_behind(graph, judged.output, pair.predicted, loss)) {
      if (loss.from_logits) {
        warn_once("output \"" + judged.output +
                  "\": its loss is told from_logits although an activation stands before it");
      }
      rule.from_logits = true;
      pair.predicted = logits;
    }
    return ops::loss_values(graph, rule, pair.truth, pair.predicted);
  } catch (const ShapeError& error) {
    throw ShapeError("output \"" + judged.output + "\": " + error.what());
  }
}

Value add_loss(Graph& graph, const Loss& loss, const Judged& judged) {
  const Value values = add_loss_values(graph, loss, judged);
  Value mask = judged.prediction.mask;
  if (loss.ignore_class) mask = ignored_class_mask(graph, loss, judged);
  if (mask && rank_of(graph, mask) != rank_of(graph, values)) {
    throw ShapeError("output \"" + judged.output + "\": its mask " +
                     to_string(graph.info(mask).shape) + " does not fit losses " +
                     to_string(graph.info(values).shape));
  }
  const Value weight = fit_weight(graph, judged, values);
  if (loss.reduction != "none")
    return ops::reduce_loss(graph, values, mask, weight, reduction_of(loss));
  Value weighted = values;
  if (mask) {
    weighted =
        ops::binary(graph, kernels::BinaryKind::multiply, weighted, ops::mask_weights(graph, mask));
  }
  if (weight) weighted = ops::binary(graph, kernels::BinaryKind::multiply, weighted, weight);
  return weighted;
}

Metric resolve_metric(const Metric& metric, const Shape& truth, const Shape& prediction) {
  if (metric.kind != Metric::Kind::accuracy) return metric;
  Metric resolved = metric;
  if (prediction.back() == 1) {
    resolved.kind = Metric::Kind::binary_accuracy;
  } else if (truth.rank() < prediction.rank() || truth.back() == 1) {
    resolved.kind = Metric::Kind::sparse_categorical_accuracy;
  } else {
    resolved.kind = Metric::Kind::categorical_accuracy;
  }
  return resolved;
}

Value add_metric(Graph& graph, const Metric& asked, const Judged& judged, bool weighted) {
  const Metric metric = resolve_metric(asked, graph.info(judged.truth).shape,
                                       graph.info(judged.prediction.value).shape);
  const auto threshold = static_cast<float>(metric.threshold);
  Value values;
  switch (metric.kind) {
    case Metric::Kind::accuracy:
    case Metric::Kind::binary_accuracy:
    case Metric::Kind::categorical_accuracy:
    case Metric::Kind::exact_accuracy: {
      const Pair pair = equal_ranks(graph, judged);
      const auto kind = metric.kind == Metric::Kind::binary_accuracy ? kernels::AccuracyKind::binary
                        : metric.kind == Metric::Kind::exact_accuracy
                            ? kernels::AccuracyKind::exact
                            : kernels::AccuracyKind::categorical;
      values = ops::accuracy_values(graph, kind, pair.truth, pair.predicted, threshold);
      break;
    }
    case Metric::Kind::sparse_categorical_accuracy: {
      const Value predicted = judged.prediction.value;
      const Value labels = as_labels(graph, judged.truth, rank_of(graph, predicted) - 1);
      values =
          ops::accuracy_values(graph, kernels::AccuracyKind::sparse_categorical, labels, predicted);
      break;
    }
    case Metric::Kind::loss: {
      // A metric takes the probabilities as they are; the logits behind them are the loss's
      // business alone.
      Pair pair{judged.truth, judged.prediction.value};
      if (wants_labels(metric.loss)) {
        pair.truth = as_labels(graph, judged.truth, rank_of(graph, pair.predicted) - 1);
      } else {
        pair = equal_ranks(graph, judged);
      }
      values = ops::loss_values(graph, rule_of(metric.loss), pair.truth, pair.predicted);
      break;
    }
    case Metric::Kind::precision:
    case Metric::Kind::recall:
    case Metric::Kind::auc: {
      Pair pair = equal_ranks(graph, judged);
      if (metric.from_logits) {
        pair.predicted =
            ops::activation(graph, pair.predicted, {.kind = kernels::ActivationKind::sigmoid});
      }
      const std::vector<float> thresholds(metric.thresholds.begin(), metric.thresholds.end());
      const Value weight = weighted ? fit_element_weight(graph, judged, pair.predicted) : Value{};
      return ops::confusion_counts(graph, pair.truth, pair.predicted, weight, thresholds);
    }
  }
  Value weight = weighted ? fit_metric_weight(graph, judged, values) : Value{};
  Value mask = judged.prediction.mask;
  if (metric.kind == Metric::Kind::loss && metric.loss.ignore_class) {
    mask = ignored_class_mask(graph, metric.loss, judged);
  }
  if (mask && rank_of(graph, mask) == rank_of(graph, values)) {
    const bool same = weight && graph.info(weight).shape == graph.info(mask).shape;
    const Value numbers = ops::mask_weights(graph, mask, same ? weight : Value{});
    weight = weight && !same ? ops::binary(graph, kernels::BinaryKind::multiply, numbers, weight)
                             : numbers;
  }
  // One weight a row for values of every step: each step counts with its row's weight.
  if (weight && repeats(graph, weight, values)) weight = ops::broadcast_like(graph, weight, values);
  return ops::weighted_sums(graph, values, weight);
}

namespace {

double ratio(double a, double b) { return b == 0 ? 0 : a / b; }

// Area under the curve from counts at ascending thresholds.
double area(const Metric& metric, const std::vector<double>& sums) {
  const std::size_t count = metric.thresholds.size();
  const auto tp = [&](std::size_t i) { return sums[i]; };
  const auto fp = [&](std::size_t i) { return sums[count + i]; };
  const auto tn = [&](std::size_t i) { return sums[2 * count + i]; };
  const auto fn = [&](std::size_t i) { return sums[3 * count + i]; };
  double total = 0;
  if (metric.precision_recall_curve && metric.summation == "interpolation") {
    // Davis and Goadrich, "The relationship between precision-recall and ROC curves", 2006.
    for (std::size_t i = 0; i + 1 < count; ++i) {
      const double gained = tp(i) - tp(i + 1);
      const double before = tp(i) + fp(i);
      const double after = tp(i + 1) + fp(i + 1);
      const double slope = ratio(gained, std::max(before - after, 0.0));
      const double intercept = tp(i + 1) - slope * after;
      const double safe = before > 0 && after > 0 ? ratio(before, std::max(after, 0.0)) : 1;
      const double increment = slope * (gained + intercept * std::log(safe));
      total += ratio(increment, std::max(tp(i + 1) + fn(i + 1), 0.0));
    }
    return total;
  }
  const auto recall = [&](std::size_t i) { return ratio(tp(i), tp(i) + fn(i)); };
  const auto x = [&](std::size_t i) {
    return metric.precision_recall_curve ? recall(i) : ratio(fp(i), fp(i) + tn(i));
  };
  const auto y = [&](std::size_t i) {
    return metric.precision_recall_curve ? ratio(tp(i), tp(i) + fp(i)) : recall(i);
  };
  for (std::size_t i = 0; i + 1 < count; ++i) {
    const double height = metric.summation == "interpolation" ? (y(i) + y(i + 1)) / 2
                          : metric.summation == "minoring"    ? std::min(y(i), y(i + 1))
                                                              : std::max(y(i), y(i + 1));
    total += (x(i) - x(i + 1)) * height;
  }
  return total;
}

}  // namespace

double metric_result(const Metric& metric, const std::vector<double>& sums, std::size_t threshold) {
  const std::size_t count = metric.thresholds.size();
  const auto hits = [&] { return sums[threshold]; };
  const auto false_alarms = [&] { return sums[count + threshold]; };
  const auto misses = [&] { return sums[3 * count + threshold]; };
  switch (metric.kind) {
    case Metric::Kind::precision: return ratio(hits(), hits() + false_alarms());
    case Metric::Kind::recall: return ratio(hits(), hits() + misses());
    case Metric::Kind::auc: return area(metric, sums);
    default: return ratio(sums[0], sums[1]);
  }
}

}  // namespace braid
