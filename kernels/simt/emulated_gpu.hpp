#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/simt/gpu_architectures.hpp"
#include "kernels/simt/machine.hpp"

// Which GPU the emulated device passes for: what it refuses, and what launchers ask it for.
namespace braid::simt {

struct EmulatedGpu {
  int architecture = 0;  // its compute capability as nvcc has it: 86 is 8.6
  int multiprocessors = 0;
  int threads_of_multiprocessor = 0;
  int blocks_of_multiprocessor = 0;
  std::size_t shared_of_multiprocessor = 0;
  std::size_t shared_of_block = 0;     // the most, the kernel's own and dynamic, for who asks
  std::size_t reserved_for_block = 0;  // of a multiprocessor's, beside what a block has

  bool has_matrix_units() const { return architecture >= kFirstWithMatrixUnits; }
};

// An H100 until another is set, or named by BRAID_EMULATED_GPU (75, 80, 86, 89, 90, 100, 120; the
// figures are those of a T4, A100, A10, L4, H100, B200 and RTX 5090). RangeError for others.
const EmulatedGpu& emulated_gpu();
// Between launches. What has been planned for another GPU must not be launched on this one.
void set_emulated_gpu(int architecture);

[[noreturn]] void refuse_architecture(int first, const char* what, const Place& where);
// Fails the launch of a kernel that comes to what GPUs have from that architecture on.
inline void require_architecture(int first, const char* what, const Place& where) {
  if (emulated_gpu().architecture < first) refuse_architecture(first, what, where);
}

}  // namespace braid::simt
