#pragma once
#include "kernels/activation.hpp"
#include "kernels/embedding.hpp"
#include "kernels/precision.hpp"

namespace braid::kernels {

// A whole masked LSTM over time (Hochreiter and Schmidhuber, 1997; Keras's gates i, f, g, o), for B
// rows of T steps:
//   z = x[t] . kernel + h . recurrent + bias;  i, f, o = recurrent_activation(z_i, z_f, z_o), g =
//   activation(z_g) c = f * c + i * g;  h = o * activation(c)
// A masked step leaves h, c and the row's output as they were (the output before the first valid
// step is 0, or h0 where an initial state is given); any mask pattern is allowed, and masked steps
// cost nothing. With go_backwards steps run from T - 1 to 0, and sequence[0] is the first one
// processed.
struct LstmShape {
  std::int64_t rows = 0;      // B
  std::int64_t steps = 0;     // T
  std::int64_t features = 0;  // E
  std::int64_t units = 0;     // H
};

// Floats that one row keeps from the forward to the backward pass, from an address that is a
// multiple of 16. The layout inside belongs to the kernel and may span the rows of one call:
// backward must be called with the same rows, on the same backend, as forward.
std::int64_t lstm_saved_per_row(const LstmShape& shape);
// Bytes of scratch memory (64-byte aligned) that one call needs.
std::int64_t lstm_forward_scratch(const LstmShape& shape);
// With the gradient of a table of so many rows.
std::int64_t lstm_backward_scratch(const LstmShape& shape, std::int64_t table_rows = 0);

struct LstmForward {
  LstmShape shape;
  Matrix<const float> in;           // [B * T, E]  read; absent where ids and table are given
  Matrix<const std::int32_t> ids;   // [B, T]      read; input row t of row b is table[ids[b, t]],
                                    //             on a GPU NaN where not 0 <= ids[b, t] < V
  Matrix<const float> table;        // [V, E]      read
  Matrix<const std::uint8_t> mask;  // [B, T]      read; absent: every step is valid
  std::int32_t padding = kNoId;     // steps whose id is this one are masked, too
  Matrix<const float> kernel;       // [E, 4H]     read
  Matrix<const float> recurrent;    // [H, 4H]     read
  const float* bias = nullptr;      // [4H]        read; may be absent
  Matrix<const float> initial_h;    // [B, H]      read; absent: 0
  Matrix<const float> initial_c;    // [B, H]      read; absent: 0
  Matrix<float> sequence;           // [B * T, H]  overwritten; absent if not wanted
  Matrix<float>
      last_output;  // [B, H]      overwritten; the output after the last step; absent if not wanted
  Matrix<float> last_h;     // [B, H]      overwritten; absent if not wanted
  Matrix<float> last_c;     // [B, H]      overwritten; absent if not wanted
  float* saved = nullptr;   // [B * lstm_saved_per_row]  overwritten; absent when only predicting
  void* scratch = nullptr;  // lstm_forward_scratch bytes
  Activation activation{ActivationKind::tanh};
  Activation recurrent_activation{ActivationKind::sigmoid};
  bool go_backwards = false;
  // Of x . kernel. Where it is not float32, a GPU may round the operands of h . recurrent, too: for
  // many rows of few units to tf32, for many units to this precision. All else is float32.
  Precision precision = Precision::float32;
};
BRAID_KERNEL(LstmForward)

// Gradients of everything, from those of the outputs. Weight gradients are added over rows and
// steps in a fixed order.
struct LstmBackward {
  LstmShape shape;
  Matrix<const float> in;  // as in LstmForward
  Matrix<const std::int32_t> ids;
  Matrix<const float> table;
  Matrix<const std::uint8_t> mask;
  std::int32_t padding = kNoId;
  Matrix<const float> kernel;
  Matrix<const float> recurrent;
  Matrix<const float> initial_h;
  Matrix<const float> initial_c;
  const float* saved = nullptr;          // what the forward pass left
  Matrix<const float> sequence_grad;     // [B * T, H]  read; absent: 0
  Matrix<const float> last_output_grad;  // [B, H]      read; absent: 0
  Matrix<const float> last_h_grad;       // [B, H]      read; absent: 0
  Matrix<const float> last_c_grad;       // [B, H]      read; absent: 0
  Matrix<float> in_grad;  // [B * T, E]  overwritten, 0 at masked steps (which are left alone
                          //             where ids are given); absent if not wanted
  // [V, E]  overwritten; absent if not wanted. Wants ids, and in_grad absent.
  Matrix<float> table_grad;
  const std::int32_t* order = nullptr;     // [B * T]  read for table_grad: the valid steps sorted
  const std::int32_t* segments = nullptr;  // [V + 1]  by their ids (EmbeddingSort)
  Matrix<float> kernel_grad;     // [E, 4H]     overwritten, or added to; absent if not wanted
  Matrix<float> recurrent_grad;  // [H, 4H]     overwritten, or added to; absent if not wanted
  float* bias_grad = nullptr;    // [4H]        overwritten, or added to; absent if not wanted
  Matrix<float> initial_h_grad;  // [B, H]      overwritten; absent if not wanted
  Matrix<float> initial_c_grad;  // [B, H]      overwritten; absent if not wanted
  void* scratch = nullptr;       // lstm_backward_scratch bytes
  Activation activation{ActivationKind::tanh};
  Activation recurrent_activation{ActivationKind::sigmoid};
  bool go_backwards = false;
  bool accumulate = false;  // of the weight gradients
  // Of the gradients of inputs and weights, from those of z; as in LstmForward.
  Precision precision = Precision::float32;
};
BRAID_KERNEL(LstmBackward)

}  // namespace braid::kernels
