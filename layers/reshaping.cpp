#include "layers/reshaping.hpp"

#include "engine/graph/ops/shape.hpp"
#include "layers/make.hpp"

namespace braid::layers {

template <class Fields>
void describe(Fields& fields, FlattenOptions& options) {
  fields("data_format", options.data_format);
}

template <class Fields>
void describe(Fields& fields, ReshapeOptions& options) {
  fields("target_shape", options.target_shape);
}

namespace {

class FlattenLayer final : public LayerOf<FlattenOptions> {
 public:
  explicit FlattenLayer(FlattenOptions options) : LayerOf("Flatten", std::move(options)) {
    require_channels(options_.data_format);
  }
  nlohmann::json config() const override { return written(options_); }

  std::vector<Lowered> call(LayerCall& call) override {
    drop_mask(call.input());
    Value in = call.input().value;
    if (options_.data_format == "channels_first") in = ops::first_axis_last(call.graph, in);
    return {{.value = ops::reshape(call.graph, in, {None})}};
  }
};

class ReshapeLayer final : public LayerOf<ReshapeOptions> {
 public:
  explicit ReshapeLayer(ReshapeOptions options) : LayerOf("Reshape", std::move(options)) {
    int unknown = 0;
    for (Dim dim : options_.target_shape) {
      if (dim == None) ++unknown;
      if (dim < 0 && dim != None) unknown = 2;
    }
    if (unknown > 1) {
      throw ShapeError(described() + ": the target " +
                       to_string(options_.target_shape.prepend(None)) +
                       " must hold counts, and None for one axis at most");
    }
  }
  nlohmann::json config() const override { return written(options_); }

  std::vector<Lowered> call(LayerCall& call) override {
    drop_mask(call.input());
    try {
      return {{.value = ops::reshape(call.graph, call.input().value, options_.target_shape)}};
    } catch (const ShapeError& error) {
      throw ShapeError(described() + ": " + error.what());
    }
  }
};

const LayerRegistration registrations[] = {
    {"Flatten", from_options<FlattenLayer, FlattenOptions>("Flatten")},
    {"Reshape", from_options<ReshapeLayer, ReshapeOptions>("Reshape")},
};

}  // namespace

Flatten::Flatten(FlattenOptions options)
    : Layer(std::make_shared<FlattenLayer>(std::move(options))) {}
Reshape::Reshape(ReshapeOptions options)
    : Layer(std::make_shared<ReshapeLayer>(std::move(options))) {}

}  // namespace braid::layers
