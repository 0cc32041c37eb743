#pragma once
#include <cstdint>

namespace braid {

// How the rows of a batch are cut: `slices` ranges that may run at once, each in tiles of
// `tile_rows`.
struct RowCut {
  std::int64_t slices = 1;
  std::int64_t tile_rows = 1;
};

// Decided by the work: operations of all row stages, bytes that one row keeps in the tile, and
// floats that every slice sums up for itself (weight gradients), which cost a pass over memory for
// each slice. Where nothing is summed, no number depends on the slices, and there are no more than
// cores, unless each has a whole tile.
RowCut cut_rows(std::int64_t batch, double operations, std::int64_t bytes_per_row,
                std::int64_t summed_floats, std::int64_t cores);

// Into how many slices a device cuts the rows of a batch. Each keeps sums of its own
// (`summed_floats`), which are added up later.
std::int64_t slices_on_device(std::int64_t batch, std::int64_t summed_floats);

}  // namespace braid
