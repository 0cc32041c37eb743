#include "engine/train/losses.hpp"

#include <algorithm>

#include "engine/core/error.hpp"

namespace braid {
namespace {

using LossKind = Loss::Kind;

const std::vector<std::pair<std::string, LossKind>>& loss_names() {
  static const std::vector<std::pair<std::string, LossKind>> names{
      {"mean_squared_error", LossKind::mean_squared_error},
      {"mse", LossKind::mean_squared_error},
      {"MSE", LossKind::mean_squared_error},
      {"mean_absolute_error", LossKind::mean_absolute_error},
      {"mae", LossKind::mean_absolute_error},
      {"MAE", LossKind::mean_absolute_error},
      {"huber", LossKind::huber},
      {"mean_absolute_percentage_error", LossKind::mean_absolute_percentage_error},
      {"mape", LossKind::mean_absolute_percentage_error},
      {"mean_squared_logarithmic_error", LossKind::mean_squared_logarithmic_error},
      {"msle", LossKind::mean_squared_logarithmic_error},
      {"log_cosh", LossKind::log_cosh},
      {"poisson", LossKind::poisson},
      {"kl_divergence", LossKind::kl_divergence},
      {"kld", LossKind::kl_divergence},
      {"binary_crossentropy", LossKind::binary_crossentropy},
      {"bce", LossKind::binary_crossentropy},
      {"categorical_crossentropy", LossKind::categorical_crossentropy},
      {"sparse_categorical_crossentropy", LossKind::sparse_categorical_crossentropy},
  };
  return names;
}

std::optional<LossKind> loss_kind(std::string_view name) {
  for (const auto& [known, kind] : loss_names()) {
    if (known == name) return kind;
  }
  return std::nullopt;
}

Loss make(LossKind kind, std::string reduction) {
  static const std::vector<std::string> known{"sum_over_batch_size", "mean", "sum",
                                              "mean_with_sample_weight", "none"};
  if (std::find(known.begin(), known.end(), reduction) == known.end()) {
    throw NameError("unknown reduction \"" + reduction + "\"; known are " + quoted_list(known) +
                    "." + suggestion(reduction, known));
  }
  Loss loss(kind);
  loss.reduction = std::move(reduction);
  return loss;
}

Metric make(Metric::Kind kind, std::string name, const char* default_name) {
  return Metric(kind, name.empty() ? default_name : std::move(name));
}

Metric loss_metric(Loss loss, std::string name, const char* default_name) {
  Metric metric = make(Metric::Kind::loss, std::move(name), default_name);
  metric.loss = std::move(loss);
  return metric;
}

std::size_t find_output(const std::vector<std::string>& outputs, const std::string& name,
                        const char* what) {
  const auto found = std::find(outputs.begin(), outputs.end(), name);
  if (found == outputs.end()) {
    throw NameError(std::string("compile: ") + what + " for an unknown output \"" + name +
                    "\"; the outputs are " + quoted_list(outputs) + "." +
                    suggestion(name, outputs));
  }
  return static_cast<std::size_t>(found - outputs.begin());
}

void require_count(std::size_t came, const std::vector<std::string>& outputs, const char* what) {
  if (came == outputs.size()) return;
  throw ShapeError("compile: " + std::to_string(came) + " " + what + " for " +
                   std::to_string(outputs.size()) + " outputs (" + quoted_list(outputs) + ")");
}

}  // namespace

Loss::Loss(std::string_view name) {
  if (const auto found = loss_kind(name)) {
    kind = *found;
    return;
  }
  std::vector<std::string> known;
  for (const auto& [known_name, known_kind] : loss_names()) known.push_back(known_name);
  throw NameError("unknown loss \"" + std::string(name) + "\"; known are " + quoted_list(known) +
                  "." + suggestion(name, known));
}

namespace losses {

Loss MeanSquaredError(Options o) {
  return make(LossKind::mean_squared_error, std::move(o.reduction));
}
Loss MeanAbsoluteError(Options o) {
  return make(LossKind::mean_absolute_error, std::move(o.reduction));
}
Loss MeanAbsolutePercentageError(Options o) {
  return make(LossKind::mean_absolute_percentage_error, std::move(o.reduction));
}
Loss MeanSquaredLogarithmicError(Options o) {
  return make(LossKind::mean_squared_logarithmic_error, std::move(o.reduction));
}
Loss LogCosh(Options o) { return make(LossKind::log_cosh, std::move(o.reduction)); }
Loss Poisson(Options o) { return make(LossKind::poisson, std::move(o.reduction)); }
Loss KLDivergence(Options o) { return make(LossKind::kl_divergence, std::move(o.reduction)); }

Loss Huber(HuberOptions o) {
  Loss loss = make(LossKind::huber, std::move(o.reduction));
  loss.delta = o.delta;
  return loss;
}

Loss BinaryCrossentropy(CrossentropyOptions o) {
  Loss loss = make(LossKind::binary_crossentropy, std::move(o.reduction));
  loss.from_logits = o.from_logits;
  loss.label_smoothing = o.label_smoothing;
  return loss;
}

Loss CategoricalCrossentropy(CrossentropyOptions o) {
  Loss loss = BinaryCrossentropy(std::move(o));
  loss.kind = LossKind::categorical_crossentropy;
  return loss;
}

Loss SparseCategoricalCrossentropy(SparseCrossentropyOptions o) {
  Loss loss = make(LossKind::sparse_categorical_crossentropy, std::move(o.reduction));
  loss.from_logits = o.from_logits;
  loss.ignore_class = o.ignore_class;
  return loss;
}

}  // namespace losses

std::vector<std::optional<Loss>> Losses::resolve(const std::vector<std::string>& outputs) const {
  std::vector<std::optional<Loss>> result(outputs.size(), shared_);
  if (!by_output_.empty()) {
    require_count(by_output_.size(), outputs, "losses");
    for (std::size_t i = 0; i < outputs.size(); ++i) result[i] = by_output_[i];
  }
  for (const Named& named : by_name_)
    result[find_output(outputs, named.name, "a loss")] = named.loss;
  return result;
}

std::vector<double> LossWeights::resolve(const std::vector<std::string>& outputs) const {
  std::vector<double> result(outputs.size(), 1.0);
  if (!by_output_.empty()) {
    require_count(by_output_.size(), outputs, "loss weights");
    result = by_output_;
  }
  for (const Named& named : by_name_)
    result[find_output(outputs, named.name, "a loss weight")] = named.weight;
  return result;
}

Metric::Metric(std::string_view metric_name) : name(metric_name) {
  static const std::vector<std::string> own{"accuracy",
                                            "acc",
                                            "binary_accuracy",
                                            "categorical_accuracy",
                                            "sparse_categorical_accuracy",
                                            "precision",
                                            "recall",
                                            "auc"};
  if (metric_name == "accuracy" || metric_name == "acc") {
    kind = Kind::accuracy;
  } else if (metric_name == "binary_accuracy") {
    kind = Kind::binary_accuracy;
  } else if (metric_name == "categorical_accuracy") {
    kind = Kind::categorical_accuracy;
  } else if (metric_name == "sparse_categorical_accuracy") {
    kind = Kind::sparse_categorical_accuracy;
  } else if (metric_name == "precision" || metric_name == "Precision") {
    *this = metrics::Precision({.name = name});
  } else if (metric_name == "recall" || metric_name == "Recall") {
    *this = metrics::Recall({.name = name});
  } else if (metric_name == "auc" || metric_name == "AUC") {
    *this = metrics::AUC({.name = name});
  } else if (const auto found = loss_kind(metric_name)) {
    kind = Kind::loss;
    loss = Loss(*found);
  } else {
    std::vector<std::string> known = own;
    for (const auto& [loss_name, loss_kind] : loss_names()) known.push_back(loss_name);
    throw NameError("unknown metric \"" + name + "\"; known are " + quoted_list(known) + "." +
                    suggestion(name, known));
  }
}

namespace metrics {

using Kind = Metric::Kind;

Metric Accuracy(Options o) { return make(Kind::exact_accuracy, std::move(o.name), "accuracy"); }
Metric BinaryAccuracy(ThresholdOptions o) {
  Metric metric = make(Kind::binary_accuracy, std::move(o.name), "binary_accuracy");
  metric.threshold = o.threshold;
  return metric;
}
Metric CategoricalAccuracy(Options o) {
  return make(Kind::categorical_accuracy, std::move(o.name), "categorical_accuracy");
}
Metric SparseCategoricalAccuracy(Options o) {
  return make(Kind::sparse_categorical_accuracy, std::move(o.name), "sparse_categorical_accuracy");
}
Metric MeanSquaredError(Options o) {
  return loss_metric(losses::MeanSquaredError(), std::move(o.name), "mean_squared_error");
}
Metric MeanAbsoluteError(Options o) {
  return loss_metric(losses::MeanAbsoluteError(), std::move(o.name), "mean_absolute_error");
}
Metric BinaryCrossentropy(losses::CrossentropyOptions o, std::string name) {
  return loss_metric(losses::BinaryCrossentropy(std::move(o)), std::move(name), "");
}
Metric CategoricalCrossentropy(losses::CrossentropyOptions o, std::string name) {
  return loss_metric(losses::CategoricalCrossentropy(std::move(o)), std::move(name), "");
}
Metric SparseCategoricalCrossentropy(losses::SparseCrossentropyOptions o, std::string name) {
  return loss_metric(losses::SparseCategoricalCrossentropy(std::move(o)), std::move(name), "");
}

Metric Precision(PointOptions o) {
  Metric metric = make(Kind::precision, std::move(o.name), "precision");
  metric.thresholds = {o.thresholds};
  return metric;
}
Metric Recall(PointOptions o) {
  Metric metric = make(Kind::recall, std::move(o.name), "recall");
  metric.thresholds = {o.thresholds};
  return metric;
}

Metric AUC(AUCOptions o) {
  if (o.curve != "ROC" && o.curve != "PR") {
    throw NameError("AUC: unknown curve \"" + o.curve + "\"; known are \"ROC\" and \"PR\"");
  }
  if (o.num_thresholds < 2 && o.thresholds.empty()) {
    throw RangeError("AUC: num_thresholds must be 2 or more, not " +
                     std::to_string(o.num_thresholds));
  }
  Metric metric = make(Kind::auc, std::move(o.name), "auc");
  metric.precision_recall_curve = o.curve == "PR";
  metric.summation = o.summation_method;
  metric.from_logits = o.from_logits;
  // A little beyond 0 and 1, so that those values fall inside.
  metric.thresholds.push_back(-1e-7);
  std::sort(o.thresholds.begin(), o.thresholds.end());
  if (o.thresholds.empty()) {
    for (int i = 1; i + 1 < o.num_thresholds; ++i)
      o.thresholds.push_back(i / (o.num_thresholds - 1.0));
  }
  metric.thresholds.insert(metric.thresholds.end(), o.thresholds.begin(), o.thresholds.end());
  metric.thresholds.push_back(1 + 1e-7);
  return metric;
}

}  // namespace metrics

Metrics Metrics::by_output(std::vector<MetricList> lists) {
  Metrics metrics;
  metrics.by_output_ = std::move(lists);
  return metrics;
}

std::vector<MetricList> Metrics::resolve(const std::vector<std::string>& outputs) const {
  std::vector<MetricList> result(outputs.size(), shared_);
  if (!by_output_.empty()) {
    require_count(by_output_.size(), outputs, "metric lists");
    result = by_output_;
  }
  for (const Named& named : by_name_)
    result[find_output(outputs, named.name, "metrics")] = named.metrics;
  return result;
}

}  // namespace braid
