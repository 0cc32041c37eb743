#pragma once
#include <vector>

#include "engine/graph/graph.hpp"

namespace braid {

// Ops that a device runs in one launch (joined: a row program), or an op with launches of its own.
struct LaunchGroup {
  int stage = 0;
  bool joined = false;
  bool adds_slices = false;  // sums over rows of the stage before are completed first
  std::vector<int> nodes;
};

// Ops that may stand in row programs: a block takes the rows of one of `slices` slices through
// them, or all of a value that has no rows, so each must be little work for one block.
std::vector<bool> find_joinable(const Graph& graph, const std::vector<ValueInfo>& infos,
                                std::int64_t slices);

// The ops of all stages in an order in which they can run, in as few launches as possible: ops that
// must have one of their own first, so that those that join them later join in one; joined ops of
// the whole batch directly behind a row program where they can, as its last block does them.
// `sums` says whether sums are to be added up behind a stage.
std::vector<LaunchGroup> group_launches(const Graph& graph, const std::vector<int>& stage_of_node,
                                        const std::vector<bool>& joinable, bool sums);

// Of the nodes of a group, in the order in which they stand there: each reads only what those of
// lower waves make, and nodes of other groups. One that launches nothing, of all the graph's nodes,
// has no wave of its own: what it passes on is there behind the wave that it stands for, which is
// none (-1) if it was made outside the group.
std::vector<int> waves_of(const Graph& graph, const std::vector<int>& nodes,
                          const std::vector<bool>& launches_nothing);

}  // namespace braid
