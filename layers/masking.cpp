#include "layers/masking.hpp"

#include <cstdio>

#include "engine/graph/ops/elementwise.hpp"
#include "engine/graph/ops/mask.hpp"
#include "layers/make.hpp"

namespace braid::layers {

template <class Fields>
void describe(Fields& fields, MaskingOptions& options) {
  fields("mask_value", options.mask_value);
}

namespace {

class MaskingLayer final : public LayerOf<MaskingOptions> {
 public:
  explicit MaskingLayer(MaskingOptions options) : LayerOf("Masking", std::move(options)) {}
  nlohmann::json config() const override { return written(options_); }

  std::vector<Lowered> call(LayerCall& call) override {
    Graph& graph = call.graph;
    const Lowered& input = call.input();
    const GraphNode* producer = graph.producer(input.value);
    if (producer != nullptr && producer->op->kind() == "embedding") {
      char number[32];
      std::snprintf(number, sizeof number, "%g", options_.mask_value);
      warn(std::string("stands behind an Embedding: only steps whose whole vector is ") + number +
           " are masked, not padding id 0. " +
           (input.mask ? "It replaces the Embedding's mask; leave it out?"
                       : "Did you mean mask_zero = true on the Embedding?"));
    }
    const auto masked =
        ops::masking(graph, ops::to_float(graph, input.value),
                     static_cast<float>(options_.mask_value), input.ragged ? input.mask : Value{});
    return {{.value = masked.value, .mask = masked.mask, .ragged = input.ragged}};
  }
};

const LayerRegistration registration("Masking",
                                     from_options<MaskingLayer, MaskingOptions>("Masking"));

}  // namespace

Masking::Masking(MaskingOptions options)
    : Layer(std::make_shared<MaskingLayer>(std::move(options))) {}

}  // namespace braid::layers
