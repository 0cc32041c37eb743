#pragma once
#include <string>

#include <braid/activation_function.hpp>
#include <braid/symbolic.hpp>

namespace braid::layers {

struct ActivationOptions {
  ActivationFunction activation = {};
  std::string name = {};
};

// An activation function as a layer. A mask passes on. As keras.layers.Activation.
class Activation : public Layer {
 public:
  explicit Activation(ActivationOptions options);
};

struct DropoutOptions {
  double rate = 0;  // the share of elements that fall, in [0, 1]
  std::string name = {};
};

// In training zeroes elements at random and scales the others by 1 / (1 - rate); else passes its
// input on. A mask passes on. As keras.layers.Dropout; RangeError for a rate outside [0, 1].
class Dropout : public Layer {
 public:
  explicit Dropout(DropoutOptions options);
  explicit Dropout(double rate) : Dropout(DropoutOptions{.rate = rate}) {}
};

struct GlobalAveragePooling1DOptions {
  std::string data_format = "channels_last";  // or "channels_first": [batch, F, T]
  bool keepdims = false;                      // [batch, 1, F] instead of [batch, F]
  std::string name = {};
};

// The mean over the steps of [batch, T, F], over the valid ones if there is a mask (a row without
// one is 0 / 0). As keras.layers.GlobalAveragePooling1D.
class GlobalAveragePooling1D : public Layer {
 public:
  explicit GlobalAveragePooling1D(GlobalAveragePooling1DOptions options = {});
};

}  // namespace braid::layers
