#pragma once
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "kernels/activation.hpp"

// Keras's activation functions and their derivatives in float64.
namespace braid::testing {

namespace activation_reference {

inline double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
inline double softplus(double x) { return std::log1p(std::exp(-std::fabs(x))) + std::fmax(x, 0.0); }
inline double relu6(double x) { return std::fmin(std::fmax(x, 0.0), 6.0); }
// 0.5 (1 + tanh(u)) = sigmoid(2 u), which keeps its digits where tanh is near -1.
inline double twice_gelu_argument(double x) {
  return 2 * std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
}
inline double most_of_relu(const kernels::Activation& f) {
  return f.b > 0 ? static_cast<double>(f.b) : std::numeric_limits<double>::infinity();
}

constexpr double kSeluScale = 1.0507009873554805;
constexpr double kSeluAlpha = 1.6732632423543772;

}  // namespace activation_reference

inline double activated(const kernels::Activation& f, double x) {
  using namespace activation_reference;
  using kernels::ActivationKind;
  const double a = static_cast<double>(f.a);
  switch (f.kind) {
    case ActivationKind::linear: return x;
    case ActivationKind::relu: {
      const double threshold = static_cast<double>(f.c);
      if (x >= most_of_relu(f)) return most_of_relu(f);
      return x > threshold ? x : (a == 0 ? 0 : a * (x - threshold));
    }
    case ActivationKind::leaky_relu: return x < 0 ? a * x : x;
    case ActivationKind::relu6: return relu6(x);
    case ActivationKind::elu: return x > 0 ? x : a * std::expm1(x);
    case ActivationKind::selu: return kSeluScale * (x > 0 ? x : kSeluAlpha * std::expm1(x));
    case ActivationKind::celu: return x > 0 ? x : a * std::expm1(x / a);
    case ActivationKind::gelu: return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    case ActivationKind::gelu_tanh: return x * sigmoid(twice_gelu_argument(x));
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

// The derivative. At a corner it is that of Keras: of the left side of relu and elu, of the right
// side of leaky_relu, 0 at the ends of what saturates.
inline double activated_slope(const kernels::Activation& f, double x) {
  using namespace activation_reference;
  using kernels::ActivationKind;
  const double a = static_cast<double>(f.a);
  switch (f.kind) {
    case ActivationKind::linear: return 1;
    case ActivationKind::relu:
      if (x >= most_of_relu(f)) return 0;
      return x > static_cast<double>(f.c) ? 1 : a;
    case ActivationKind::leaky_relu: return x < 0 ? a : 1;
    case ActivationKind::relu6: return x > 0 && x < 6 ? 1 : 0;
    case ActivationKind::elu: return x > 0 ? 1 : a * std::exp(x);
    case ActivationKind::selu: return kSeluScale * (x > 0 ? 1 : kSeluAlpha * std::exp(x));
    case ActivationKind::celu: return x > 0 ? 1 : std::exp(x / a);
    case ActivationKind::gelu:
      return 0.5 * std::erfc(-x / std::sqrt(2.0)) + x * std::exp(-x * x / 2) / std::sqrt(2 * M_PI);
    case ActivationKind::gelu_tanh: {
      const double u = twice_gelu_argument(x);
      const double slope = sigmoid(u) * sigmoid(-u);
      const double inner = 2 * std::sqrt(2 / M_PI) * (1 + 3 * 0.044715 * x * x);
      return sigmoid(u) + x * slope * inner;
    }
    case ActivationKind::silu: return sigmoid(x) + x * sigmoid(x) * sigmoid(-x);
    case ActivationKind::softplus: return sigmoid(x);
    case ActivationKind::softsign: return 1 / ((1 + std::fabs(x)) * (1 + std::fabs(x)));
    case ActivationKind::mish: {
      const double t = std::tanh(softplus(x));
      return t + x * (1 - t * t) * sigmoid(x);
    }
    case ActivationKind::tanh: return 1 - std::tanh(x) * std::tanh(x);
    case ActivationKind::sigmoid: return sigmoid(x) * sigmoid(-x);
    case ActivationKind::hard_sigmoid: return x > -3 && x < 3 ? 1.0 / 6 : 0;
    case ActivationKind::hard_silu: return x <= -3 ? 0 : (x >= 3 ? 1 : x / 3 + 0.5);
    case ActivationKind::exponential: return std::exp(x);
  }
  return NAN;
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
      {ActivationKind::relu, 0, std::numeric_limits<float>::infinity(), 0},
      {ActivationKind::relu, 0, 0.6F, 0},
  };
  return all;
}

}  // namespace braid::testing
