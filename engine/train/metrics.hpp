#pragma once
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <braid/losses.hpp>

namespace braid {

// The metrics of one output or of all.
class Metric {
 public:
  Metric(const char* name) : Metric(std::string_view(name)) {}
  Metric(const std::string& name) : Metric(std::string_view(name)) {}
  Metric(std::string_view name);

  enum class Kind {
    accuracy,  // whichever of the next three the output's shapes ask for
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    exact_accuracy,
    loss,  // the mean of a loss's values: "mse", "mae", ...
    precision,
    recall,
    auc,
  };
  explicit Metric(Kind metric_kind, std::string metric_name)
      : kind(metric_kind), name(std::move(metric_name)) {}

  Kind kind = Kind::accuracy;
  std::string name;
  double threshold = 0.5;
  Loss loss = Loss(Loss::Kind::none);
  std::vector<double> thresholds;  // precision, recall: {0.5}; auc: its buckets
  bool from_logits = false;        // auc: predictions still need their sigmoid
  bool precision_recall_curve = false;
  std::string summation = "interpolation";  // or "minoring", "majoring"
};

namespace metrics {

struct Options {
  std::string name = {};
};
struct ThresholdOptions {
  double threshold = 0.5;
  std::string name = {};
};
struct PointOptions {
  double thresholds = 0.5;
  std::string name = {};
};
struct AUCOptions {
  int num_thresholds = 200;
  std::string curve = "ROC";                       // or "PR"
  std::string summation_method = "interpolation";  // or "minoring", "majoring"
  std::string name = {};
  std::vector<double> thresholds = {};  // inner thresholds in (0, 1), instead of equal steps
  bool from_logits = false;             // predictions still need their sigmoid
};

// As keras.metrics; means weighted by the number of rows.
Metric Accuracy(Options options = {});
Metric BinaryAccuracy(ThresholdOptions options = {});
Metric CategoricalAccuracy(Options options = {});
Metric SparseCategoricalAccuracy(Options options = {});
Metric MeanSquaredError(Options options = {});
Metric MeanAbsoluteError(Options options = {});
Metric BinaryCrossentropy(losses::CrossentropyOptions options = {},
                          std::string name = "binary_crossentropy");
Metric CategoricalCrossentropy(losses::CrossentropyOptions options = {},
                               std::string name = "categorical_crossentropy");
Metric SparseCategoricalCrossentropy(losses::SparseCrossentropyOptions options = {},
                                     std::string name = "sparse_categorical_crossentropy");
// These three ignore masks, as in Keras.
Metric Precision(PointOptions options = {});
Metric Recall(PointOptions options = {});
Metric AUC(AUCOptions options = {});

}  // namespace metrics

using MetricList = std::vector<Metric>;

// The metrics of a model: a flat list for every output, or by name.
class Metrics {
 public:
  struct Named {
    std::string name;
    MetricList metrics;
    Named(std::string output, std::initializer_list<Metric> list)
        : name(std::move(output)), metrics(list) {}
    Named(std::string output, MetricList list)
        : name(std::move(output)), metrics(std::move(list)) {}
    Named(std::string output, Metric metric)
        : name(std::move(output)), metrics{std::move(metric)} {}
    Named(std::string output, const char* metric)
        : name(std::move(output)), metrics{Metric(metric)} {}
  };

  Metrics() = default;
  Metrics(std::initializer_list<Metric> every_output) : shared_(every_output) {}
  Metrics(std::initializer_list<Named> by_name) : by_name_(by_name) {}
  Metrics(std::vector<Named> by_name) : by_name_(std::move(by_name)) {}
  static Metrics by_output(std::vector<MetricList> lists);

  // One list an output. Throws NameError for an unknown output, ShapeError where the number of
  // lists does not fit.
  std::vector<MetricList> resolve(const std::vector<std::string>& outputs) const;

 private:
  MetricList shared_;
  std::vector<Named> by_name_;
  std::vector<MetricList> by_output_;
};

}  // namespace braid
