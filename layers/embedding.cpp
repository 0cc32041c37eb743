#include "layers/embedding.hpp"

#include "engine/graph/ops/elementwise.hpp"
#include "engine/graph/ops/embedding.hpp"
#include "engine/graph/ops/mask.hpp"
#include "layers/make.hpp"

namespace braid::layers {

template <class Fields>
void describe(Fields& fields, EmbeddingOptions& options) {
  fields("input_dim", options.input_dim);
  fields("output_dim", options.output_dim);
  fields("embeddings_initializer", options.embeddings_initializer);
  fields("embeddings_regularizer", options.embeddings_regularizer);
  fields("mask_zero", options.mask_zero);
}

namespace {

class EmbeddingLayer final : public LayerOf<EmbeddingOptions> {
 public:
  explicit EmbeddingLayer(EmbeddingOptions options) : LayerOf("Embedding", std::move(options)) {
    require_positive("input_dim", options_.input_dim);
    require_positive("output_dim", options_.output_dim);
  }
  nlohmann::json config() const override { return written(options_); }

  void build(const std::vector<ValueInfo>&) override {
    add_weight("embeddings", {options_.input_dim, options_.output_dim},
               options_.embeddings_initializer, options_.embeddings_regularizer);
  }

  std::vector<Lowered> call(LayerCall& call) override {
    Graph& graph = call.graph;
    const Lowered& input = call.input();
    const Value ids = ops::to_ids(graph, input.value);
    const Value vectors = ops::embedding(graph, ids, weight(call, 0), described());
    Value mask;
    if (options_.mask_zero) {
      mask = ops::ids_not_equal(graph, ids, 0, input.ragged ? input.mask : Value{});
    } else if (input.ragged) {
      mask = input.mask;
    } else {
      drop_mask(input);
    }
    return {{.value = vectors, .mask = mask, .ragged = input.ragged}};
  }
};

const LayerRegistration registration("Embedding",
                                     from_options<EmbeddingLayer, EmbeddingOptions>("Embedding"));

}  // namespace

Embedding::Embedding(EmbeddingOptions options)
    : Layer(std::make_shared<EmbeddingLayer>(std::move(options))) {}

}  // namespace braid::layers
