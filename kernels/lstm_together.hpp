#pragma once
#include "kernels/lstm.hpp"
#include "kernels/other_cores.hpp"

namespace braid::kernels {

// LstmForward of a single row by several cores. Its steps wait for each other; what of them does
// not is the product of their inputs with the kernel, which other cores make meanwhile. The bits
// are those of LstmForward.
struct LstmForwardTogether {
  LstmForward lstm;
  OtherCores others;
};
BRAID_CPU_KERNEL(LstmForwardTogether)

// Whether others save more than it takes to call them.
inline bool is_worth_other_cores(const LstmShape& shape) {
  constexpr std::int64_t kFewSteps = 48;
  constexpr std::int64_t kFewProducts = 1 << 20;
  return shape.rows == 1 && shape.steps >= kFewSteps &&
         shape.steps * shape.features * 4 * shape.units >= kFewProducts;
}

}  // namespace braid::kernels
