#include "kernels/simt/matrix.hpp"

#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/simt/emulated_gpu.hpp"
#include "kernels/simt/state.hpp"

namespace braid::simt {
namespace {

// The power of two of the leading digit; subnormal numbers count with the smallest one.
int exponent_of(float x) {
  const int biased = static_cast<int>(std::bit_cast<std::uint32_t>(x) >> 23U & 0xFFU);
  return (biased == 0 ? 1 : biased) - 127;
}

float towards_zero(double exact) {
  const auto rounded = static_cast<float>(exact);
  const bool too_large = std::fabs(static_cast<double>(rounded)) > std::fabs(exact);
  return too_large && std::isfinite(rounded) ? std::nextafter(rounded, 0.0F) : rounded;
}

template <MatrixElement element>
constexpr int kDepth = element == MatrixElement::tf32 ? 8 : 16;

// The elements of one register, as floats. The hardware reads 19 bits of a tf32 operand.
template <MatrixElement element>
void unpack(unsigned bits, float* values) {
  if constexpr (element == MatrixElement::tf32) {
    values[0] = std::bit_cast<float>(bits & 0xFFFFE000U);
  } else {
    values[0] = std::bit_cast<float>(bits << 16U);
    values[1] = std::bit_cast<float>(bits & 0xFFFF0000U);
  }
}

struct Operands {
  const unsigned* a;
  const unsigned* b;
};

template <MatrixElement element>
void multiply(unsigned, LaneCall* const* lanes) {
  constexpr int depth = kDepth<element>;
  constexpr int pack = depth / 8;  // elements of a register
  float a[16][depth];
  float b[8][depth];  // by columns
  for (int lane = 0; lane < kWarpLanes; ++lane) {
    const auto& given = *static_cast<const Operands*>(lanes[lane]->in);
    const int group = lane / 4;
    const int within = lane % 4;
    for (int half = 0; half < 2; ++half) {
      const int k = half * (depth / 2) + within * pack;
      unpack<element>(given.a[2 * half], &a[group][k]);
      unpack<element>(given.a[2 * half + 1], &a[group + 8][k]);
      unpack<element>(given.b[half], &b[group][k]);
    }
  }
  for (int lane = 0; lane < kWarpLanes; ++lane) {
    auto* sums = static_cast<float*>(lanes[lane]->out);
    for (int i = 0; i < 4; ++i) {
      const int row = lane / 4 + (i / 2) * 8;
      const int column = 2 * (lane % 4) + i % 2;
      sums[i] = fused_sum(sums[i], a[row], b[column], depth);
    }
  }
}

template <int matrices, bool transposed>
void load(unsigned, LaneCall* const* lanes) {
  for (int lane = 0; lane < kWarpLanes; ++lane) {
    auto* out = static_cast<unsigned*>(lanes[lane]->out);
    for (int matrix = 0; matrix < matrices; ++matrix) {
      unsigned pair = 0;
      for (int i = 0; i < 2; ++i) {
        const int at = 2 * (lane % 4) + i;
        const int row = transposed ? at : lane / 4;
        const int column = transposed ? lane / 4 : at;
        std::uint16_t value = 0;
        const auto* start = static_cast<const std::byte*>(lanes[8 * matrix + row]->in);
        std::memcpy(&value, start + 2 * column, sizeof value);
        pair |= static_cast<unsigned>(value) << static_cast<unsigned>(16 * i);
      }
      out[matrix] = pair;
    }
  }
}
template <int matrices, bool transposed>
constexpr WarpCall load_call{WarpOperation::load_matrix,
                             static_cast<unsigned>(matrices) + (transposed ? 16U : 0U),
                             load<matrices, transposed>};

}  // namespace

float fused_sum(float sum, const float* a, const float* b, int count) {
  double terms[17] = {static_cast<double>(sum)};
  constexpr int kNone = -1000;
  int largest = sum == 0 ? kNone : exponent_of(sum);
  double plain = terms[0];
  for (int i = 0; i < count; ++i) {
    terms[i + 1] = static_cast<double>(a[i]) * static_cast<double>(b[i]);
    plain += terms[i + 1];
    if (terms[i + 1] == 0) continue;
    const int exponent = exponent_of(a[i]) + exponent_of(b[i]);
    largest = exponent > largest ? exponent : largest;
  }
  const bool all_zero = largest == kNone;
  if (!std::isfinite(plain) || all_zero) return static_cast<float>(plain);
  std::int64_t total = 0;
  const double scale = std::ldexp(1.0, kSumBits - largest);
  for (int i = 0; i <= count; ++i) total += static_cast<std::int64_t>(terms[i] * scale);
  return towards_zero(std::ldexp(static_cast<double>(total), largest - kSumBits));
}

void load_matrices(unsigned* registers, int matrices, bool transposed, const void* row,
                   const Place& where) {
  static constexpr WarpCall calls[2][3] = {
      {load_call<1, false>, load_call<2, false>, load_call<4, false>},
      {load_call<1, true>, load_call<2, true>, load_call<4, true>}};
  // The addresses of lanes beyond the last matrix are not read.
  if (machine.current->lane() < 8 * matrices) require_shared(row, 16, 16, "ldmatrix", where);
  LaneCall lane{row, registers};
  warp_together(calls[transposed ? 1 : 0][matrices / 2], 0xFFFFFFFFU, lane, where);
}

void multiply_matrices(float (&sums)[4], const unsigned (&a)[4], const unsigned (&b)[2],
                       MatrixElement element, const Place& where) {
  static constexpr WarpCall tf32{WarpOperation::multiply_matrices, 0,
                                 multiply<MatrixElement::tf32>};
  static constexpr WarpCall bfloat16{WarpOperation::multiply_matrices, 1,
                                     multiply<MatrixElement::bfloat16>};
  require_architecture(kFirstWithMatrixUnits, "a product of matrix units", where);
  const Operands operands{a, b};
  LaneCall lane{&operands, sums};
  warp_together(element == MatrixElement::tf32 ? tf32 : bfloat16, 0xFFFFFFFFU, lane, where);
}

}  // namespace braid::simt
