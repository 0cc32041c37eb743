#pragma once
#include <cmath>
#include <cstdint>

#include "kernels/host_device.hpp"

// Elementary functions of float32, without branches, so that loops over them become vector code
// under every instruction set. Polynomials after Cody and Waite's reductions; errors
// below 1.1 ulp (exponential), 1.4 (tanh), 2 (softplus) and 2.5 (sigmoid).
// Everything here has internal linkage: each instruction set compiles a copy of its own.
namespace braid::kernels {
namespace {

BRAID_HOST_DEVICE inline float bits_to_float(std::int32_t bits) {
  return __builtin_bit_cast(float, bits);
}
BRAID_HOST_DEVICE inline std::int32_t float_to_bits(float x) {
  return __builtin_bit_cast(std::int32_t, x);
}

BRAID_HOST_DEVICE inline float vector_exp(float x) {
  constexpr float kHighest = 88.72283F;  // of the floats whose exponential is finite
  constexpr float kLowest = -104.0F;     // its exponential rounds to 0
  constexpr float kRound = 12582912.0F;  // adding and taking it away rounds to an integer
  const float below = x < kHighest ? x : kHighest;
  const float inside = below > kLowest ? below : kLowest;
  const float n = (inside * 1.44269504F + kRound) - kRound;
  const float r = (inside - n * 0.693359375F) + n * 2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * r * r + r + 1.0F;
  // Two factors, as 2^n itself may lie beyond the largest float, or below the smallest.
  const auto power = static_cast<std::int32_t>(n);
  const std::int32_t half = power >> 1;
  const float result =
      p * bits_to_float((half + 127) << 23) * bits_to_float((power - half + 127) << 23);
  const float beyond = x > kHighest ? INFINITY : result;
  return x != x ? x : beyond;
}

// Of positive numbers; 0 gives -infinity, negative ones NaN.
BRAID_HOST_DEVICE inline float vector_log(float x) {
  const bool tiny = x < 1.17549435e-38F;
  const float scaled = tiny ? x * 8388608.0F : x;
  const std::int32_t bits = float_to_bits(scaled);
  // Mantissa in [sqrt(1/2), sqrt(2)).
  const std::int32_t exponent = (bits - 0x3f3504f3) >> 23;
  const float m = bits_to_float(bits - (exponent << 23));
  const float e = static_cast<float>(exponent) - (tiny ? 23.0F : 0.0F);
  const float f = m - 1.0F;
  const float z = f * f;
  float p = 7.0376836292e-2F;
  p = p * f - 1.1514610310e-1F;
  p = p * f + 1.1676998740e-1F;
  p = p * f - 1.2420140846e-1F;
  p = p * f + 1.4249322787e-1F;
  p = p * f - 1.6668057665e-1F;
  p = p * f + 2.0000714765e-1F;
  p = p * f - 2.4999993993e-1F;
  p = p * f + 3.3333331174e-1F;
  float y = p * f * z + e * -2.12194440e-4F - 0.5F * z;
  y = f + y + e * 0.693359375F;
  const float special = x == 0.0F ? -INFINITY : (x < 0.0F ? NAN : (x == INFINITY ? INFINITY : y));
  return x != x ? x : special;
}

BRAID_HOST_DEVICE inline float vector_log1p(float x) {
  const float u = 1.0F + x;
  const float y = vector_log(u) + (x - (u - 1.0F)) / u;
  return u == 1.0F ? x : (u == INFINITY ? u : (u == 0.0F ? -INFINITY : y));
}

// By the exponential that cannot overflow, so that small results keep their digits.
BRAID_HOST_DEVICE inline float vector_sigmoid(float x) {
  const float e = vector_exp(-std::fabs(x));
  return (x < 0.0F ? e : 1.0F) / (1.0F + e);
}

BRAID_HOST_DEVICE inline float vector_tanh(float x) {
  const float a = std::fabs(x);
  const float z = x * x;
  float p = -5.70498872745e-3F;
  p = p * z + 2.06390887954e-2F;
  p = p * z - 5.37397155531e-2F;
  p = p * z + 1.33314422036e-1F;
  p = p * z - 3.33332819422e-1F;
  const float small = p * z * x + x;
  const float large = 1.0F - 2.0F / (vector_exp(2.0F * a) + 1.0F);
  const float signed_large = x < 0.0F ? -large : large;
  return a < 0.625F ? small : signed_large;
}

BRAID_HOST_DEVICE inline float vector_softplus(float x) {
  const float a = std::fabs(x);
  return (x > 0.0F ? x : 0.0F) + vector_log1p(vector_exp(-a));
}

}  // namespace
}  // namespace braid::kernels
