#pragma once
#include "engine/graph/graph.hpp"
#include "kernels/activation.hpp"

namespace braid::ops {

// One of Keras's element-wise activation functions.
class Activation final : public Op {
 public:
  explicit Activation(kernels::Activation function) : function_(function) {}

  const kernels::Activation& function() const { return function_; }

  std::string_view kind() const override { return "activation"; }
  std::string detail() const override;
  std::vector<ValueInfo> infer(Infos inputs) const override;
  bool joins_row_programs(Infos) const override { return true; }
  void run(const Run& run) const override;
  std::vector<Value> gradients(GradientBuilder& build) const override;

 private:
  kernels::Activation function_;
};

// Softmax, or its logarithm, over one axis (not the batch's).
class Softmax final : public Op {
 public:
  explicit Softmax(std::int64_t axis, bool logarithm) : axis_(axis), logarithm_(logarithm) {}

  std::int64_t axis() const { return axis_; }
  bool logarithm() const { return logarithm_; }

  std::string_view kind() const override { return logarithm_ ? "log_softmax" : "softmax"; }
  bool needs_packed() const override { return true; }
  std::vector<ValueInfo> infer(Infos inputs) const override;
  bool joins_row_programs(Infos) const override { return true; }
  void run(const Run& run) const override;
  std::vector<Value> gradients(GradientBuilder& build) const override;

 private:
  std::int64_t axis_;  // counted from 0
  bool logarithm_;
};

Value activation(Graph& graph, Value in, kernels::Activation function);
// `axis` may be negative, counting from the last.
Value softmax(Graph& graph, Value in, std::int64_t axis = -1);
Value log_softmax(Graph& graph, Value in, std::int64_t axis = -1);
// in_grad = out_grad * f'(...): from the output where the function allows it (then `in` may be
// absent), else from the input.
Value activation_gradient(Graph& graph, kernels::Activation function, Value in, Value out,
                          Value out_grad);

// The same of a softmax over the last axis, from its output.
Value softmax_gradient(Graph& graph, Value out, Value out_grad);

std::string name_of(const kernels::Activation& function);

}  // namespace braid::ops
