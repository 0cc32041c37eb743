#include "engine/graph/ops/dense.hpp"

#include "engine/core/error.hpp"
#include "engine/graph/autograd.hpp"
#include "engine/graph/ops/activation.hpp"

namespace braid::ops {
namespace {

// Gradients of a dense product: of its input, its kernel and its bias, each only where wanted.
class DenseGradient final : public Op {
 public:
  DenseGradient(bool wants_in, bool wants_kernel, bool wants_bias)
      : wants_in_(wants_in), wants_kernel_(wants_kernel), wants_bias_(wants_bias) {}

  std::string_view kind() const override { return "dense_gradient"; }

  std::vector<ValueInfo> infer(Infos in) const override {
    std::vector<ValueInfo> outputs(3, kAbsent);
    if (wants_in_) outputs[0] = {.shape = in[kIn].shape, .batched = in[kIn].batched};
    if (wants_kernel_) outputs[1] = {.shape = in[kKernel].shape};
    if (wants_bias_) outputs[2] = {.shape = Shape{in[kKernel].shape.back()}};
    return outputs;
  }

  void run(const Run& run) const override {
    if (wants_kernel_ || wants_bias_) {
      run.launch(kernels::DenseWeightGradient{.in = run.in<float>(kIn),
                                              .out_grad = run.in<float>(kOutGrad),
                                              .kernel_grad = run.out<float>(1),
                                              .bias_grad = run.out<float>(2).data,
                                              .accumulate = run.accumulate()});
    }
    if (wants_in_) {
      run.launch(kernels::DenseInputGradient{.out_grad = run.in<float>(kOutGrad),
                                             .kernel = run.in<float>(kKernel),
                                             .in_grad = run.out<float>(0)});
    }
  }

  double operations(Infos in, Infos) const override {
    return 2.0 * static_cast<double>(in[kIn].shape.elements()) *
           static_cast<double>(in[kKernel].shape.back()) *
           ((wants_in_ ? 1 : 0) + (wants_kernel_ ? 1 : 0));
  }

 private:
  enum { kIn, kKernel, kOutGrad };
  bool wants_in_;
  bool wants_kernel_;
  bool wants_bias_;
};

enum { kIn, kKernel, kBias };

}  // namespace

std::string Dense::detail() const {
  return activation_.kind == kernels::ActivationKind::linear ? "" : name_of(activation_);
}

std::vector<ValueInfo> Dense::infer(Infos in) const {
  Shape shape = in[kIn].shape;
  shape[shape.rank() - 1] = in[kKernel].shape.back();
  return {{.shape = std::move(shape), .batched = in[kIn].batched}};
}

void Dense::run(const Run& run) const {
  run.launch(kernels::DenseForward{.in = run.in<float>(kIn),
                                   .kernel = run.in<float>(kKernel),
                                   .bias = run.in<float>(kBias).data,
                                   .out = run.out<float>(0),
                                   .activation = activation_});
}

std::vector<Value> Dense::gradients(GradientBuilder& build) const {
  Value out_grad = build.gradient();
  if (activation_.kind != kernels::ActivationKind::linear) {
    out_grad = activation_gradient(build.graph, activation_, {}, build.output(), out_grad);
  }
  return build.graph.add(
      std::make_shared<DenseGradient>(build.needs(kIn), build.needs(kKernel), build.needs(kBias)),
      {build.input(kIn), build.input(kKernel), out_grad});
}

double Dense::operations(Infos in, Infos) const {
  return 2.0 * static_cast<double>(in[kIn].shape.elements()) *
         static_cast<double>(in[kKernel].shape.back());
}

Value dense(Graph& graph, Value in, Value kernel, Value bias) {
  return graph.op<Dense>({in, kernel, bias});
}

}  // namespace braid::ops
