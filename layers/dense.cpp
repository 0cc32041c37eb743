#include "layers/dense.hpp"

#include "engine/core/error.hpp"
#include "engine/graph/apply_activation.hpp"
#include "engine/graph/ops/dense.hpp"
#include "engine/graph/ops/elementwise.hpp"
#include "layers/make.hpp"

namespace braid::layers {

template <class Fields>
void describe(Fields& fields, DenseOptions& options) {
  fields("units", options.units);
  fields("activation", options.activation);
  fields("use_bias", options.use_bias);
  fields("kernel_initializer", options.kernel_initializer);
  fields("bias_initializer", options.bias_initializer);
  fields("kernel_regularizer", options.kernel_regularizer);
  fields("bias_regularizer", options.bias_regularizer);
  fields("activity_regularizer", options.activity_regularizer);
}

namespace {

class DenseLayer final : public LayerOf<DenseOptions> {
 public:
  explicit DenseLayer(DenseOptions options) : LayerOf("Dense", std::move(options)) {
    require_positive("units", options_.units);
  }
  nlohmann::json config() const override { return written(options_); }

  void build(const std::vector<ValueInfo>& inputs) override {
    const Shape& shape = inputs[0].shape;
    if (shape.rank() < 2 || shape.back() == None) {
      throw ShapeError(described() + ": the input " + to_string(shape) +
                       " needs a batch axis and a known last axis");
    }
    add_weight("kernel", {shape.back(), options_.units}, options_.kernel_initializer,
               options_.kernel_regularizer);
    if (options_.use_bias) {
      add_weight("bias", {options_.units}, options_.bias_initializer, options_.bias_regularizer);
    }
  }

  std::vector<Lowered> call(LayerCall& call) override {
    Graph& graph = call.graph;
    const Value in = ops::to_float(graph, call.input().value);
    const Dim width = graph.info(in).shape.back();
    if (width != variables_[0]->shape[0]) {
      throw ShapeError(described() + " was built for " + std::to_string(variables_[0]->shape[0]) +
                       " features; an input " + to_string(graph.info(in).shape) + " came");
    }
    const Value sum =
        ops::dense(graph, in, weight(call, 0), options_.use_bias ? weight(call, 1) : Value{});
    const Value out = apply_activation(graph, options_.activation, sum);
    add_activity_penalty(call, options_.activity_regularizer, out);
    return {{.value = out, .mask = call.input().mask, .ragged = call.input().ragged}};
  }
};

const LayerRegistration registration("Dense", from_options<DenseLayer, DenseOptions>("Dense"));

}  // namespace

Dense::Dense(DenseOptions options) : Layer(std::make_shared<DenseLayer>(std::move(options))) {}

}  // namespace braid::layers
