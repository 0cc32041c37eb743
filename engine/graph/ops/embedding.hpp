#pragma once
#include "engine/graph/graph.hpp"

namespace braid::ops {

// Rows of a table, picked by ids: ids [B, ...] int32, table [V, E] -> [B, ..., E].
Value embedding(Graph& graph, Value ids, Value table);

}  // namespace braid::ops
