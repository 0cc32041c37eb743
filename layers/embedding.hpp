#pragma once
#include <string>

#include <braid/count.hpp>
#include <braid/initializer.hpp>
#include <braid/regularizer.hpp>
#include <braid/symbolic.hpp>

namespace braid::layers {

struct EmbeddingOptions {
  Count input_dim = 0;                             // vocabulary size V; ids are 0 .. V - 1
  Count output_dim = 0;                            // E
  Initializer embeddings_initializer = "uniform";  // U(-0.05, 0.05)
  Regularizer embeddings_regularizer = {};
  bool mask_zero = false;  // id 0 is padding: steps with id 0 are masked downstream
  std::string name = {};
};

// Turns ids [batch, T...] into vectors [batch, T..., E]. Weights: embeddings [V, E]. Ids may come
// as floats (an Input of the default dtype): they are cut to integers. As keras.layers.Embedding;
// an id out of range is a RangeError.
class Embedding : public Layer {
 public:
  explicit Embedding(EmbeddingOptions options);
};

}  // namespace braid::layers
