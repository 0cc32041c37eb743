#pragma once
#include <cmath>
#include <string>
#include <vector>

#include "kernels/activation.hpp"

// Keras's activation functions in float64.
namespace braid::testing {

inline double activated(const kernels::Activation& f, double x) {
  using kernels::ActivationKind;
  const auto sigmoid = [](double v) { return 1 / (1 + std::exp(-v)); };
  const auto softplus = [](double v) {
    return std::log1p(std::exp(-std::fabs(v))) + std::fmax(v, 0.0);
  };
  const auto relu6 = [](double v) { return std::fmin(std::fmax(v, 0.0), 6.0); };
  const double a = static_cast<double>(f.a);
  switch (f.kind) {
    case ActivationKind::linear: return x;
    case ActivationKind::relu: {
      const double threshold = static_cast<double>(f.c);
      const double most = f.b > 0 ? static_cast<double>(f.b) : INFINITY;
      return x >= most ? most : (x > threshold ? x : a * (x - threshold));
    }
    case ActivationKind::leaky_relu: return x < 0 ? a * x : x;
    case ActivationKind::relu6: return relu6(x);
    case ActivationKind::elu: return x > 0 ? x : a * (std::exp(x) - 1);
    case ActivationKind::selu:
      return 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * (std::exp(x) - 1));
    case ActivationKind::celu: return x > 0 ? x : a * (std::exp(x / a) - 1);
    case ActivationKind::gelu: return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    case ActivationKind::gelu_tanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case ActivationKind::silu: return x * sigmoid(x);
    case ActivationKind::softplus: return softplus(x);
    case ActivationKind::softsign: return x / (1 + std::fabs(x));
    case ActivationKind::mish: return x * std::tanh(softplus(x));
    case ActivationKind::tanh: return std::tanh(x);
    case ActivationKind::sigmoid: return sigmoid(x);
    case ActivationKind::hard_sigmoid: return relu6(x + 3) / 6;
    case ActivationKind::hard_silu: return x * relu6(x + 3) / 6;
    case ActivationKind::exponential: return std::exp(x);
  }
  return NAN;
}

inline double activated_slope(const kernels::Activation& f, double x) {
  const double step = 1e-6;
  return (activated(f, x + step) - activated(f, x - step)) / (2 * step);
}

inline std::string name_of(const kernels::Activation& f) {
  return "activation " + std::to_string(static_cast<int>(f.kind)) + " (" + std::to_string(f.a) +
         ", " + std::to_string(f.b) + ", " + std::to_string(f.c) + ")";
}

inline const std::vector<kernels::Activation>& all_activations() {
  using kernels::ActivationKind;
  static const std::vector<kernels::Activation> all{
      {ActivationKind::linear},
      {ActivationKind::relu},
      {ActivationKind::relu, 0.2F, 0.6F, 0.05F},
      {ActivationKind::leaky_relu, 0.3F},
      {ActivationKind::relu6},
      {ActivationKind::elu, 0.8F},
      {ActivationKind::selu},
      {ActivationKind::celu, 1.3F},
      {ActivationKind::gelu},
      {ActivationKind::gelu_tanh},
      {ActivationKind::silu},
      {ActivationKind::softplus},
      {ActivationKind::softsign},
      {ActivationKind::mish},
      {ActivationKind::tanh},
      {ActivationKind::sigmoid},
      {ActivationKind::hard_sigmoid},
      {ActivationKind::hard_silu},
      {ActivationKind::exponential},
      {ActivationKind::relu, 0, INFINITY, 0},
      {ActivationKind::relu, 0, 0.6F, 0},
  };
  return all;
}

}  // namespace braid::testing
