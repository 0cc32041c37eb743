#include "engine/graph/ops/activation.hpp"

#include "engine/graph/autograd.hpp"
#include "kernels/softmax.hpp"

namespace braid::ops {
namespace {

using kernels::ActivationKind;

class ActivationGradient final : public Op {
 public:
  explicit ActivationGradient(kernels::Activation function) : function_(function) {}

  std::string_view kind() const override { return "activation_gradient"; }
  std::string detail() const override { return name_of(function_); }
  std::vector<ValueInfo> infer(Infos in) const override { return {in[kOutGrad]}; }
  bool joins_row_programs(Infos) const override { return true; }
  void run(const Run& run) const override {
    run.launch(kernels::ActivationBackward{.in = run.in<float>(kIn),
                                           .out = run.in<float>(kOut),
                                           .out_grad = run.in<float>(kOutGrad),
                                           .in_grad = run.out<float>(0),
                                           .activation = function_});
  }

 private:
  enum { kIn, kOut, kOutGrad };
  kernels::Activation function_;
};

// The columns of one group and the stride between its elements, of a softmax over `axis`.
struct SoftmaxLayout {
  std::int64_t columns;
  std::int64_t inner;
};

SoftmaxLayout layout_of(const Shape& shape, std::int64_t axis) {
  std::int64_t inner = 1;
  for (std::size_t i = static_cast<std::size_t>(axis) + 1; i < shape.rank(); ++i) inner *= shape[i];
  return {shape[static_cast<std::size_t>(axis)] * inner, inner};
}

// The same memory with `columns` elements a row.
template <class T>
Matrix<T> regroup(Matrix<T> matrix, std::int64_t columns) {
  if (columns == matrix.columns) return matrix;
  const std::int64_t rows = columns == 0 ? 0 : matrix.rows * matrix.columns / columns;
  return {matrix.data, rows, columns, columns};
}

class SoftmaxGradient final : public Op {
 public:
  SoftmaxGradient(std::int64_t axis, bool logarithm) : axis_(axis), logarithm_(logarithm) {}

  std::string_view kind() const override {
    return logarithm_ ? "log_softmax_gradient" : "softmax_gradient";
  }
  bool needs_packed() const override { return true; }
  std::vector<ValueInfo> infer(Infos in) const override { return {in[0]}; }
  bool joins_row_programs(Infos) const override { return true; }
  void run(const Run& run) const override {
    const auto [columns, inner] = layout_of(run.out_shape(0), axis_);
    run.launch(kernels::SoftmaxBackward{.out = regroup(run.in<float>(0), columns),
                                        .out_grad = regroup(run.in<float>(1), columns),
                                        .in_grad = regroup(run.out<float>(0), columns),
                                        .inner = inner,
                                        .logarithm = logarithm_});
  }

 private:
  std::int64_t axis_;
  bool logarithm_;
};

std::int64_t from_front(const Graph& graph, Value in, std::int64_t axis) {
  return axis < 0 ? axis + static_cast<std::int64_t>(graph.info(in).shape.rank()) : axis;
}

}  // namespace

std::string Activation::detail() const { return name_of(function_); }

std::vector<ValueInfo> Activation::infer(Infos in) const { return {in[0]}; }

void Activation::run(const Run& run) const {
  run.launch(kernels::ActivationForward{
      .in = run.in<float>(0), .out = run.out<float>(0), .activation = function_});
}

std::vector<Value> Activation::gradients(GradientBuilder& build) const {
  return {activation_gradient(build.graph, function_, build.input(0), build.output(),
                              build.gradient())};
}

std::vector<ValueInfo> Softmax::infer(Infos in) const { return {in[0]}; }

void Softmax::run(const Run& run) const {
  const auto [columns, inner] = layout_of(run.out_shape(0), axis_);
  run.launch(kernels::SoftmaxForward{.in = regroup(run.in<float>(0), columns),
                                     .out = regroup(run.out<float>(0), columns),
                                     .inner = inner,
                                     .logarithm = logarithm_});
}

std::vector<Value> Softmax::gradients(GradientBuilder& build) const {
  return {build.graph.op<SoftmaxGradient>({build.output(), build.gradient()}, axis_, logarithm_)};
}

Value activation(Graph& graph, Value in, kernels::Activation function) {
  if (function.kind == ActivationKind::linear) return in;
  return graph.op<Activation>({in}, function);
}

Value softmax(Graph& graph, Value in, std::int64_t axis) {
  return graph.op<Softmax>({in}, from_front(graph, in, axis), false);
}

Value log_softmax(Graph& graph, Value in, std::int64_t axis) {
  return graph.op<Softmax>({in}, from_front(graph, in, axis), true);
}

Value activation_gradient(Graph& graph, kernels::Activation function, Value in, Value out,
                          Value out_grad) {
  if (function.kind == ActivationKind::linear) return out_grad;
  const bool from_output = gradient_from_output(function);
  return graph.op<ActivationGradient>(
      {from_output ? Value{} : in, from_output ? out : Value{}, out_grad}, function);
}

Value softmax_gradient(Graph& graph, Value out, Value out_grad) {
  return graph.op<SoftmaxGradient>({out, out_grad}, from_front(graph, out, -1), false);
}

std::string name_of(const kernels::Activation& function) {
  switch (function.kind) {
    case ActivationKind::linear: return "linear";
    case ActivationKind::relu: return "relu";
    case ActivationKind::leaky_relu: return "leaky_relu";
    case ActivationKind::relu6: return "relu6";
    case ActivationKind::elu: return "elu";
    case ActivationKind::selu: return "selu";
    case ActivationKind::celu: return "celu";
    case ActivationKind::gelu: return "gelu";
    case ActivationKind::gelu_tanh: return "gelu_tanh";
    case ActivationKind::silu: return "silu";
    case ActivationKind::softplus: return "softplus";
    case ActivationKind::softsign: return "softsign";
    case ActivationKind::mish: return "mish";
    case ActivationKind::tanh: return "tanh";
    case ActivationKind::sigmoid: return "sigmoid";
    case ActivationKind::hard_sigmoid: return "hard_sigmoid";
    case ActivationKind::hard_silu: return "hard_silu";
    case ActivationKind::exponential: return "exponential";
  }
  return "unknown";
}

}  // namespace braid::ops
