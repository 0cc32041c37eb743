#include "engine/train/metrics.hpp"

#include <algorithm>

#include "engine/core/error.hpp"
#include "engine/train/by_output.hpp"
#include "engine/train/loss_names.hpp"

namespace braid {
namespace {

Metric make(Metric::Kind kind, std::string name, const char* default_name) {
  return Metric(kind, name.empty() ? default_name : std::move(name));
}

Metric loss_metric(Loss loss, std::string name, const char* default_name) {
  Metric metric = make(Metric::Kind::loss, std::move(name), default_name);
  metric.loss = std::move(loss);
  return metric;
}

}  // namespace

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
    for (std::string& loss_name : known_losses()) known.push_back(std::move(loss_name));
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
