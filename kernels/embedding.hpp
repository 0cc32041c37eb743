#pragma once
#include "kernels/backend.hpp"

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
};
BRAID_KERNEL(EmbeddingSort)

// table_grad[v, e] = sum of out_grad[n, e] over all n with ids[n] = v, in the order of n, for first
// <= v < last; rows that no id names become 0.
struct EmbeddingBackward {
  const std::int32_t* order = nullptr;     // [B * T]     read
  const std::int32_t* segments = nullptr;  // [V + 1]     read
  Matrix<const float> out_grad;            // [B * T, E]  read; may be a column slice
  Matrix<float> table_grad;                // [V, E]      rows first .. last - 1 overwritten
  std::int64_t first = 0;
  std::int64_t last = 0;
};
BRAID_KERNEL(EmbeddingBackward)

// The first position whose id is outside 0 .. limit - 1, or -1.
struct FindOutside {
  const std::int32_t* ids = nullptr;  // [N]  read
  std::int64_t count = 0;
  std::int64_t limit = 0;
  std::int64_t* position = nullptr;  // one value, overwritten
};
BRAID_KERNEL(FindOutside)

// *finite = 1 if every element is finite, else 0.
struct AllFinite {
  const float* in = nullptr;  // [N]  read
  std::int64_t count = 0;
  std::int32_t* finite = nullptr;  // one value, overwritten
};
BRAID_KERNEL(AllFinite)

}  // namespace braid::kernels
