#pragma once
#include "bench/device_problems.hpp"
#include "kernels/embedding.hpp"

namespace bench {

enum class Passes : std::uint8_t { forward, both };

// An LSTM as in training, with its operands on a device.
struct LstmLayer {
  LstmSize size;
  // Inputs, and gradients of a sequence, are these numbers again and again; gradients of masked
  // steps are 0.
  std::vector<float> in_numbers;
  std::vector<float> grad_numbers;
  std::vector<std::int32_t> lengths;  // valid steps of each row, its first ones
  braid::kernels::LstmForward forward;
  braid::kernels::EmbeddingSort sort;  // of the ids, where there are any
  braid::kernels::LstmBackward backward;
};
// For a forward pass alone there is nothing to go backward with.
LstmLayer lstm_layer(Operands& operands, const LstmSize& size, Passes passes);

Launch launch_of(const LstmLayer& layer, Passes passes);
Effort effort_of(const LstmLayer& layer, Passes passes);

}  // namespace bench
