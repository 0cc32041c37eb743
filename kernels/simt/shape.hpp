#pragma once
#include <cstdint>
#include <source_location>

#include "kernels/multiprocessors.hpp"

namespace braid::simt {

// Numbers of blocks or threads along up to three axes. They are 64-bit until the launch has checked
// them: a number of rows that does not fit must not wrap around.
struct Extent {
  std::int64_t x = 1;
  std::int64_t y = 1;
  std::int64_t z = 1;
  constexpr Extent(std::int64_t x_, std::int64_t y_ = 1, std::int64_t z_ = 1)
      : x(x_), y(y_), z(z_) {}
  constexpr std::int64_t count() const { return x * y * z; }
};

struct LaunchShape {
  Extent grid = 1;          // blocks
  Extent block = 32;        // threads of a block; a multiple of a warp
  std::int64_t shared = 0;  // bytes of dynamic shared memory
  std::source_location where = std::source_location::current();
};

// Blocks for `count` pieces of work, `per_block` at a time. Kernels walk in strides of the grid:
// more blocks than this only wait for a place.
constexpr std::int64_t blocks_for(std::int64_t count, std::int64_t per_block) {
  constexpr std::int64_t kMost = 16 * kernels::kMultiprocessors;
  const std::int64_t blocks = (count + per_block - 1) / per_block;
  return blocks < 1 ? 1 : (blocks < kMost ? blocks : kMost);
}

}  // namespace braid::simt
