#pragma once
#include "kernels/simt/emulated_gpu.hpp"

namespace braid::testing {

// The emulated device passes for this GPU until the end of the scope.
class EmulatedGpuScope {
 public:
  explicit EmulatedGpuScope(int architecture) { simt::set_emulated_gpu(architecture); }
  ~EmulatedGpuScope() { simt::set_emulated_gpu(before_); }
  EmulatedGpuScope(const EmulatedGpuScope&) = delete;
  EmulatedGpuScope& operator=(const EmulatedGpuScope&) = delete;

 private:
  int before_ = simt::emulated_gpu().architecture;
};

// Whose figures tests of launches go by.
constexpr int kH100 = 90;

}  // namespace braid::testing
