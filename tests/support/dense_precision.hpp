#pragma once
#include "tests/support/dense_kernel.hpp"
#include "tests/support/rounding.hpp"

namespace braid::testing {

inline DenseProblem rounded(Precision precision, DenseProblem problem) {
  for (Numbers* numbers : {&problem.in, &problem.kernel, &problem.out_grad}) {
    for (double& x : *numbers) x = rounded(precision, x);
  }
  return problem;
}

}  // namespace braid::testing
