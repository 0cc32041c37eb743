#pragma once
#include <string>

#include <braid/symbolic.hpp>

namespace braid::layers {

struct FlattenOptions {
  std::string data_format =
      "channels_last";  // or "channels_first": the first axis goes behind the others
  std::string name = {};
};

// [batch, a, b, ...] -> [batch, a * b * ...]. Drops a mask. As keras.layers.Flatten.
class Flatten : public Layer {
 public:
  explicit Flatten(FlattenOptions options = {});
};

struct ReshapeOptions {
  Shape target_shape =
      {};  // without the batch axis; one entry may be None (Keras: -1) and is worked out
  std::string name = {};
};

// The same elements under other axes. Drops a mask. As keras.layers.Reshape; ShapeError where they
// cannot fit.
class Reshape : public Layer {
 public:
  explicit Reshape(ReshapeOptions options);
};

}  // namespace braid::layers
