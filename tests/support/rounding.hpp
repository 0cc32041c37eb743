#pragma once
#include <cmath>

#include "kernels/precision.hpp"

// Operands as matrix units take them.
namespace braid::testing {

using kernels::Precision;

inline const char* text_of(Precision precision) {
  return precision == Precision::tf32       ? "tf32"
         : precision == Precision::bfloat16 ? "bfloat16"
                                            : "float32";
}

// To 10 bits of fraction with ties away from 0, or to 7 bits with ties to even.
inline double rounded(Precision precision, double x) {
  if (precision == Precision::float32 || x == 0 || !std::isfinite(x)) return x;
  const int bits = precision == Precision::tf32 ? 10 : 7;
  const int exponent = std::ilogb(x) - bits;
  const double steps = std::ldexp(x, -exponent);
  return std::ldexp(precision == Precision::tf32 ? std::round(steps) : std::nearbyint(steps),
                    exponent);
}

constexpr Precision kRounding[] = {Precision::tf32, Precision::bfloat16};

}  // namespace braid::testing
