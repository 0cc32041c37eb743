#include "engine/runtime/row_cut.hpp"

#include <algorithm>
#include <bit>

namespace braid {

RowCut cut_rows(std::int64_t batch, double operations, std::int64_t bytes_per_row,
                std::int64_t summed_floats, std::int64_t cores) {
  // Below this a second core costs more than it saves.
  constexpr double kOperationsPerSlice = 1.5e6;
  // More slices than two read the weights again: each must be worth it.
  constexpr double kOperationsPerFurtherSlice = 8e6;
  // Operations that weigh as much as summing one float of one more slice.
  constexpr double kOperationsPerSum = 600;
  constexpr std::int64_t kMaxSlices = 16;
  constexpr std::int64_t kFewestRows = 4;
  // Of weights that no second-level cache holds, which every slice reads anew, an LSTM at every
  // step.
  constexpr std::int64_t kFewestRowsOfFarWeights = 8;
  constexpr std::int64_t kFarFloats = 262144;
  // What a tile's values may take so that they stay in the second-level cache beside the weights.
  constexpr std::int64_t kTileBytes = 256 * 1024;
  constexpr std::int64_t kMostTileRows = 64;

  RowCut cut;
  if (batch <= 0) return cut;
  const double affordable = std::min(
      operations / kOperationsPerFurtherSlice,
      operations /
          (kOperationsPerSum * static_cast<double>(std::max<std::int64_t>(summed_floats, 1))));
  const double worthwhile = operations / kOperationsPerSlice;
  // Two slices are worth it whenever the work is; more only while they and adding them up stay
  // cheap.
  const auto wanted = static_cast<std::int64_t>(std::min(worthwhile, std::max(affordable, 2.0)));
  const std::int64_t fewest = summed_floats > kFarFloats ? kFewestRowsOfFarWeights : kFewestRows;
  const std::int64_t most =
      std::max<std::int64_t>(1, std::min({wanted, kMaxSlices, batch / fewest}));
  if (summed_floats == 0) {
    cut.slices = std::min(most, std::max(cores, batch / kMostTileRows));
  } else {
    // A power of two, so that the usual numbers of cores share them evenly.
    cut.slices = static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(most)));
  }
  const std::int64_t rows = (batch + cut.slices - 1) / cut.slices;
  const std::int64_t fitting =
      std::max<std::int64_t>(1, kTileBytes / std::max<std::int64_t>(bytes_per_row, 1));
  cut.tile_rows = std::clamp<std::int64_t>(fitting / 8 * 8, 8, kMostTileRows);
  // Tiles of nearly equal size instead of full ones and a small rest.
  const std::int64_t tiles = (rows + cut.tile_rows - 1) / cut.tile_rows;
  cut.tile_rows = (rows + tiles - 1) / tiles;
  return cut;
}

std::int64_t slices_on_device(std::int64_t batch, std::int64_t summed_floats) {
  constexpr std::int64_t kRowsOfBlock = 4;
  // About one for each multiprocessor.
  constexpr std::int64_t kMostBlocks = 128;
  // All slices together: 32 megabytes, which the second-level cache holds.
  constexpr std::int64_t kMostSummedFloats = 8 << 20;
  const std::int64_t wanted = (batch + kRowsOfBlock - 1) / kRowsOfBlock;
  const std::int64_t affordable = kMostSummedFloats / std::max<std::int64_t>(summed_floats, 1);
  return std::max<std::int64_t>(1, std::min({wanted, kMostBlocks, affordable}));
}

}  // namespace braid
