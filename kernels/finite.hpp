#pragma once
#include "kernels/launch.hpp"

namespace braid::kernels {

// *finite = 1 if every element is finite, else 0.
struct AllFinite {
  const float* in = nullptr;  // [N]  read
  std::int64_t count = 0;
  std::int32_t* finite = nullptr;  // one value, overwritten
};
BRAID_CPU_KERNEL(AllFinite)

}  // namespace braid::kernels
