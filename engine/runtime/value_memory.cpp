#include "engine/runtime/value_memory.hpp"

#include <algorithm>

#include "engine/runtime/memory_plan.hpp"
#include "engine/runtime/stages.hpp"

namespace braid {
namespace {

using Kind = ValueMemory::Kind;

// Nodes in the order in which they run: by stage, then as in the graph.
int order_of(const GraphFacts& facts, int node) {
  const auto nodes = static_cast<int>(facts.graph.nodes().size());
  return (facts.stage_of_node[static_cast<std::size_t>(node)] + 2) * nodes + node;
}

std::int64_t padded(std::int64_t bytes) {
  return (bytes + kMemoryAlignment - 1) / kMemoryAlignment * kMemoryAlignment;
}

// Requests for one piece of memory, and whose they are.
struct Requests {
  std::vector<std::size_t> values;
  std::vector<MemoryRequest> requests;

  void add(std::size_t value, const MemoryRequest& request) {
    values.push_back(value);
    requests.push_back(request);
  }
};

// Returns the bytes of the whole piece.
std::int64_t lay_out(const Requests& asked, std::vector<ValueMemory>& memory,
                     std::vector<Program::Placement>& placements) {
  const MemoryPlan plan = plan_memory(asked.requests);
  for (std::size_t i = 0; i < asked.values.size(); ++i) {
    ValueMemory& placed = memory[asked.values[i]];
    placed.offset = plan.offsets[i];
    placements.push_back({.value = Value{static_cast<int>(asked.values[i])},
                          .bytes = asked.requests[i].bytes,
                          .offset = placed.offset,
                          .first = placed.first,
                          .last = placed.last,
                          .tile = placed.kind == Kind::tile});
  }
  return plan.bytes;
}

}  // namespace

std::int64_t slice_bytes(const GraphFacts& facts, std::size_t value) {
  return padded(facts.row_bytes(value));
}

std::vector<ValueMemory> find_lives(const GraphFacts& facts) {
  const ValueUses& uses = facts.uses;
  std::vector<ValueMemory> memory(facts.infos.size());
  std::vector<bool> local(memory.size(), true);
  for (std::size_t v = 0; v < memory.size(); ++v) {
    const int made_by = uses.producer[v];
    if (!facts.is_alive(v) && made_by < 0) continue;
    const auto root_number = static_cast<std::size_t>(facts.storage[v].root);
    ValueMemory& root = memory[root_number];
    if (made_by < 0) {
      root.kind = Kind::external;
      continue;
    }
    const int made = facts.stage_of_node[static_cast<std::size_t>(made_by)];
    if (made == kDeadStage || !facts.is_alive(v)) continue;
    const bool by_rows = made % 2 == 0;
    const bool has_sums = facts.is_summed_by_slices(v) || facts.sums_left[v] > 1;
    if (root.kind != Kind::external) root.kind = has_sums ? Kind::slice_sum : Kind::arena;
    const auto touch = [&](int node) {
      const int time = facts.time_of(node);
      root.first_node = std::min(root.first_node, node);
      root.last_node = std::max(root.last_node, node);
      root.first = std::min(root.first, time);
      root.last = std::max(root.last, time);
    };
    touch(made_by);
    for (int use : uses.readers[v]) touch(use);
    if (uses.is_output[v] || !facts.infos[v].batched || !by_rows ||
        (facts.on_device && !facts.is_made_in_block(v)))
      local[root_number] = false;
    if (uses.is_output[v]) root.last = INT32_MAX;
  }
  std::int64_t bytes = 0;
  for (std::size_t v = 0; v < memory.size(); ++v) {
    local[v] = local[v] && memory[v].kind == Kind::arena && memory[v].first == memory[v].last;
    if (local[v]) bytes += padded(facts.row_bytes(v) * facts.rows_of_block);
  }
  if (facts.on_device && bytes > facts.bytes_of_block) return memory;
  for (std::size_t v = 0; v < memory.size(); ++v) {
    if (local[v]) memory[v].kind = Kind::tile;
  }
  return memory;
}

MemoryLayout lay_out(const GraphFacts& facts, std::int64_t batch, const RowCut& cut,
                     std::vector<ValueMemory>& memory) {
  Requests tile;
  Requests arena;
  for (std::size_t v = 0; v < memory.size(); ++v) {
    const ValueMemory& asks = memory[v];
    switch (asks.kind) {
      case Kind::tile:
        // Stages run one after another and reuse the tile: nodes order its life within a stage. On
        // a device they are in no such order, and everything has a place of its own.
        tile.add(v, {facts.row_bytes(v) * cut.tile_rows,
                     facts.on_device ? INT32_MIN : order_of(facts, asks.first_node),
                     facts.on_device ? INT32_MAX : order_of(facts, asks.last_node)});
        break;
      case Kind::arena:
        arena.add(
            v, {facts.row_bytes(v) * (facts.infos[v].batched ? batch : 1), asks.first, asks.last});
        break;
      case Kind::slice_sum:
        arena.add(
            v, {slice_bytes(facts, v) * (facts.sums_left[v] > 1 ? facts.sums_left[v] : cut.slices),
                asks.first, asks.last});
        break;
      case Kind::none:
      case Kind::external: break;
    }
  }
  MemoryLayout layout;
  layout.tile_bytes = lay_out(tile, memory, layout.placements);
  layout.arena_bytes = lay_out(arena, memory, layout.placements);
  return layout;
}

}  // namespace braid
