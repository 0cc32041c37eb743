#include "engine/graph/ops/loss.hpp"

#include "engine/core/error.hpp"
#include "engine/graph/autograd.hpp"
#include "engine/graph/ops/activation.hpp"
#include "engine/graph/ops/elementwise.hpp"
#include "engine/graph/ops/mask.hpp"

namespace braid::ops {
namespace {

using kernels::LossKind;

// The gradient of the values comes as one for each of them, or as one for all.
enum { kTruth, kPredicted, kProbabilities, kValueGrad, kScalarGrad };

template <class T>
Matrix<T> as_column(Matrix<T> matrix) {
  return {matrix.data, matrix.rows * matrix.columns, 1, 1};
}

bool is_sparse(const kernels::LossRule& rule) {
  return rule.kind == LossKind::sparse_categorical_crossentropy;
}

Matrix<const std::int32_t> labels_of(const kernels::LossRule& rule, const Run& run) {
  return is_sparse(rule) ? as_column(run.in<std::int32_t>(kTruth)) : Matrix<const std::int32_t>{};
}

Matrix<const float> truth_of(const kernels::LossRule& rule, const Run& run) {
  return is_sparse(rule) ? Matrix<const float>{} : run.in<float>(kTruth);
}

class LossGradient final : public Op {
 public:
  explicit LossGradient(kernels::LossRule rule) : rule_(rule) {}
  std::string_view kind() const override { return "loss_gradient"; }
  std::vector<ValueInfo> infer(Infos in) const override { return {in[kPredicted]}; }
  bool needs_packed() const override { return true; }
  bool joins_row_programs(Infos) const override { return true; }
  void run(const Run& run) const override {
    run.launch(kernels::LossBackward{.rule = rule_,
                                     .truth = truth_of(rule_, run),
                                     .labels = labels_of(rule_, run),
                                     .predicted = run.in<float>(kPredicted),
                                     .probabilities = run.in<float>(kProbabilities),
                                     .value_grad = as_column(run.in<float>(kValueGrad)),
                                     .scalar = run.in<float>(kScalarGrad).data,
                                     .predicted_grad = run.out<float>(0)});
  }

 private:
  kernels::LossRule rule_;
};

// One over a number; nothing to divide by gives 0.
double share_of(std::int64_t count) { return count == 0 ? 0.0 : 1.0 / static_cast<double>(count); }

// What the summed losses are multiplied by: one over their number, or over the sum of their
// weights; with a mask one over the number of valid entries. Nothing to divide by gives 0.
class LossFactor final : public Op {
 public:
  explicit LossFactor(Reduction reduction) : reduction_(reduction) {}
  std::string_view kind() const override { return "loss_factor"; }
  bool tileable(Infos) const override { return false; }
  bool reads(std::size_t input) const override { return input == kMaskSum || input == kWeightSum; }
  std::vector<ValueInfo> infer(Infos) const override { return {{.shape = Shape{1}}}; }
  bool joins_row_programs(Infos) const override { return true; }
  void run(const Run& run) const override {
    kernels::Quotient factor{.out = run.out<float>(0).data};
    if (reduction_ != Reduction::sum) {
      if (reduction_ == Reduction::mean_with_sample_weight && run.has_in(kWeightSum)) {
        factor.divisor = run.in<float>(kWeightSum).data;
      } else {
        factor.numerator = share_of(run.in_shape(kValues).elements());
      }
    }
    if (reduction_ == Reduction::sum_over_batch_size && run.has_in(kMaskSum)) {
      factor.numerator *= static_cast<double>(run.in_shape(kMask).elements());
      factor.divisor = run.in<float>(kMaskSum).data;
    }
    run.launch(factor);
  }

  enum { kValues, kMask, kMaskSum, kWeightSum };

 private:
  Reduction reduction_;
};

// A sum over one number of the values, which is known with the shapes.
class LossShare final : public Op {
 public:
  std::string_view kind() const override { return "loss_share"; }
  bool tileable(Infos) const override { return false; }
  bool reads(std::size_t input) const override { return input == kTotal; }
  std::vector<ValueInfo> infer(Infos in) const override { return {in[kTotal]}; }
  bool joins_row_programs(Infos) const override { return true; }
  void run(const Run& run) const override {
    const double share = share_of(run.in_shape(kValues).elements());
    run.launch(kernels::Affine{
        .in = run.in<float>(kTotal), .out = run.out<float>(0), .scale = static_cast<float>(share)});
  }
  std::vector<Value> gradients(GradientBuilder& build) const override {
    return {build.graph.op<LossShare>({build.gradient(), build.input(kValues)}), Value{}};
  }

 private:
  enum { kTotal, kValues };
};

}  // namespace

std::string LossValues::detail() const {
  switch (rule_.kind) {
    case LossKind::mean_squared_error: return "mean_squared_error";
    case LossKind::mean_absolute_error: return "mean_absolute_error";
    case LossKind::huber: return "huber";
    case LossKind::mean_absolute_percentage_error: return "mean_absolute_percentage_error";
    case LossKind::mean_squared_logarithmic_error: return "mean_squared_logarithmic_error";
    case LossKind::log_cosh: return "log_cosh";
    case LossKind::poisson: return "poisson";
    case LossKind::kl_divergence: return "kl_divergence";
    case LossKind::binary_crossentropy: return rule_.from_logits ? "binary, from logits" : "binary";
    case LossKind::categorical_crossentropy:
      return rule_.from_logits ? "categorical, from logits" : "categorical";
    case LossKind::sparse_categorical_crossentropy:
      return rule_.from_logits ? "sparse, from logits" : "sparse";
  }
  return "unknown";
}

std::vector<ValueInfo> LossValues::infer(Infos in) const {
  const Shape& predicted = in[kPredicted].shape;
  const Shape rows = predicted.slice(0, predicted.rank() - 1);
  const Shape& truth = in[kTruth].shape;
  const Shape& expected = is_sparse(rule_) ? rows : predicted;
  bool fits = truth.rank() == expected.rank();
  for (std::size_t axis = 0; fits && axis < expected.rank(); ++axis) {
    fits = truth[axis] == expected[axis] || truth[axis] == None || expected[axis] == None;
  }
  if (!fits) {
    throw ShapeError("the target " + to_string(truth) + " does not fit the prediction " +
                     to_string(predicted) + ": " + to_string(expected) + " is expected");
  }
  std::vector<ValueInfo> outputs{{.shape = rows, .batched = in[kPredicted].batched}};
  if (with_probabilities_) outputs.push_back(in[kPredicted]);
  return outputs;
}

void LossValues::run(const Run& run) const {
  run.launch(kernels::LossForward{
      .rule = rule_,
      .truth = truth_of(rule_, run),
      .labels = labels_of(rule_, run),
      .predicted = run.in<float>(kPredicted),
      .values = as_column(run.out<float>(0)),
      .probabilities = with_probabilities_ ? run.out<float>(1) : Matrix<float>{}});
}

// What reaches the probabilities goes on to the logits as through the op whose place was taken.
std::vector<Value> LossValues::gradients(GradientBuilder& build) const {
  Graph& graph = build.graph;
  std::vector<Value> parts;
  if (build.gradient(0)) {
    const Value scalar = same_for_all(graph, build.gradient(0));
    // Slopes of single numbers do not need them, and need not wait for the losses then.
    const bool from_probabilities = with_probabilities_ && kernels::is_categorical(rule_.kind);
    parts.push_back(graph.op<LossGradient>({build.input(kTruth), build.input(kPredicted),
                                            from_probabilities ? build.output(1) : Value{},
                                            scalar ? Value{} : build.gradient(0), scalar},
                                           rule_));
  }
  if (with_probabilities_ && build.gradient(1)) {
    parts.push_back(rule_.kind == LossKind::binary_crossentropy
                        ? activation_gradient(graph, {kernels::ActivationKind::sigmoid}, {},
                                              build.output(1), build.gradient(1))
                        : softmax_gradient(graph, build.output(1), build.gradient(1)));
  }
  return {Value{}, sum(graph, parts)};
}

double LossValues::operations(Infos in, Infos) const {
  return 30.0 * static_cast<double>(in[kPredicted].shape.elements());
}

Value loss_values(Graph& graph, const kernels::LossRule& rule, Value truth, Value predicted) {
  return graph.op<LossValues>({truth, predicted}, rule, false);
}

Value reduce_loss(Graph& graph, Value values, Value mask, Value weight, Reduction reduction) {
  Value combined = weight;
  if (mask) {
    const bool same = weight && graph.info(weight).shape == graph.info(mask).shape;
    combined = mask_weights(graph, mask, same ? weight : Value{});
    if (weight && !same) combined = binary(graph, kernels::BinaryKind::multiply, combined, weight);
  }
  Value total;
  if (combined && graph.info(combined).shape != graph.info(values).shape) {
    total = weighted_sum(graph, binary(graph, kernels::BinaryKind::multiply, values, combined), {});
  } else {
    total = weighted_sum(graph, values, combined);
  }
  if (reduction == Reduction::sum) return total;
  const bool by_weight = reduction == Reduction::mean_with_sample_weight;
  const Value mask_sum = mask && !by_weight ? sum_all(graph, mask_weights(graph, mask)) : Value{};
  const Value weight_sum = combined && by_weight ? sum_all(graph, combined) : Value{};
  if (!mask_sum && !weight_sum) return graph.op<LossShare>({total, values});
  return scale_by(graph, total,
                  graph.op<LossFactor>({values, mask, mask_sum, weight_sum}, reduction));
}

}  // namespace braid::ops
