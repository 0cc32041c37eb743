#include "engine/graph/ops/elementwise.hpp"

#include <algorithm>

#include "engine/core/error.hpp"
#include "engine/graph/autograd.hpp"
#include "kernels/loss.hpp"

namespace braid::ops {
namespace {

class Affine final : public Op {
 public:
  Affine(float scale, float shift) : scale_(scale), shift_(shift) {}
  std::string_view kind() const override { return "affine"; }
  std::string detail() const override {
    return "* " + std::to_string(scale_) + " + " + std::to_string(shift_);
  }
  std::vector<ValueInfo> infer(Infos in) const override { return {in[0]}; }
  bool joins_row_programs(Infos) const override { return true; }
  void run(const Run& run) const override {
    run.launch(kernels::Affine{
        .in = run.in<float>(0), .out = run.out<float>(0), .scale = scale_, .shift = shift_});
  }
  std::vector<Value> gradients(GradientBuilder& build) const override {
    return {affine(build.graph, build.gradient(), scale_)};
  }

 private:
  float scale_;
  float shift_;
};

class ScaleBy final : public Op {
 public:
  std::string_view kind() const override { return "scale_by"; }
  std::vector<ValueInfo> infer(Infos in) const override { return {in[0]}; }
  bool joins_row_programs(Infos) const override { return true; }
  void run(const Run& run) const override {
    run.launch(kernels::ScaleRows{
        .in = run.in<float>(0), .scalar = run.in<float>(1).data, .out = run.out<float>(0)});
  }
  // Scalars made by the losses (one over the sum of a mask) are constants to the gradient.
  std::vector<Value> gradients(GradientBuilder& build) const override {
    return {scale_by(build.graph, build.gradient(), build.input(1)), Value{}};
  }
};

class SumOp final : public Op {
 public:
  std::string_view kind() const override { return "sum"; }
  std::vector<ValueInfo> infer(Infos in) const override { return {in[0]}; }
  bool joins_row_programs(Infos) const override { return true; }
  void run(const Run& run) const override {
    kernels::Sum arguments{.count = static_cast<int>(run.inputs()), .out = run.out<float>(0)};
    for (std::size_t i = 0; i < run.inputs(); ++i) arguments.in[i] = run.in<float>(i);
    run.launch(arguments);
  }
  std::vector<Value> gradients(GradientBuilder& build) const override {
    return std::vector<Value>(build.inputs(), build.gradient());
  }
};

kernels::ElementType element_type(DType dtype) {
  switch (dtype) {
    case DType::float32: return kernels::ElementType::float32;
    case DType::int32: return kernels::ElementType::int32;
    case DType::int64: return kernels::ElementType::int64;
    case DType::uint8:
    case DType::bool_: return kernels::ElementType::uint8;
  }
  return kernels::ElementType::float32;
}

class ToFloat final : public Op {
 public:
  explicit ToFloat(DType from) : from_(from) {}
  std::string_view kind() const override { return "to_float"; }
  std::vector<ValueInfo> infer(Infos in) const override {
    return {{.shape = in[0].shape, .batched = in[0].batched}};
  }
  bool needs_packed() const override { return true; }
  bool joins_row_programs(Infos) const override { return true; }
  void run(const Run& run) const override {
    const Matrix<float> out = run.out<float>(0);
    run.launch(kernels::ToFloat{.in = run.in<std::uint8_t>(0).data,
                                .type = element_type(from_),
                                .out = out.data,
                                .count = out.rows * out.columns});
  }

 private:
  DType from_;
};

class ToIds final : public Op {
 public:
  std::string_view kind() const override { return "to_ids"; }
  std::vector<ValueInfo> infer(Infos in) const override {
    return {{.shape = in[0].shape, .dtype = DType::int32, .batched = in[0].batched}};
  }
  bool joins_row_programs(Infos) const override { return true; }
  void run(const Run& run) const override {
    run.launch(kernels::FloatToIds{.in = run.in<float>(0), .out = run.out<std::int32_t>(0)});
  }
  std::vector<Value> gradients(GradientBuilder&) const override { return {Value{}}; }
};

// Of so many rows of the batch.
std::int64_t elements_of(const ValueInfo& info, std::int64_t rows) {
  if (!info.batched) return info.shape.elements();
  return rows * info.shape.slice(1, info.shape.rank()).elements();
}

class SumAll final : public Op {
 public:
  explicit SumAll(SumOf of) : of_(of) {}
  std::string_view kind() const override {
    return of_ == SumOf::values    ? "sum_all"
           : of_ == SumOf::squares ? "sum_squares"
                                   : "sum_magnitudes";
  }
  std::vector<ValueInfo> infer(Infos) const override { return {{.shape = Shape{1}}}; }
  bool joins_row_programs(Infos) const override { return true; }
  std::int64_t scratch_bytes(Infos in, std::int64_t rows) const override {
    return kernels::scratch_of_sums(elements_of(in[0], rows), 1);
  }
  void run(const Run& run) const override {
    run.launch(kernels::SumAll{.in = run.in<float>(0),
                               .out = run.out<float>(0).data,
                               .square = of_ == SumOf::squares,
                               .absolute = of_ == SumOf::magnitudes,
                               .accumulate = run.accumulate(),
                               .scratch = reinterpret_cast<float*>(run.scratch())});
  }

 private:
  SumOf of_;
};

// Equal, as far as the axes are known.
bool fits(const Shape& a, const Shape& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](Dim x, Dim y) { return x == y || x == None || y == None; });
}

// Gradient of weighted_sum: every row gets its weight times the scalar that arrives.
class WeightedSumGradient final : public Op {
 public:
  std::string_view kind() const override { return "weighted_sum_gradient"; }
  bool reads(std::size_t input) const override { return input != kValues; }
  std::vector<ValueInfo> infer(Infos in) const override { return {in[kValues]}; }
  bool joins_row_programs(Infos) const override { return true; }
  void run(const Run& run) const override {
    const Matrix<float> out = run.out<float>(0);
    const float* scalar = run.in<float>(kSumGrad).data;
    if (run.has_in(kWeight)) {
      run.launch(kernels::ScaleRows{.in = run.in<float>(kWeight), .scalar = scalar, .out = out});
    } else {
      run.launch(kernels::Fill{.out = out, .value = 1, .scalar = scalar});
    }
  }

  enum { kValues, kWeight, kSumGrad };
};

class WeightedSum final : public Op {
 public:
  explicit WeightedSum(bool with_weights) : with_weights_(with_weights) {}
  std::string_view kind() const override {
    return with_weights_ ? "weighted_sums" : "weighted_sum";
  }
  std::vector<ValueInfo> infer(Infos in) const override {
    if (in[1].present && !fits(in[1].shape, in[0].shape)) {
      throw ShapeError("weights " + to_string(in[1].shape) + " do not fit values " +
                       to_string(in[0].shape));
    }
    return {{.shape = Shape{with_weights_ ? 2 : 1}}};
  }
  bool needs_packed() const override { return true; }
  bool joins_row_programs(Infos) const override { return true; }
  std::int64_t scratch_bytes(Infos in, std::int64_t rows) const override {
    return kernels::scratch_of_sums(elements_of(in[0], rows), 2);
  }
  void run(const Run& run) const override {
    const auto column = [](Matrix<const float> m) -> Matrix<const float> {
      return {m.data, m.rows * m.columns, 1, 1};
    };
    run.launch(kernels::WeightedSum{.value = column(run.in<float>(0)),
                                    .weight = column(run.in<float>(1)),
                                    .sums = run.out<float>(0).data,
                                    .with_weights = with_weights_,
                                    .accumulate = run.accumulate(),
                                    .scratch = reinterpret_cast<float*>(run.scratch())});
  }
  std::vector<Value> gradients(GradientBuilder& build) const override {
    return {build.graph.op<WeightedSumGradient>({build.input(0), build.input(1), build.gradient()}),
            Value{}};
  }

 private:
  bool with_weights_;
};

class PenaltyGradient final : public Op {
 public:
  PenaltyGradient(double l1, double l2) : l1_(l1), l2_(l2) {}
  std::string_view kind() const override { return "penalty_gradient"; }
  std::vector<ValueInfo> infer(Infos in) const override { return {in[0]}; }
  bool joins_row_programs(Infos) const override { return true; }
  void run(const Run& run) const override {
    run.launch(kernels::PenaltyGradient{.weight = run.in<float>(0),
                                        .out = run.out<float>(0),
                                        .scale = run.in<float>(1).data,
                                        .l1 = static_cast<float>(l1_),
                                        .l2 = static_cast<float>(l2_)});
  }

 private:
  double l1_;
  double l2_;
};

class Penalty final : public Op {
 public:
  Penalty(double l1, double l2) : l1_(l1), l2_(l2) {}
  std::string_view kind() const override { return "penalty"; }
  std::string detail() const override {
    return "l1 " + std::to_string(l1_) + ", l2 " + std::to_string(l2_);
  }
  std::vector<ValueInfo> infer(Infos) const override { return {{.shape = Shape{1}}}; }
  bool joins_row_programs(Infos) const override { return true; }
  std::int64_t scratch_bytes(Infos in, std::int64_t rows) const override {
    return kernels::scratch_of_sums(elements_of(in[0], rows), 1);
  }
  // Of the two terms those that there are, as Keras has it: infinite weights times 0 are no number.
  void run(const Run& run) const override {
    kernels::SumAll sum{.in = run.in<float>(0),
                        .out = run.out<float>(0).data,
                        .factor = static_cast<float>(l1_),
                        .absolute = true,
                        .accumulate = run.accumulate(),
                        .scratch = reinterpret_cast<float*>(run.scratch())};
    if (l1_ != 0 || l2_ == 0) run.launch(sum);
    if (l2_ == 0) return;
    sum.accumulate = sum.accumulate || l1_ != 0;
    sum.factor = static_cast<float>(l2_);
    sum.absolute = false;
    sum.square = true;
    run.launch(sum);
  }
  std::vector<Value> gradients(GradientBuilder& build) const override {
    return {build.graph.op<PenaltyGradient>({build.input(0), build.gradient()}, l1_, l2_)};
  }

 private:
  double l1_;
  double l2_;
};

}  // namespace

Value affine(Graph& graph, Value in, float scale, float shift) {
  if (scale == 1 && shift == 0) return in;
  return graph.op<Affine>({in}, scale, shift);
}

Value scale_by(Graph& graph, Value in, Value scalar) { return graph.op<ScaleBy>({in, scalar}); }

Value sum(Graph& graph, const std::vector<Value>& summands) {
  std::vector<Value> rest = summands;
  while (rest.size() > 1) {
    const std::size_t count = std::min<std::size_t>(rest.size(), kernels::kMaxSummands);
    const Value part = graph.op<SumOp>(
        std::vector<Value>(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(count)));
    rest.erase(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(count));
    rest.insert(rest.begin(), part);
  }
  return rest.front();
}

Value to_float(Graph& graph, Value in) {
  const DType dtype = graph.info(in).dtype;
  return dtype == DType::float32 ? in : graph.op<ToFloat>({in}, dtype);
}

Value to_ids(Graph& graph, Value in) {
  return graph.info(in).dtype == DType::int32 ? in : graph.op<ToIds>({in});
}

Value sum_all(Graph& graph, Value in, SumOf of) { return graph.op<SumAll>({in}, of); }

Value weighted_sums(Graph& graph, Value values, Value weight) {
  return graph.op<WeightedSum>({values, weight}, true);
}

Value weighted_sum(Graph& graph, Value values, Value weight) {
  return graph.op<WeightedSum>({values, weight}, false);
}

Value same_for_all(const Graph& graph, Value gradient) {
  const GraphNode* producer = graph.producer(gradient);
  if (producer == nullptr) return {};
  if (dynamic_cast<const WeightedSumGradient*>(producer->op.get()) == nullptr) return {};
  const bool weighs = static_cast<bool>(producer->inputs[WeightedSumGradient::kWeight]);
  return weighs ? Value{} : producer->inputs[WeightedSumGradient::kSumGrad];
}

Value penalty(Graph& graph, Value in, double l1, double l2) {
  return graph.op<Penalty>({in}, l1, l2);
}

}  // namespace braid::ops
