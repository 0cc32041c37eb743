#pragma once
#include <cstdint>

namespace braid::kernels {

// What a GPU multiplies with. Operands and results lie in memory as float32, and sums are float32.
// A CPU, a GPU that lacks the units for it, and a result of a single column take float32 always.
enum class Precision : std::uint8_t {
  float32,   // every product rounded once, together with its sum
  tf32,      // operands rounded to 10 bits of fraction
  bfloat16,  // operands rounded to 7 bits of fraction
};

}  // namespace braid::kernels
