#pragma once
#include "kernels/backend.hpp"

namespace braid::kernels {

// Masks are bytes, 1 = valid.

// mask[n, t] = ids[n, t] != value, and valid in `and_mask` (absent: everywhere).
struct IdsNotEqual {
  Matrix<const std::int32_t> ids;       // [N, T]  read
  Matrix<const std::uint8_t> and_mask;  // [N, T]  read; may be absent
  Matrix<std::uint8_t> mask;            // [N, T]  overwritten
  std::int32_t value = 0;
};
BRAID_KERNEL(IdsNotEqual)

// mask[n] = some in[n, f] != value; out[n, f] = in[n, f] where mask[n], else 0. NaN differs from
// every value.
struct MaskingForward {
  Matrix<const float> in;  // [N, F]  read
  Matrix<const std::uint8_t>
      and_mask;  // [N, 1]  read; may be absent; masks beyond the values (the ends of ragged rows)
  Matrix<float> out;          // [N, F]  overwritten; absent: only the mask is wanted
  Matrix<std::uint8_t> mask;  // [N, 1]  overwritten; absent: only the values are wanted
  float value = 0;
};
BRAID_KERNEL(MaskingForward)

// in_grad[n, f] = out_grad[n, f] where mask[n], else 0.
struct MaskingBackward {
  Matrix<const std::uint8_t> mask;  // [N, 1]  read
  Matrix<const float> out_grad;     // [N, F]  read
  Matrix<float> in_grad;            // [N, F]  overwritten; may be `out_grad`
};
BRAID_KERNEL(MaskingBackward)

// out[n, t] = a[n, t] OR b[n, t], or AND.
struct CombineMasks {
  Matrix<const std::uint8_t> a;  // [N, T]  read
  Matrix<const std::uint8_t> b;  // [N, T]  read
  Matrix<std::uint8_t> out;      // [N, T]  overwritten
  bool all = false;              // AND instead of OR
};
BRAID_KERNEL(CombineMasks)

// weight[n, t] = mask[n, t] as 0 or 1, times sample_weight[n, t] (absent: 1).
struct MaskToWeight {
  Matrix<const std::uint8_t> mask;    // [N, T]  read
  Matrix<const float> sample_weight;  // [N, T]  read; may be absent
  Matrix<float> weight;               // [N, T]  overwritten
};
BRAID_KERNEL(MaskToWeight)

// Sets mask[n, t] = t < ends[n]: rows of ragged data.
struct RowEnds {
  const std::int64_t* ends = nullptr;  // [N]  read; absent: every step is valid
  Matrix<std::uint8_t> mask;           // [N, T]  overwritten
};
BRAID_KERNEL(RowEnds)

// Mean over time: out[b, f] = sum_t m[b, t] * in[b, t, f] / sum_t m[b, t]; without a mask the mean
// of all T steps. A row without a valid step is 0 / 0, as in Keras.
struct AverageTimeForward {
  Matrix<const float> in;           // [B * T, F]  read
  Matrix<const std::uint8_t> mask;  // [B, T]      read; may be absent
  Matrix<float> out;                // [B, F]      overwritten
};
BRAID_KERNEL(AverageTimeForward)

struct AverageTimeBackward {
  Matrix<const std::uint8_t> mask;  // [B, T]      read; may be absent
  Matrix<const float> out_grad;     // [B, F]      read
  Matrix<float> in_grad;            // [B * T, F]  overwritten
};
BRAID_KERNEL(AverageTimeBackward)

}  // namespace braid::kernels
