#pragma once
#include "kernels/backend.hpp"

namespace braid::kernels {

// Keras's activation functions that act on each element alone.
enum class ActivationKind : std::uint8_t {
  linear,
  relu,        // a = negative_slope, b = max_value (infinity: none), c = threshold
  leaky_relu,  // a = slope
  relu6,
  elu,  // a = alpha
  selu,
  celu,       // a = alpha
  gelu,       // exact, by erf
  gelu_tanh,  // the tanh approximation
  silu,
  softplus,
  softsign,
  mish,
  tanh,
  sigmoid,
  hard_sigmoid,  // relu6(x + 3) / 6
  hard_silu,     // x * hard_sigmoid(x)
  exponential,
};

struct Activation {
  ActivationKind kind = ActivationKind::linear;
  float a = 0;
  float b = 0;
  float c = 0;
};

// True where the derivative can be had from the output alone (relu with defaults, tanh, sigmoid,
// ...), so that the input need not be kept.
constexpr bool gradient_from_output(const Activation& f) {
  switch (f.kind) {
    case ActivationKind::linear:
    case ActivationKind::relu6:
    case ActivationKind::tanh:
    case ActivationKind::sigmoid:
    case ActivationKind::exponential: return true;
    case ActivationKind::relu: return f.a == 0 && f.c == 0;
    default: return false;
  }
}

// out[n, c] = f(in[n, c]). `out` may be `in`.
struct ActivationForward {
  Matrix<const float> in;  // [N, C]  read
  Matrix<float> out;       // [N, C]  overwritten
  Activation activation;
};
BRAID_KERNEL(ActivationForward)

// in_grad[n, c] = out_grad[n, c] * f'(in[n, c]). `in_grad` may be `out_grad`.
struct ActivationBackward {
  Matrix<const float> in;        // [N, C]  read; absent where gradient_from_output
  Matrix<const float> out;       // [N, C]  read; absent where the input is given
  Matrix<const float> out_grad;  // [N, C]  read
  Matrix<float> in_grad;         // [N, C]  overwritten
  Activation activation;
};
BRAID_KERNEL(ActivationBackward)

}  // namespace braid::kernels
