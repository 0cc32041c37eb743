#pragma once
#include "engine/runtime/program.hpp"

namespace braid {

// How the rows of a batch are cut: `slices` ranges that may run at once, each in tiles of
// `tile_rows`.
struct RowCut {
  std::int64_t slices = 1;
  std::int64_t tile_rows = 1;
};

// Decided by the work alone: operations of all row stages, bytes that one row keeps in the tile,
// and floats that every slice sums up for itself (weight gradients), which cost a pass over memory
// for each slice.
RowCut cut_rows(std::int64_t batch, double operations, std::int64_t bytes_per_row,
                std::int64_t summed_floats);

// Stage of each node: row ops get even numbers, whole ops odd ones (-1 too), dead nodes kDeadStage.
// A value summed over rows is complete one stage later; work is put as late as its consumers allow,
// so that forward and backward share a stage.
// Nodes in `folded` count as dead; those in `by_rows` run by rows although they are not tileable.
inline constexpr int kDeadStage = -1000;
std::vector<int> assign_stages(const Graph& graph, const std::vector<Value>& outputs,
                               const std::vector<bool>& folded = {},
                               const std::vector<bool>& by_rows = {});

}  // namespace braid
