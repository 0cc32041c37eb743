#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/precision.hpp"

// Memory of a GPU that its library has for the time of one large product (product_library.hpp).
namespace braid::kernels {

// Products with fewer rows, columns or places of the sum are left to Braid's kernels.
constexpr std::int64_t kLeastLibrarySize = 512;

// Beside the copies of operands: as NVIDIA advises for an H100, whose fastest products need some.
constexpr std::int64_t kLibraryWorkspace = std::int64_t{32} << 20U;

// Begins at a multiple of 4 bytes; one of 256 leaves nothing unused.
struct LibraryMemory {
  std::byte* data = nullptr;
  std::int64_t bytes = 0;
};

// A copy in bfloat16: its rows begin at multiples of 16 bytes, and what follows at one of 256.
constexpr std::int64_t bfloat16_stride(std::int64_t columns) { return (columns + 7) / 8 * 8; }
constexpr std::int64_t bfloat16_bytes(std::int64_t rows, std::int64_t columns) {
  return (rows * bfloat16_stride(columns) * 2 + 255) / 256 * 256;
}

// For [N, K] . [K, M] = [N, M] and for the gradients of both factors: 0 if that is not large.
constexpr std::int64_t library_memory(std::int64_t rows, std::int64_t depth, std::int64_t columns,
                                      Precision precision) {
  if (std::min({rows, depth, columns}) < kLeastLibrarySize) return 0;
  if (precision != Precision::bfloat16) return kLibraryWorkspace;
  const std::int64_t in = bfloat16_bytes(rows, depth);
  const std::int64_t kernel = bfloat16_bytes(depth, columns);
  const std::int64_t out = bfloat16_bytes(rows, columns);
  return kLibraryWorkspace + in + kernel + out - std::min({in, kernel, out});
}

}  // namespace braid::kernels
