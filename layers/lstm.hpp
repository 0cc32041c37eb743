#pragma once
#include <optional>
#include <string>
#include <vector>

#include <braid/activation_function.hpp>
#include <braid/count.hpp>
#include <braid/initializer.hpp>
#include <braid/regularizer.hpp>
#include <braid/symbolic.hpp>

namespace braid {

// Arguments of a recurrent call beside the sequence. Given an initial state, the layer ignores the
// mask attached to its sequence, as Keras does, and computes with a mask only if one is passed
// here; building warns.
struct RecurrentCall {
  std::vector<SymbolicTensor> initial_state = {};  // h, c: each [batch, units]
  std::optional<SymbolicTensor> mask = {};         // [batch, T] bool
};

namespace layers {

struct LSTMOptions {
  Count units = 0;  // H
  ActivationFunction activation = "tanh";
  ActivationFunction recurrent_activation = "sigmoid";
  bool use_bias = true;
  Initializer kernel_initializer = "glorot_uniform";
  Initializer recurrent_initializer = "orthogonal";
  Initializer bias_initializer = "zeros";
  bool unit_forget_bias = true;  // the forget gate's bias starts at 1
  Regularizer kernel_regularizer = {};
  Regularizer recurrent_regularizer = {};
  Regularizer bias_regularizer = {};
  Regularizer activity_regularizer = {};
  bool return_sequences =
      false;  // every step's output [batch, T, H] instead of the last one [batch, H]
  bool return_state = false;  // output, then the last h and c
  bool go_backwards =
      false;  // from the last step to the first; the sequence comes out in that order
  std::string name = {};
};

struct LSTMStates {
  SymbolicTensor output;
  SymbolicTensor h;
  SymbolicTensor c;
};

// Long short-term memory over [batch, T, E]. Weights: kernel [E, 4H], recurrent_kernel [H, 4H],
// bias [4H]; gates i, f, c, o. Masked steps keep the state and repeat the output, whatever the
// pattern of the mask. As keras.layers.LSTM.
class LSTM : public Layer {
 public:
  explicit LSTM(LSTMOptions options);

  using Layer::operator();
  SymbolicTensor operator()(const SymbolicTensor& sequence, RecurrentCall call) const;
  // With return_state: auto [output, h, c] = LSTM({...}).states(x). NameError without.
  LSTMStates states(const SymbolicTensor& sequence, RecurrentCall call = {}) const;
};

}  // namespace layers
}  // namespace braid
