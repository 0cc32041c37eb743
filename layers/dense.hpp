#pragma once
#include <string>

#include <braid/activation_function.hpp>
#include <braid/count.hpp>
#include <braid/initializer.hpp>
#include <braid/regularizer.hpp>
#include <braid/symbolic.hpp>

namespace braid::layers {

struct DenseOptions {
  Count units = 0;                     // M
  ActivationFunction activation = {};  // linear
  bool use_bias = true;
  Initializer kernel_initializer = "glorot_uniform";
  Initializer bias_initializer = "zeros";
  Regularizer kernel_regularizer = {};
  Regularizer bias_regularizer = {};
  Regularizer activity_regularizer = {};
  std::string name = {};
};

// activation(x . kernel + bias) over the last axis, of any rank: [batch, ..., K] -> [batch, ...,
// M]. Weights: kernel [K, M], bias [M]. A mask passes on. As keras.layers.Dense. RangeError if
// units is not positive; ShapeError if K is unknown.
class Dense : public Layer {
 public:
  explicit Dense(DenseOptions options);
};

}  // namespace braid::layers
