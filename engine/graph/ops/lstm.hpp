#pragma once
#include "engine/graph/graph.hpp"
#include "kernels/activation.hpp"

namespace braid::ops {

struct LstmInputs {
  Value in;         // [B, T, E]
  Value mask;       // [B, T] bool; absent: every step is valid
  Value kernel;     // [E, 4H]
  Value recurrent;  // [H, 4H]
  Value bias;       // [4H]; may be absent
  Value initial_h;  // [B, H]; absent: 0
  Value initial_c;  // [B, H]; absent: 0
};

struct LstmOptions {
  kernels::Activation activation{kernels::ActivationKind::tanh};
  kernels::Activation recurrent_activation{kernels::ActivationKind::sigmoid};
  bool go_backwards = false;
};

struct LstmOutputs {
  Value sequence;     // [B, T, H]
  Value last_output;  // [B, H]
  Value last_h;       // [B, H]
  Value last_c;       // [B, H]
};

// A whole masked LSTM over time as one op (kernels/lstm.hpp).
LstmOutputs lstm(Graph& graph, const LstmInputs& inputs, const LstmOptions& options);

}  // namespace braid::ops
