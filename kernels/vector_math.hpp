#pragma once
#include <cmath>
#include <cstdint>

#include "kernels/host_device.hpp"

// Elementary functions of float32, without branches, so that loops over them become vector code
// under every instruction set. Polynomials after Cody and Waite's reductions; errors
// below 1.1 ulp (exponential, sigmoid), 1.4 (tanh) and 2 (softplus).
// Everything here has internal linkage: each instruction set compiles a copy of its own.
namespace braid::kernels {
namespace {

BRAID_HOST_DEVICE inline float bits_to_float(std::int32_t bits) {
  return __builtin_bit_cast(float, bits);
}
BRAID_HOST_DEVICE inline std::int32_t float_to_bits(float x) {
  return __builtin_bit_cast(std::int32_t, x);
}

BRAID_HOST_DEVICE inline float power_of_two(std::int32_t power) {
  return bits_to_float((power + 127) << 23);
}

// exp(x) as 2^power (1 + rest): rest is exp(r) - 1 to full precision, |r| <= log(2) / 2, so that a
// sum of the two parts and another number need round but once. NaN stays in `rest`.
struct SplitExponential {
  std::int32_t power;
  float rest;
};

BRAID_HOST_DEVICE inline SplitExponential split_exponential(float x) {
  constexpr float kRound = 12582912.0F;  // adding it leaves the nearest integer in the lowest bits
  const float rounded = x * 1.44269504F + kRound;
  const float n = rounded - kRound;
  const float r = (x - n * 0.693359375F) + n * 2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  return {float_to_bits(rounded) - float_to_bits(kRound), p * r * r + r};
}

BRAID_HOST_DEVICE inline float vector_exp(float x) {
  constexpr float kHighest = 88.72283F;  // of the floats whose exponential is finite
  constexpr float kLowest = -104.0F;     // its exponential rounds to 0
  const float below = x < kHighest ? x : kHighest;
  const float inside = below > kLowest ? below : kLowest;
  const SplitExponential e = split_exponential(inside);
  // Two factors, as 2^n itself may lie beyond the largest float, or below the smallest.
  const std::int32_t half = e.power >> 1;
  const float result = (e.rest + 1.0F) * power_of_two(half) * power_of_two(e.power - half);
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

// a * b + c, rounded once where that is one instruction. Compilers do so by themselves; but where a
// sum of products leaves them a choice, they do not choose alike in vector code and beside it.
BRAID_HOST_DEVICE inline float fused(float a, float b, float c) {
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA) || defined(__CUDA_ARCH__)
  return __builtin_fmaf(a, b, c);
#else
  return a * b + c;
#endif
}

// What is left of `one`, a power of two, when divisor * quotient, nearly as much, is taken away:
// exact. Where nothing multiplies and adds at once, the product is taken apart into exact ones.
BRAID_HOST_DEVICE inline float remainder_of(float one, float divisor, float quotient) {
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA) || defined(__CUDA_ARCH__)
  return __builtin_fmaf(-divisor, quotient, one);
#else
  constexpr std::int32_t kUpperHalf = -4096;  // of the digits
  const float d = bits_to_float(float_to_bits(divisor) & kUpperHalf);
  const float q = bits_to_float(float_to_bits(quotient) & kUpperHalf);
  const float d_low = divisor - d;
  const float q_low = quotient - q;
  return ((one - d * q) - d * q_low - d_low * q) - d_low * q_low;
#endif
}

// 1 / (1 + exp(-x)), above and below times 2^-half, so that the sum cannot overflow and small
// results keep their digits. What the sum and the division lost in rounding is known and made up
// for: the result is nearly always the nearest float.
BRAID_HOST_DEVICE inline float vector_sigmoid(float x) {
  constexpr float kFar = 104.0F;  // the sigmoid of -kFar rounds to 0
  const float above = x > -kFar ? x : -kFar;
  const SplitExponential e = split_exponential(-(above < kFar ? above : kFar));
  const std::int32_t half = e.power >> 1;
  const float one = power_of_two(-half);
  const float power = power_of_two(e.power - half);
  const float whole = one + power;
  const float part = power * e.rest + (one - (whole - power));
  const float sum = whole + part;
  const float lost = part - (sum - whole);
  const float quotient = one / sum;
  const float missing = remainder_of(one, sum, quotient) - lost * quotient;
  const float result = quotient + quotient * power_of_two(half) * missing;
  return x != x ? x : result;
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

// erfc(-x / sqrt(2)), twice the normal distribution. Around 0 by a polynomial in x^2 for
// erf(x / sqrt(2)) / x, off by at most 3e-9; below 0 added to 1 + x, as that rounds less than 1
// does. Beyond by one in 1 / (|x| + 3) for erfc(|x| / sqrt(2)) exp(x^2 / 2), off by at most 2e-8.
BRAID_HOST_DEVICE inline float vector_twice_normal(float x) {
  constexpr float kFar = 15.0F;  // from there on it is 2, and 0 on the other side
  const float z = x * x;
  float p = 8.2311389942e-7F;
  p = p * z - 1.7436621031e-5F;
  p = p * z + 2.2871281395e-4F;
  p = p * z - 2.3729770229e-3F;
  p = p * z + 1.9946482639e-2F;
  p = p * z - 1.3298067006e-1F;
  const float start = x < 0.0F ? 1.0F + x : 1.0F;
  const float slope = p * z + (x < 0.0F ? -2.0211544132e-1F : 7.9788455868e-1F);
  const float near = fused(x, slope, start);

  const float a = std::fabs(x) > kFar ? kFar : std::fabs(x);
  const float d = a + 3.0F;
  const float u = 1.0F / d;
  // What the sum and the division lost in rounding; near -1 the result moves by twice as much.
  const float lost = remainder_of(1.0F, d, u) - u * (a - (d - 3.0F));
  float q = 572.30474273F;
  q = q * u - 582.8389155F;
  q = q * u + 140.39020348F;
  q = q * u + 6.0515181407F;
  q = q * u + 15.897730106F;
  q = q * u + 6.3044529335F;
  q = q * u + 2.3958497528F;
  q = q * u + 7.978589803e-1F;
  const float w = q * u;
  const float exponent = -0.5F * z;
  const SplitExponential e = split_exponential(exponent > -104.0F ? exponent : -104.0F);
  const std::int32_t half = e.power >> 1;
  const float tail =
      (w * (e.rest + 2.0F * lost) + w) * power_of_two(half) * power_of_two(e.power - half);
  const float far = x < 0.0F ? tail : 2.0F - tail;
  return x > -1.0F && x < 1.5F ? near : far;
}

}  // namespace
}  // namespace braid::kernels
