#pragma once
#include "engine/graph/graph.hpp"

namespace braid::ops {

// Rows of a table, picked by ids: ids [B, ...] int32, table [V, E] -> [B, ..., E]. RangeError, when
// it is run, for an id outside 0 .. V - 1; `layer` is named in it.
Value embedding(Graph& graph, Value ids, Value table, std::string layer = "embedding");

}  // namespace braid::ops
