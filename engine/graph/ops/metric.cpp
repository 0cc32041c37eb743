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
  bool joins_row_programs(Infos) const override { return true; }
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
  std::string_view kind() const override { return "confusion_counts"; }
  bool needs_packed() const override { return true; }
  std::vector<ValueInfo> infer(Infos in) const override {
    return {{.shape = Shape{4, in[kThresholds].shape.back()}}};
  }
  void run(const Run& run) const override {
    const Matrix<const float> predicted = run.in<float>(kPredicted);
    Matrix<const float> weight = run.in<float>(kWeight);
    // A weight [B, T] beside predictions [B, T, C] counts for each step, also where T is C.
    const bool of_steps = run.in_shape(kWeight).rank() < run.in_shape(kPredicted).rank();
    if (weight && of_steps) weight = as_column(weight);
    run.launch(kernels::ConfusionCounts{.truth = run.in<float>(kTruth),
                                        .predicted = predicted,
                                        .weight = weight,
                                        .thresholds = run.in<float>(kThresholds).data,
                                        .threshold_count = run.in_shape(kThresholds).back(),
                                        .counts = run.out<float>(0).data,
                                        .accumulate = run.accumulate()});
  }

  enum { kTruth, kPredicted, kWeight, kThresholds };
};

}  // namespace

Value accuracy_values(Graph& graph, AccuracyKind kind, Value truth, Value predicted,
                      float threshold) {
  return graph.op<AccuracyValues>({truth, predicted}, kind, threshold);
}

Value confusion_counts(Graph& graph, Value truth, Value predicted, Value weight,
                       const std::vector<float>& thresholds) {
  const Value table =
      graph.constant(Tensor::from(thresholds, Shape{static_cast<Dim>(thresholds.size())}));
  return graph.op<ConfusionCounts>({truth, predicted, weight, table});
}

}  // namespace braid::ops
