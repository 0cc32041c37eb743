#pragma once
#include <map>
#include <vector>

#include "engine/graph/graph.hpp"

namespace braid {

// Small results that depend on shapes and constants alone, by value: the share of a batch, the
// gradient that the total loss starts with. Worked out once, with the concrete `infos` of all
// values and the rows of the batch, they are constants of a program.
std::map<int, Tensor> fold_constants(const Graph& graph, const std::vector<ValueInfo>& infos,
                                     std::int64_t batch);

}  // namespace braid
