#pragma once
#include "kernels/backend.hpp"
#include "kernels/multiprocessors.hpp"

namespace braid::kernels {

// No id: those of a table are not negative.
constexpr std::int32_t kNoId = -1;

// out[n, e] = table[ids[n], e]; a row of NaN where not 0 <= ids[n] < V, so that nobody learns from
// an id that could not be checked before the launch.
struct EmbeddingForward {
  Matrix<const std::int32_t> ids;  // [B, T]      read; N = B * T
  Matrix<const float> table;       // [V, E]      read
  Matrix<float> out;               // [B * T, E]  overwritten; may be a column slice
};
BRAID_KERNEL(EmbeddingForward)

// Sorts positions by id, stably: order[segments[v]] .. order[segments[v + 1] - 1] are the positions
// n with ids[n] = v, in the order of n, leaving out positions that `mask` calls invalid, and all
// of the id `padding`.
struct EmbeddingSort {
  Matrix<const std::int32_t> ids;   // [B, T]   read
  Matrix<const std::uint8_t> mask;  // [B, T]   read; may be absent
  std::int32_t padding = kNoId;
  std::int32_t* order = nullptr;     // [B * T]  overwritten
  std::int32_t* segments = nullptr;  // [V + 1]  overwritten
  std::int64_t vocabulary = 0;
  // embedding_sort_scratch(B * T, V) numbers, aligned to 8 bytes. A GPU then sorts many positions
  // by one digit of their ids after the other. Absent: in one go, which takes a time that grows
  // with positions times ids.
  std::int32_t* scratch = nullptr;
};
BRAID_KERNEL(EmbeddingSort)

// How a GPU sorts by digits of the ids, the lowest first; by none where positions and ids are few.
struct EmbeddingDigits {
  int count = 0;
  int bits = 0;             // of each
  std::int64_t blocks = 1;  // that share the positions
  constexpr std::int64_t values() const { return std::int64_t{1} << bits; }
};
constexpr EmbeddingDigits embedding_digits(std::int64_t positions, std::int64_t vocabulary) {
  constexpr std::int64_t kInOneGo = 131072;                     // positions
  constexpr std::int64_t kIdsAtOnce = kMultiprocessors * 1750;  // that blocks own at once
  constexpr std::int64_t kPositionsOfBlock = 2048;
  constexpr std::int64_t kMostBlocks = 2 * kMultiprocessors;
  constexpr int kMostBits = 10;
  if (positions <= 0 || positions * (1 + vocabulary / kIdsAtOnce) <= kInOneGo) return {};
  int bits = 1;
  while ((vocabulary - 1) >> bits > 0) ++bits;
  EmbeddingDigits digits;
  digits.count = (bits + kMostBits - 1) / kMostBits;
  digits.bits = (bits + digits.count - 1) / digits.count;
  digits.blocks = (positions + kPositionsOfBlock - 1) / kPositionsOfBlock;
  if (digits.blocks > kMostBlocks) digits.blocks = kMostBlocks;
  return digits;
}

// Ids and their positions, half sorted, twice if there are many digits; counts of the digits.
constexpr std::int64_t embedding_sort_scratch(std::int64_t positions, std::int64_t vocabulary) {
  const EmbeddingDigits digits = embedding_digits(positions, vocabulary);
  if (digits.count == 0) return 0;
  const std::int64_t lists = digits.count > 2 ? 4 : 2 * digits.count - 1;
  return lists * positions + (digits.blocks + 1) * digits.values() + 1;
}

// A GPU sums rows of so many sorted positions at a time (segment_sums.hpp).
constexpr std::int64_t embedding_piece(std::int64_t positions) {
  constexpr std::int64_t kPieces = 4096;  // that fill the largest GPU
  constexpr std::int64_t kMost = 256;
  const std::int64_t fair = positions / kPieces / 32 * 32;
  return fair < 32 ? 32 : (fair < kMost ? fair : kMost);
}
// Floats that the sums of rows of so many columns need on a GPU, from a multiple of 16 bytes on.
constexpr std::int64_t embedding_sums_scratch(std::int64_t positions, std::int64_t columns) {
  const std::int64_t piece = embedding_piece(positions);
  return (positions + piece - 1) / piece * 2 * columns;
}

// table_grad[v, e] = sum of out_grad[n, e] over all n with ids[n] = v, in the order of n, for first
// <= v < last; rows that no id names become 0. A GPU adds up what each piece of the sorted
// positions, from segments[first] on, has of an id.
struct EmbeddingBackward {
  Matrix<const std::int32_t> ids;          // [B, T]      read
  const std::int32_t* order = nullptr;     // [B * T]     read
  const std::int32_t* segments = nullptr;  // [V + 1]     read
  Matrix<const float> out_grad;            // [B * T, E]  read; may be a column slice
  Matrix<float> table_grad;                // [V, E]      rows first .. last - 1 overwritten
  std::int64_t first = 0;
  std::int64_t last = 0;
  float* scratch = nullptr;  // embedding_sums_scratch(B * T, E); a CPU needs none
};
BRAID_KERNEL(EmbeddingBackward)

}  // namespace braid::kernels
