#include "layers/pointwise.hpp"

#include "engine/graph/apply_activation.hpp"
#include "engine/graph/ops/dropout.hpp"
#include "engine/graph/ops/elementwise.hpp"
#include "engine/graph/ops/mask.hpp"
#include "engine/graph/ops/shape.hpp"
#include "layers/make.hpp"

namespace braid::layers {

template <class Fields>
void describe(Fields& fields, ActivationOptions& options) {
  fields("activation", options.activation);
}

template <class Fields>
void describe(Fields& fields, DropoutOptions& options) {
  fields("rate", options.rate);
}

template <class Fields>
void describe(Fields& fields, GlobalAveragePooling1DOptions& options) {
  fields("data_format", options.data_format);
  fields("keepdims", options.keepdims);
}

namespace {

class ActivationLayer final : public LayerOf<ActivationOptions> {
 public:
  explicit ActivationLayer(ActivationOptions options) : LayerOf("Activation", std::move(options)) {}
  nlohmann::json config() const override { return written(options_); }

  std::vector<Lowered> call(LayerCall& call) override {
    const Value in = ops::to_float(call.graph, call.input().value);
    return {{.value = apply_activation(call.graph, options_.activation, in),
             .mask = call.input().mask,
             .ragged = call.input().ragged}};
  }
};

class DropoutLayer final : public LayerOf<DropoutOptions> {
 public:
  explicit DropoutLayer(DropoutOptions options) : LayerOf("Dropout", std::move(options)) {
    if (!(options_.rate >= 0 && options_.rate <= 1)) {
      throw RangeError(described() + ": rate must lie in 0 .. 1, not " +
                       std::to_string(options_.rate));
    }
  }
  nlohmann::json config() const override { return written(options_); }

  std::vector<Lowered> call(LayerCall& call) override {
    Lowered result = call.input();
    result.value = ops::to_float(call.graph, result.value);
    if (call.training) {
      // Two calls of one graph draw apart; the number of nodes so far tells them apart in every
      // process alike.
      result.value =
          ops::dropout(call.graph, result.value, options_.rate, call.graph.nodes().size() + 1);
    }
    return {result};
  }
};

class GlobalAveragePooling1DLayer final : public LayerOf<GlobalAveragePooling1DOptions> {
 public:
  explicit GlobalAveragePooling1DLayer(GlobalAveragePooling1DOptions options)
      : LayerOf("GlobalAveragePooling1D", std::move(options)) {
    require_channels(options_.data_format);
  }
  nlohmann::json config() const override { return written(options_); }

  std::vector<Lowered> call(LayerCall& call) override {
    if (call.info().shape.rank() != 3) {
      throw ShapeError(described() + ": the input must be [batch, steps, features], not " +
                       to_string(call.info().shape));
    }
    Graph& graph = call.graph;
    Value in = ops::to_float(graph, call.input().value);
    if (options_.data_format == "channels_first") in = ops::first_axis_last(graph, in);
    Value mean = ops::average_over_time(graph, in, call.input().mask);
    if (options_.keepdims) mean = ops::reshape(graph, mean, {1, graph.info(mean).shape.back()});
    return {{.value = mean}};
  }
};

const LayerRegistration registrations[] = {
    {"Activation", from_options<ActivationLayer, ActivationOptions>("Activation")},
    {"Dropout", from_options<DropoutLayer, DropoutOptions>("Dropout")},
    {"GlobalAveragePooling1D",
     from_options<GlobalAveragePooling1DLayer, GlobalAveragePooling1DOptions>(
         "GlobalAveragePooling1D")},
};

}  // namespace

Activation::Activation(ActivationOptions options)
    : Layer(std::make_shared<ActivationLayer>(std::move(options))) {}
Dropout::Dropout(DropoutOptions options)
    : Layer(std::make_shared<DropoutLayer>(std::move(options))) {}
GlobalAveragePooling1D::GlobalAveragePooling1D(GlobalAveragePooling1DOptions options)
    : Layer(std::make_shared<GlobalAveragePooling1DLayer>(std::move(options))) {}

}  // namespace braid::layers
