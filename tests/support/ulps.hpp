#pragma once
#include <cmath>
#include <limits>

namespace braid::testing {

// How far a float lies from the exact number, in distances between the floats around that number;
// infinite where one of them is NaN or infinite and the other is not.
inline double error_in_ulps(float got, double exact) {
  if (std::isnan(exact) || std::isnan(got)) {
    return std::isnan(exact) && std::isnan(got) ? 0 : std::numeric_limits<double>::infinity();
  }
  if (std::isinf(got) || std::isinf(exact)) {
    return got == static_cast<float>(exact) ? 0 : std::numeric_limits<double>::infinity();
  }
  int exponent = 0;
  std::frexp(exact, &exponent);
  const double ulp = std::ldexp(1.0, std::fmax(exponent - 24, -149));
  return std::fabs(static_cast<double>(got) - exact) / ulp;
}

}  // namespace braid::testing
