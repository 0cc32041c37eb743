#include <algorithm>
#include <bit>
#include <cstdint>

#include "engine/runtime/planner.hpp"

namespace braid {
namespace {

std::size_t index(Value value) { return static_cast<std::size_t>(value.id); }

// Some operand or result has rows.
bool has_rows(const Graph& graph, const GraphNode& node) {
  const auto batched = [&](Value value) { return value && graph.info(value).batched; };
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    if (batched(node.inputs[i]) && node.op->reads(i)) return true;
  }
  return std::any_of(node.outputs.begin(), node.outputs.end(), batched);
}

// How much later than its producer's stage a consumer must stand.
int distance(bool producer_by_rows, bool value_batched, bool consumer_by_rows) {
  if (producer_by_rows) {
    if (consumer_by_rows) return value_batched ? 0 : 2;
    return 1;
  }
  return consumer_by_rows ? 1 : 0;
}

}  // namespace

std::vector<int> assign_stages(const Graph& graph, const std::vector<Value>& outputs,
                               const std::vector<bool>& folded,
                               const std::vector<bool>& also_by_rows) {
  const auto& nodes = graph.nodes();
  std::vector<bool> alive_value(graph.values().size(), false);
  for (Value output : outputs) {
    if (output) alive_value[index(output)] = true;
  }
  std::vector<bool> alive(nodes.size(), false);
  std::vector<bool> by_rows(nodes.size(), false);
  // Fusion may move a result to a node that stands behind its uses' producers, never behind its
  // uses: one pass is enough.
  for (std::size_t n = nodes.size(); n-- > 0;) {
    for (Value output : nodes[n].outputs)
      alive[n] = alive[n] || (output && alive_value[index(output)]);
    if (!folded.empty() && folded[n]) alive[n] = false;
    if (!alive[n]) continue;
    const bool tiles = nodes[n].op->tileable() || (!also_by_rows.empty() && also_by_rows[n]);
    by_rows[n] = tiles && has_rows(graph, nodes[n]);
    for (std::size_t i = 0; i < nodes[n].inputs.size(); ++i) {
      if (nodes[n].inputs[i] && nodes[n].op->reads(i))
        alive_value[index(nodes[n].inputs[i])] = true;
    }
  }

  std::vector<int> stage(nodes.size(), kDeadStage);
  int last = -1;
  for (std::size_t n = 0; n < nodes.size(); ++n) {
    if (!alive[n]) continue;
    stage[n] = by_rows[n] ? 0 : -1;
    for (std::size_t i = 0; i < nodes[n].inputs.size(); ++i) {
      const Value input = nodes[n].inputs[i];
      if (!input || !nodes[n].op->reads(i)) continue;
      const int producer = graph.value(input).producer;
      if (producer < 0 || !alive[static_cast<std::size_t>(producer)]) continue;
      const auto p = static_cast<std::size_t>(producer);
      stage[n] = std::max(stage[n],
                          stage[p] + distance(by_rows[p], graph.info(input).batched, by_rows[n]));
    }
    last = std::max(last, stage[n]);
  }

  // As late as the consumers allow.
  std::vector<int> latest(nodes.size());
  for (std::size_t n = 0; n < nodes.size(); ++n) {
    const bool last_is_rows = last % 2 == 0;
    latest[n] = by_rows[n] == last_is_rows ? last : last - 1;
  }
  for (std::size_t n = nodes.size(); n-- > 0;) {
    if (!alive[n]) continue;
    for (std::size_t i = 0; i < nodes[n].inputs.size(); ++i) {
      const Value input = nodes[n].inputs[i];
      if (!input || !nodes[n].op->reads(i)) continue;
      const int producer = graph.value(input).producer;
      if (producer < 0 || !alive[static_cast<std::size_t>(producer)]) continue;
      const auto p = static_cast<std::size_t>(producer);
      latest[p] = std::min(latest[p],
                           latest[n] - distance(by_rows[p], graph.info(input).batched, by_rows[n]));
    }
  }
  for (std::size_t n = 0; n < nodes.size(); ++n) {
    if (alive[n]) stage[n] = latest[n];
  }
  return stage;
}

RowCut cut_rows(std::int64_t batch, double operations, std::int64_t bytes_per_row,
                std::int64_t summed_floats) {
  // Below this a second core costs more than it saves.
  constexpr double kOperationsPerSlice = 1.5e6;
  // More slices than two read the weights again: each must be worth it.
  constexpr double kOperationsPerFurtherSlice = 8e6;
  // Operations that weigh as much as summing one float of one more slice.
  constexpr double kOperationsPerSum = 600;
  constexpr std::int64_t kMaxSlices = 16;
  constexpr std::int64_t kFewestRows = 4;
  // What a tile's values may take so that they stay in the second-level cache beside the weights.
  constexpr std::int64_t kTileBytes = 256 * 1024;

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
  const std::int64_t most = std::min({wanted, kMaxSlices, batch / kFewestRows});
  // A power of two, so that the usual numbers of cores share them evenly.
  cut.slices = static_cast<std::int64_t>(
      std::bit_floor(static_cast<std::uint64_t>(std::max<std::int64_t>(most, 1))));
  const std::int64_t rows = (batch + cut.slices - 1) / cut.slices;
  const std::int64_t fitting =
      std::max<std::int64_t>(1, kTileBytes / std::max<std::int64_t>(bytes_per_row, 1));
  cut.tile_rows = std::clamp<std::int64_t>(fitting / 8 * 8, 8, 64);
  // Tiles of nearly equal size instead of full ones and a small rest.
  const std::int64_t tiles = (rows + cut.tile_rows - 1) / cut.tile_rows;
  cut.tile_rows = (rows + tiles - 1) / tiles;
  return cut;
}

}  // namespace braid
