#pragma once
#include <vector>

#include "engine/graph/graph.hpp"

namespace braid {

// The rows and columns of a value: of one row of the batch where batched.
struct Extent {
  std::int64_t rows = 1;
  std::int64_t columns = 1;
};

Extent extent_of(const ValueInfo& info);

// Who makes and who reads each value of a planned graph.
struct ValueUses {
  std::vector<std::vector<int>> readers;  // nodes
  std::vector<int> producer;              // a node; -1: an input, a weight or a constant
  std::vector<bool> is_output;
};

// Where a value lives: in the storage of `root`, some elements further, its rows `stride` elements
// apart.
struct Storage {
  int root = -1;
  std::int64_t first = 0;
  std::int64_t stride = 0;
  bool shared = false;  // with another value
};

// Storage of all values: reshapes, column slices and concatenations share it where they need no
// copy.
std::vector<Storage> share_storage(const Graph& graph, const std::vector<ValueInfo>& infos,
                                   const std::vector<int>& stage_of_node, const ValueUses& uses);

}  // namespace braid
