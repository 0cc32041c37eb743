#pragma once
#include <vector>

#include "engine/runtime/storage.hpp"

namespace braid {

// What the planner has found out about a graph before it hands out memory: what its values are, who
// makes and reads them, when their nodes run.
struct GraphFacts {
  const Graph& graph;
  bool on_device = false;
  std::vector<ValueInfo> infos;     // all axes known
  std::vector<int> stage_of_node;   // stages.hpp
  std::vector<int> launch_of_node;  // on a device
  std::vector<bool> joinable;       // of nodes, on a device: launches.hpp
  // On a device: rows of the batch that a block of a row program takes, and how many bytes of their
  // values it can keep to itself.
  std::int64_t rows_of_block = 0;
  std::int64_t bytes_of_block = 0;
  ValueUses uses;
  std::vector<Storage> storage;
  // Of values, on a device: sums that one launch leaves to the caller to add up
  // (Op::sums_on_device).
  std::vector<std::int64_t> sums_left;

  std::vector<ValueInfo> infos_of(const std::vector<Value>& values) const;
  // Of one row of the batch where batched.
  std::int64_t row_bytes(std::size_t value) const;
  bool is_alive(std::size_t value) const {
    return uses.is_output[value] || !uses.readers[value].empty();
  }
  // When a node runs: on a device launches follow one another, on the CPU stages do.
  int time_of(int node) const {
    return (on_device ? launch_of_node : stage_of_node)[static_cast<std::size_t>(node)];
  }
  // On a device: values of rows that a block makes for itself, unless others ask for them.
  bool is_made_in_block(std::size_t value) const;
  // Each slice of the rows makes a sum of its own.
  bool is_summed_by_slices(std::size_t value) const;
};

}  // namespace braid
