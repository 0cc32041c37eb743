#include "engine/graph/ops/metric.hpp"

namespace braid::ops {
namespace {

using kernels::AccuracyKind;

template <class T>
Matrix<T> as_column(Matrix<T> matrix) {
  return {matrix.data, matrix.rows * matrix.columns, 1, 1};
}

class AccuracyValues final : public Op {
 public:
  AccuracyValues(AccuracyKind kind, float threshold) : kind_(kind), threshold_(threshold) {}
  std::string_view kind() const override { return "accuracy_values"; }
  std::string detail() const override {
    switch (kind_) {
      case AccuracyKind::exact: return "exact";
      case AccuracyKind::binary: return "binary";
      case AccuracyKind::categorical: return "categorical";
      case AccuracyKind::sparse_categorical: return "sparse_categorical";
    }
    return "unknown";
  }
  bool needs_packed() const override { return true; }
  std::vector<ValueInfo> infer(Infos in) const override {
    const Shape& shape = in[1].shape;
    return {{.shape = shape.slice(0, shape.rank() - 1), .batched = in[1].batched}};
  }
  void run(const Run& run) const override {
    const bool sparse = kind_ == AccuracyKind::sparse_categorical;
    run.launch(kernels::AccuracyValues{
        .kind = kind_,
        .truth = sparse ? Matrix<const float>{} : run.in<float>(0),
        .labels = sparse ? as_column(run.in<std::int32_t>(0)) : Matrix<const std::int32_t>{},
        .predicted = run.in<float>(1),
        .values = as_column(run.out<float>(0)),
        .threshold = threshold_});
  }

 private:
  AccuracyKind kind_;
  float threshold_;
};

class ConfusionCounts final : public Op {
 public:
  explicit ConfusionCounts(std::vector<float> thresholds) : thresholds_(std::move(thresholds)) {}
  std::string_view kind() const override { return "confusion_counts"; }
  std::string detail() const override { return std::to_string(thresholds_.size()) + " thresholds"; }
  bool needs_packed() const override { return true; }
  std::vector<ValueInfo> infer(Infos) const override {
    return {{.shape = Shape{4, static_cast<Dim>(thresholds_.size())}}};
  }
  void run(const Run& run) const override {
    const Matrix<const float> predicted = run.in<float>(1);
    Matrix<const float> weight = run.in<float>(2);
    // A weight [B, T] beside predictions [B, T, C] counts for each step.
    if (weight && weight.columns != predicted.columns) weight = as_column(weight);
    run.launch(
        kernels::ConfusionCounts{.truth = run.in<float>(0),
                                 .predicted = predicted,
                                 .weight = weight,
                                 .thresholds = thresholds_.data(),
                                 .threshold_count = static_cast<std::int64_t>(thresholds_.size()),
                                 .counts = run.out<float>(0).data,
                                 .accumulate = run.accumulate()});
  }

 private:
  std::vector<float> thresholds_;
};

}  // namespace

Value accuracy_values(Graph& graph, AccuracyKind kind, Value truth, Value predicted,
                      float threshold) {
  return graph.op<AccuracyValues>({truth, predicted}, kind, threshold);
}

Value confusion_counts(Graph& graph, Value truth, Value predicted, Value weight,
                       std::vector<float> thresholds) {
  return graph.op<ConfusionCounts>({truth, predicted, weight}, std::move(thresholds));
}

}  // namespace braid::ops
