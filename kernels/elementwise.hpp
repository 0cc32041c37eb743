#pragma once
#include "kernels/backend.hpp"
#include "kernels/multiprocessors.hpp"

namespace braid::kernels {

// An operand of up to kMaxAxes axes with a stride (in elements) for each; stride 0 repeats along
// that axis.
constexpr int kMaxAxes = 6;
template <class T>
struct Strided {
  T* data = nullptr;
  std::int64_t stride[kMaxAxes] = {};
  explicit operator bool() const { return data != nullptr; }
};

enum class BinaryKind : std::uint8_t { add, subtract, multiply, divide, maximum, minimum };

// out[i] = a[i] op b[i] over `extent` with broadcasting. A mask (absent: all valid) names the valid
// elements of its operand: multiply takes 1 for an invalid element, maximum and minimum take the
// other operand (the first, if both are invalid); the other kinds have none.
struct BinaryForward {
  Strided<const float> a;              // read
  Strided<const float> b;              // read
  Strided<const std::uint8_t> a_mask;  // read; may be absent
  Strided<const std::uint8_t> b_mask;  // read; may be absent
  Strided<float> out;                  // overwritten; may be a or b
  std::int64_t extent[kMaxAxes] = {1, 1, 1, 1, 1, 1};
  BinaryKind kind = BinaryKind::add;
};
BRAID_KERNEL(BinaryForward)

// Gradient of one operand: `self_grad`, summed over the axes along which self was repeated (its
// stride is 0 there, so sums go to one element, in index order). At a tie of maximum and minimum
// each side gets half.
struct BinaryBackward {
  Strided<const float> self;               // read; absent where the kind needs no values
  Strided<const float> other;              // read; absent where the kind needs no values
  Strided<const std::uint8_t> self_mask;   // read; may be absent
  Strided<const std::uint8_t> other_mask;  // read; may be absent
  Strided<const float> out_grad;           // read
  Strided<float>
      self_grad;  // overwritten with sums (zeroed by the kernel first, unless accumulate)
  std::int64_t extent[kMaxAxes] = {1, 1, 1, 1, 1, 1};
  BinaryKind kind = BinaryKind::add;
  bool self_is_first = true;  // self is `a` of the forward pass
  bool accumulate = false;
};
BRAID_KERNEL(BinaryBackward)

// out = scale * in + shift, each element; `out` may be `in`.
struct Affine {
  Matrix<const float> in;  // [N, C]  read
  Matrix<float> out;       // [N, C]  overwritten
  float scale = 1;
  float shift = 0;
};
BRAID_KERNEL(Affine)

// out = sum over the k given inputs, from first to last.
constexpr int kMaxSummands = 8;
struct Sum {
  Matrix<const float> in[kMaxSummands];  // [N, C] each  read
  int count = 0;
  Matrix<float> out;  // [N, C]  overwritten; may be in[0]
};
BRAID_KERNEL(Sum)

// out[n, c] = in[n, c] * row_factor[n] * scale; an absent row_factor counts as 1, and *scalar
// (absent: 1) multiplies too.
struct ScaleRows {
  Matrix<const float> in;          // [N, C]  read
  Matrix<const float> row_factor;  // [N, 1]  read; may be absent
  const float* scalar = nullptr;   // one value, read; may be absent
  Matrix<float> out;               // [N, C]  overwritten; may be `in`
  float scale = 1;
};
BRAID_KERNEL(ScaleRows)

// Copies rows (bytes): for column slices, concatenation and reshapes that cannot share storage.
struct CopyRows {
  Matrix<const std::uint8_t> in;  // [N, bytes of a row]  read
  Matrix<std::uint8_t> out;       // [N, bytes of a row]  overwritten
};
BRAID_KERNEL(CopyRows)

// Turns blocks of R rows: out[n, c, r] = in[n, r, c].
struct TransposeBlocks {
  const float* in = nullptr;  // [N, R, C]  read
  float* out = nullptr;       // [N, C, R]  overwritten
  std::int64_t blocks = 0;    // N
  std::int64_t rows = 0;      // R
  std::int64_t columns = 0;   // C
};
BRAID_KERNEL(TransposeBlocks)

// out = numerator / *divisor, an absent divisor counts as 1; nothing to divide by gives 0.
struct Quotient {
  double numerator = 1;
  const float* divisor = nullptr;  // one value, read; may be absent
  float* out = nullptr;            // one value, overwritten
};
BRAID_KERNEL(Quotient)

// out = value * *scalar everywhere; an absent scalar counts as 1.
struct Fill {
  Matrix<float> out;  // [N, C]  overwritten
  float value = 0;
  const float* scalar = nullptr;  // one value, read; may be absent
};
BRAID_KERNEL(Fill)

// Elements of another type become float32.
enum class ElementType : std::uint8_t { float32, int32, int64, uint8 };
struct ToFloat {
  const void* in = nullptr;  // [N]  read
  ElementType type = ElementType::float32;
  float* out = nullptr;  // [N]  overwritten
  std::int64_t count = 0;
};
BRAID_KERNEL(ToFloat)

// out[i] = (int32) in[i], towards zero, as Keras casts ids that come as floats. What lies beyond
// int32, and NaN, becomes the lowest one, which is no id of any table.
struct FloatToIds {
  Matrix<const float> in;    // [N, C]  read
  Matrix<std::int32_t> out;  // [N, C]  overwritten
};
BRAID_KERNEL(FloatToIds)

// Sums of everything on a GPU: many values are worth several blocks, each of which leaves the sum
// of a part. Sixteen values a thread, until there are four blocks for each multiprocessor.
constexpr std::int64_t parts_of_sum(std::int64_t count) {
  constexpr std::int64_t kMost = 4 * kMultiprocessors;
  constexpr std::int64_t kValues = 4096;
  constexpr std::int64_t kWorthParts = 8 * kValues;  // else one block has done it as soon
  const std::int64_t parts = count < kWorthParts ? 1 : (count + kValues - 1) / kValues;
  return parts < kMost ? parts : kMost;
}
// Bytes of the parts of so many sums.
constexpr std::int64_t scratch_of_sums(std::int64_t count, std::int64_t sums) {
  const std::int64_t parts = parts_of_sum(count);
  return parts == 1 ? 0 : parts * sums * 2 * static_cast<std::int64_t>(sizeof(float));
}

// out[0] (+)= factor * the sum over all elements, in a fixed order, accumulated in double.
struct SumAll {
  Matrix<const float> in;  // [N, C]  read
  float* out = nullptr;    // one value, overwritten or added to
  float factor = 1;
  bool square = false;
  bool absolute = false;
  bool accumulate = false;
  float* scratch = nullptr;  // scratch_of_sums(N * C, 1) bytes; absent: one block of a GPU sums
};
BRAID_KERNEL(SumAll)

// out (+)= l1 * sign(w) + 2 * l2 * w, scaled by *scale (absent: 1): the gradient of l1 * sum|w| +
// l2 * sum w^2.
struct PenaltyGradient {
  Matrix<const float> weight;    // [N, C]  read
  Matrix<float> out;             // [N, C]  overwritten, or added to
  const float* scale = nullptr;  // one value, read; may be absent
  float l1 = 0;
  float l2 = 0;
  bool accumulate = false;
};
BRAID_KERNEL(PenaltyGradient)

}  // namespace braid::kernels
