#pragma once
#include "kernels/activation.hpp"
#include "kernels/vector_math.hpp"

// Keras's activation functions and their derivatives, element by element.
namespace braid::kernels {
namespace {

constexpr float kSeluAlpha = 1.6732632423543772F;
constexpr float kSeluScale = 1.0507009873554805F;
constexpr float kInverseRootTwoPi = 0.39894228040143268F;
constexpr float kGeluFactor = 0.7978845608028654F;

BRAID_HOST_DEVICE inline float expm1_of(float x) { return std::expm1(x); }

BRAID_HOST_DEVICE inline float hard_sigmoid_of(float x) {
  const float y = x / 6.0F + 0.5F;
  return y < 0.0F ? 0.0F : (y > 1.0F ? 1.0F : y);
}

// Around its zero at -0.75 the two parts of the slope nearly cancel. There it is 0.5 + x r(x^2), of
// which 0.5 + 0.625 x is taken for itself, and the rest grows from that zero: the polynomial is off
// by at most 1e-10.
BRAID_HOST_DEVICE inline float gelu_slope(float x) {
  const float z = x * x;
  const float w = fused(x, x, -0.5625F);
  float p = 7.276810481e-6F;
  p = p * w - 8.6054907846e-5F;
  p = p * w + 8.7594098819e-4F;
  p = p * w - 7.2289265522e-3F;
  p = p * w + 4.5815413332e-2F;
  p = p * w - 2.0688821123e-1F;
  p = p * w + 4.063429561e-2F;
  const float near = fused(x, p, fused(x, 0.625F, 0.5F));
  const float far =
      fused(x * kInverseRootTwoPi, vector_exp(-0.5F * z), 0.5F * vector_twice_normal(x));
  return std::fabs(x) < 1.0F ? near : far;
}

// Without a slope below zero, a threshold or a limit.
BRAID_HOST_DEVICE inline bool is_plain_relu(const Activation& f) {
  return f.kind == ActivationKind::relu && f.a == 0 && f.c == 0 && !(f.b > 0 && f.b < INFINITY);
}

template <ActivationKind kind>
BRAID_HOST_DEVICE inline float function_of(float x, const Activation& f) {
  if constexpr (kind == ActivationKind::linear) return x;
  if constexpr (kind == ActivationKind::relu) {
    // Without a slope nothing is multiplied: 0 * -infinity would be NaN. NaN itself stays.
    const float below = f.a == 0.0F && x == x ? 0.0F : f.a * (x - f.c);
    const float y = x > f.c ? x : below;
    const bool limited = f.b > 0.0F && f.b < INFINITY;
    return limited && x >= f.b ? f.b : y;
  }
  if constexpr (kind == ActivationKind::leaky_relu) return x >= 0.0F ? x : f.a * x;
  if constexpr (kind == ActivationKind::relu6) return x < 0.0F ? 0.0F : (x > 6.0F ? 6.0F : x);
  if constexpr (kind == ActivationKind::elu) return x > 0.0F ? x : f.a * expm1_of(x);
  if constexpr (kind == ActivationKind::selu)
    return kSeluScale * (x > 0.0F ? x : kSeluAlpha * expm1_of(x));
  if constexpr (kind == ActivationKind::celu) return x > 0.0F ? x : f.a * expm1_of(x / f.a);
  if constexpr (kind == ActivationKind::gelu) return 0.5F * x * vector_twice_normal(x);
  if constexpr (kind == ActivationKind::gelu_tanh) {
    return x * vector_sigmoid(2.0F * kGeluFactor * (x + 0.044715F * x * x * x));
  }
  if constexpr (kind == ActivationKind::silu) return x * vector_sigmoid(x);
  if constexpr (kind == ActivationKind::softplus) return vector_softplus(x);
  if constexpr (kind == ActivationKind::softsign) return x / (1.0F + std::fabs(x));
  if constexpr (kind == ActivationKind::mish) return x * vector_tanh(vector_softplus(x));
  if constexpr (kind == ActivationKind::tanh) return vector_tanh(x);
  if constexpr (kind == ActivationKind::sigmoid) return vector_sigmoid(x);
  if constexpr (kind == ActivationKind::hard_sigmoid) return hard_sigmoid_of(x);
  if constexpr (kind == ActivationKind::hard_silu) return x * hard_sigmoid_of(x);
  if constexpr (kind == ActivationKind::exponential) return vector_exp(x);
}

// The derivative; x is the input, or, where gradient_from_output, y the output (the other one is
// not read).
template <ActivationKind kind>
BRAID_HOST_DEVICE inline float derivative_of(float x, float y, const Activation& f) {
  if constexpr (kind == ActivationKind::linear) return 1.0F;
  if constexpr (kind == ActivationKind::relu) {
    const bool limited = f.b > 0.0F && f.b < INFINITY;
    if (f.a == 0.0F && f.c == 0.0F) return y > 0.0F && !(limited && y >= f.b) ? 1.0F : 0.0F;
    return limited && x >= f.b ? 0.0F : (x > f.c ? 1.0F : f.a);
  }
  if constexpr (kind == ActivationKind::leaky_relu) return x >= 0.0F ? 1.0F : f.a;
  if constexpr (kind == ActivationKind::relu6) return y > 0.0F && y < 6.0F ? 1.0F : 0.0F;
  if constexpr (kind == ActivationKind::elu) return x > 0.0F ? 1.0F : f.a * vector_exp(x);
  if constexpr (kind == ActivationKind::selu)
    return kSeluScale * (x > 0.0F ? 1.0F : kSeluAlpha * vector_exp(x));
  if constexpr (kind == ActivationKind::celu) return x > 0.0F ? 1.0F : vector_exp(x / f.a);
  if constexpr (kind == ActivationKind::gelu) {
    return gelu_slope(x);
  }
  if constexpr (kind == ActivationKind::gelu_tanh) {
    const float u = 2.0F * kGeluFactor * (x + 0.044715F * x * x * x);
    const float s = vector_sigmoid(u);
    const float slope = s * vector_sigmoid(-u);
    const float inner = 2.0F * kGeluFactor * (1.0F + 3.0F * 0.044715F * x * x);
    return slope > 0.0F ? s + x * slope * inner : s;  // where it is 0, `inner` may be infinite
  }
  if constexpr (kind == ActivationKind::silu) {
    const float s = vector_sigmoid(x);
    return s * (1.0F + x * (1.0F - s));
  }
  if constexpr (kind == ActivationKind::softplus) return vector_sigmoid(x);
  if constexpr (kind == ActivationKind::softsign) {
    const float d = 1.0F + std::fabs(x);
    return 1.0F / (d * d);
  }
  if constexpr (kind == ActivationKind::mish) {
    const float t = vector_tanh(vector_softplus(x));
    return t + x * (1.0F - t * t) * vector_sigmoid(x);
  }
  if constexpr (kind == ActivationKind::tanh) return 1.0F - y * y;
  if constexpr (kind == ActivationKind::sigmoid) return y * (1.0F - y);
  if constexpr (kind == ActivationKind::hard_sigmoid)
    return x > -3.0F && x < 3.0F ? 1.0F / 6.0F : 0.0F;
  if constexpr (kind == ActivationKind::hard_silu) {
    return x >= 3.0F ? 1.0F : (x <= -3.0F ? 0.0F : x / 3.0F + 0.5F);
  }
  if constexpr (kind == ActivationKind::exponential) return y;
}

// Calls body.template operator()<kind>() for the kind that is chosen at run time.
template <class Body>
BRAID_HOST_DEVICE inline void with_kind(ActivationKind kind, const Body& body) {
  switch (kind) {
    case ActivationKind::linear: return body.template operator()<ActivationKind::linear>();
    case ActivationKind::relu: return body.template operator()<ActivationKind::relu>();
    case ActivationKind::leaky_relu: return body.template operator()<ActivationKind::leaky_relu>();
    case ActivationKind::relu6: return body.template operator()<ActivationKind::relu6>();
    case ActivationKind::elu: return body.template operator()<ActivationKind::elu>();
    case ActivationKind::selu: return body.template operator()<ActivationKind::selu>();
    case ActivationKind::celu: return body.template operator()<ActivationKind::celu>();
    case ActivationKind::gelu: return body.template operator()<ActivationKind::gelu>();
    case ActivationKind::gelu_tanh: return body.template operator()<ActivationKind::gelu_tanh>();
    case ActivationKind::silu: return body.template operator()<ActivationKind::silu>();
    case ActivationKind::softplus: return body.template operator()<ActivationKind::softplus>();
    case ActivationKind::softsign: return body.template operator()<ActivationKind::softsign>();
    case ActivationKind::mish: return body.template operator()<ActivationKind::mish>();
    case ActivationKind::tanh: return body.template operator()<ActivationKind::tanh>();
    case ActivationKind::sigmoid: return body.template operator()<ActivationKind::sigmoid>();
    case ActivationKind::hard_sigmoid:
      return body.template operator()<ActivationKind::hard_sigmoid>();
    case ActivationKind::hard_silu: return body.template operator()<ActivationKind::hard_silu>();
    case ActivationKind::exponential:
      return body.template operator()<ActivationKind::exponential>();
  }
}

}  // namespace
}  // namespace braid::kernels
