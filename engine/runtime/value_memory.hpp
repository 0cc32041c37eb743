#pragma once
#include <cstdint>
#include <vector>

#include "engine/runtime/graph_facts.hpp"
#include "engine/runtime/program.hpp"
#include "engine/runtime/row_cut.hpp"

namespace braid {

// The memory of a value and of those that share its storage.
struct ValueMemory {
  // Memory of the caller's, in the tile of a slice, in the arena, or there once for each slice.
  enum class Kind { none, external, tile, arena, slice_sum };
  Kind kind = Kind::none;
  // The times (GraphFacts::time_of) and the nodes between which it is in use, both included.
  int first = INT32_MAX;
  int last = INT32_MIN;
  int first_node = INT32_MAX;
  int last_node = INT32_MIN;
  std::int64_t offset = 0;  // in the tile or the arena
};

// The kind and the life of each value's memory; of values that share storage, those of its root.
std::vector<ValueMemory> find_lives(const GraphFacts& facts);

struct MemoryLayout {
  std::int64_t tile_bytes = 0;
  std::int64_t arena_bytes = 0;
  std::vector<Program::Placement> placements;
};
// Gives each its offset.
MemoryLayout lay_out(const GraphFacts& facts, std::int64_t batch, const RowCut& cut,
                     std::vector<ValueMemory>& memory);

// Bytes of one slice's sum: the next one's lies behind it.
std::int64_t slice_bytes(const GraphFacts& facts, std::size_t value);

}  // namespace braid
