#pragma once
#include "kernels/simt/machine.hpp"

// Matrix operands held by a warp, spread over the lanes as the hardware has them.
namespace braid::simt {

enum class MatrixElement : std::uint8_t { tf32, bfloat16 };

// Matrices of 8 x 8 two-byte elements; lane 8 i + r brings the address of row r of matrix i.
void load_matrices(unsigned* registers, int matrices, bool transposed, const void* row,
                   const Place& where);

// sums [16, 8] += a [16, K] . b [K, 8]; K is 8 for tf32 and 16 for bfloat16.
void multiply_matrices(float (&sums)[4], const unsigned (&a)[4], const unsigned (&b)[2],
                       MatrixElement element, const Place& where);

// One element of that: sum + a[0] b[0] + ... + a[count - 1] b[count - 1]. The hardware adds all
// terms at once: it shifts them to the largest exponent, drops what then lies below kSumBits binary
// places, and drops again what a float cannot hold. So it is described for the H100 by those who
// measured it (Xie et al., "MMA-Sim", 2025; Khattak and Mikaitis, "Accurate Models of NVIDIA Tensor
// Cores", 2025).
constexpr int kSumBits = 25;
float fused_sum(float sum, const float* a, const float* b, int count);

}  // namespace braid::simt
