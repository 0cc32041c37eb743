#pragma once
#include <cstdint>
#include <cstring>
#include <utility>

// Rows become columns in vector registers. Lanes cross only within groups of four, which every
// instruction set does quickly: vectors are put together from groups of far rows when they are
// read.
namespace braid::kernels {
namespace {

template <int kFloats>
struct VectorOf {
  typedef float Type __attribute__((vector_size(kFloats * sizeof(float))));
};
template <int kFloats>
using Floats = typename VectorOf<kFloats>::Type;

template <int... lane>
inline void join(const auto& first, const auto& second, auto& out,
                 std::integer_sequence<int, lane...>) {
  out = __builtin_shufflevector(first, second, lane...);
}

// Four elements of each of kRows rows, of every fourth one.
template <int kRows>
inline void load_four_of_rows(const float* const* rows, std::int64_t k, Floats<4 * kRows>& out) {
  if constexpr (kRows == 1) {
    std::memcpy(&out, rows[0] + k, sizeof(out));
  } else {
    Floats<2 * kRows> first;
    Floats<2 * kRows> second;
    load_four_of_rows<kRows / 2>(rows, k, first);
    load_four_of_rows<kRows / 2>(rows + kRows / 2 * 4, k, second);
    join(first, second, out, std::make_integer_sequence<int, 4 * kRows>());
  }
}

// Of each four lanes of two vectors the first or the last two, one of each in turn.
template <int kFirst, int... lane>
inline void in_turn(const auto& upper, const auto& lower, auto& out,
                    std::integer_sequence<int, lane...>) {
  constexpr int kLanesOfRow = sizeof...(lane);
  out = __builtin_shufflevector(upper, lower,
                                (lane / 4 * 4 + kFirst + lane % 4 / 2 + lane % 2 * kLanesOfRow)...);
}

// Four elements of kRows rows become four rows of kRows columns.
template <int kRows>
inline void transpose_four(const float* const (&rows)[kRows], std::int64_t k, float* to,
                           std::int64_t stride) {
  constexpr auto kAll = std::make_integer_sequence<int, kRows>();
  Floats<kRows> in[4];
  Floats<kRows> half[4];
  Floats<kRows> out[4];
  for (int i = 0; i < 4; ++i) load_four_of_rows<kRows / 4>(rows + i, k, in[i]);
  for (int i = 0; i < 2; ++i) {
    in_turn<0>(in[i], in[i + 2], half[2 * i], kAll);
    in_turn<2>(in[i], in[i + 2], half[2 * i + 1], kAll);
  }
  for (int i = 0; i < 2; ++i) {
    in_turn<0>(half[i], half[i + 2], out[2 * i], kAll);
    in_turn<2>(half[i], half[i + 2], out[2 * i + 1], kAll);
  }
#pragma GCC unroll 4  // else GCC keeps `out` in memory
  for (int i = 0; i < 4; ++i) std::memcpy(to + i * stride, &out[i], sizeof(out[i]));
}

// kRows rows of `depth` elements become `depth` rows, `stride` apart, of kRows columns: whole
// vectors are written, and four elements of a row read at once.
template <int kRows>
inline void transpose_rows(const float* const (&rows)[kRows], std::int64_t depth, float* to,
                           std::int64_t stride) {
  std::int64_t k = 0;
  if constexpr (kRows > 1) {
    for (; k + 4 <= depth; k += 4) transpose_four<kRows>(rows, k, to + k * stride, stride);
  }
  for (; k < depth; ++k) {
    for (int i = 0; i < kRows; ++i) to[k * stride + i] = rows[i][k];
  }
}

}  // namespace
}  // namespace braid::kernels
