#pragma once
#include "engine/graph/graph.hpp"

namespace braid::ops {

// Zeroes elements with probability `rate` and scales the others by 1 / (1 - rate); `salt` tells the
// dropouts of one model apart. The random numbers depend on the seed of the training run, the step,
// the salt and the element's place alone.
Value dropout(Graph& graph, Value in, double rate, std::uint64_t salt);

}  // namespace braid::ops
