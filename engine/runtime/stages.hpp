#pragma once
#include <vector>

#include "engine/graph/graph.hpp"

namespace braid {

// Stage of each node: row ops get even numbers, whole ops odd ones (-1 too), dead nodes kDeadStage.
// A value summed over rows is complete one stage later; work is put as late as its consumers allow,
// so that forward and backward share a stage.
// Nodes in `folded` count as dead; those in `by_rows` run by rows although they are not tileable.
inline constexpr int kDeadStage = -1000;
std::vector<int> assign_stages(const Graph& graph, const std::vector<Value>& outputs,
                               const std::vector<bool>& folded = {},
                               const std::vector<bool>& by_rows = {});

}  // namespace braid
