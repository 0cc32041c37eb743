#pragma once
#include <algorithm>
#include <cstdint>

#include "kernels/multiprocessors.hpp"

// What a dense product in float32 costs a GPU: which of the tiles it takes, and into how many parts
// the rows of a weights' gradient are cut, is decided by the same numbers.
namespace braid::kernels {

// Cycles for one place of the depth: of a multiprocessor that is busy with several blocks for each
// of them (it counts instructions and reads of shared memory), and of a block that is alone there
// and waits for what it has asked for.
struct DenseTileCost {
  std::int64_t rows;
  std::int64_t columns;
  double busy;
  double alone;
};

inline constexpr DenseTileCost kLargeTileCost{64, 64, 38, 45};
inline constexpr DenseTileCost kSmallTileCost{32, 32, 17, 20};
inline constexpr DenseTileCost kFewRowsTileCost{16, 32, 12, 14};
inline constexpr DenseTileCost kFewColumnsTileCost{32, 16, 12, 14};

// The busiest multiprocessor ends last.
constexpr double dense_cycles_of_place(std::int64_t blocks, double busy, double alone) {
  const std::int64_t most = (blocks + kMultiprocessors - 1) / kMultiprocessors;
  const double together = static_cast<double>(most) * busy;
  return together > alone ? together : alone;
}

// Parts of a weights' gradient: of how many rows. All parts but the last one have as many.
constexpr std::int64_t dense_weight_part_rows(std::int64_t rows, std::int64_t parts) {
  constexpr std::int64_t kMultiple = 32;  // so that the stages of a tile are whole
  const std::int64_t least = (rows + parts - 1) / parts;
  return parts == 1 ? rows : (least + kMultiple - 1) / kMultiple * kMultiple;
}

// Into how many parts the rows are cut: as many as end first, with the kernel that adds them up.
constexpr std::int64_t dense_weight_parts(std::int64_t rows, std::int64_t depth,
                                          std::int64_t columns) {
  constexpr DenseTileCost kTiles[] = {kLargeTileCost, kSmallTileCost, kFewRowsTileCost,
                                      kFewColumnsTileCost};
  constexpr std::int64_t kShortest = 32;         // rows of a part
  constexpr std::int64_t kStart = 24;            // places in whose time a block starts and ends
  constexpr std::int64_t kMostBlocks = 4;        // of a multiprocessor
  constexpr std::int64_t kMostFloats = 4 << 20;  // of all parts: 16 MB
  constexpr double kSum = 3000;                  // cycles of the kernel that adds the parts up
  constexpr double kFloatsOfCycle = 1000;        // which it reads, and which have been written
  const std::int64_t floats = (depth + 1) * columns;  // of a part
  const std::int64_t most = floats == 0 ? 1 : std::min(rows / kShortest, kMostFloats / floats);
  std::int64_t best = 1;
  double least = 0;
  for (const DenseTileCost& tile : kTiles) {
    const std::int64_t down = depth == 0 ? 1 : (depth + tile.rows - 1) / tile.rows;
    const std::int64_t tiles = down * ((columns + tile.columns - 1) / tile.columns);
    for (std::int64_t blocks = 0; blocks <= kMostBlocks; ++blocks) {
      const std::int64_t wanted =
          tiles == 0 ? 1 : std::min(blocks * kMultiprocessors / tiles, most);
      std::int64_t parts = std::max<std::int64_t>(wanted, 1);
      const std::int64_t length = dense_weight_part_rows(rows, parts);
      if (parts > 1) parts = (rows + length - 1) / length;
      double cycles = static_cast<double>(kStart + length) *
                      dense_cycles_of_place(tiles * parts, tile.busy, tile.alone);
      if (parts > 1) cycles += kSum + static_cast<double>(parts * floats) / kFloatsOfCycle;
      if (least == 0 || cycles < least) {
        least = cycles;
        best = parts;
      }
    }
  }
  return best;
}

}  // namespace braid::kernels
