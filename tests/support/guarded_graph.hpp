#pragma once
#include <cstddef>
#include <deque>
#include <set>
#include <vector>

#include "engine/graph/graph.hpp"
#include "engine/runtime/row_cut.hpp"
#include "engine/runtime/workspace.hpp"
#include "tests/support/array.hpp"

namespace braid::testing {

// How a graph is to be run node by node.
struct GuardedRun {
  kernels::Backend backend = kernels::best_backend();
  RowCut cut;
  std::int64_t gap = 0;  // elements between the rows of what may be a column slice
  RunState state;
};

// The memory of one value: poisoned, with gaps between its rows and guards around them.
class GuardedValue {
 public:
  GuardedValue(const ValueInfo& info, std::int64_t gap, std::int64_t slices);

  Operand operand(std::int32_t base) const;
  std::byte* data() { return storage_.data() + start_; }
  void fill(const Array& numbers);
  // Adds up what every slice summed for itself.
  void add_slices();
  Array numbers() const;
  bool guards_are_intact() const;
  // Remembers the content; true if nothing has changed since.
  void keep() { kept_ = storage_; }
  bool is_as_kept() const { return kept_ == storage_; }

 private:
  bool is_ours(std::int64_t byte) const;

  ValueInfo info_;
  std::int64_t element_;
  std::int64_t rows_ = 1;  // of the whole value
  std::int64_t columns_ = 1;
  std::int64_t stride_ = 1;
  std::int64_t slices_ = 1;
  std::int64_t slice_bytes_ = 0;
  std::size_t start_ = 0;
  std::vector<std::byte> storage_;
  std::vector<std::byte> kept_;
};

// Runs every node of a graph alone, with the contract of Op (engine/graph/op.hpp) as the only
// guide: rows cut as one likes, operands that may be column slices with gaps between their rows,
// operands that an op does not read absent, everything else poisoned. Fails the test where an op
// writes beyond its results or changes what it reads.
class GuardedGraph {
 public:
  // `inputs`: one array for each graph input, in order. Values in `packed` never get gaps.
  GuardedGraph(const Graph& graph, const Arrays& inputs, const std::set<int>& packed,
               const GuardedRun& how);

  Array numbers(Value value) const { return values_[index(value)].numbers(); }

 private:
  void place(const std::set<int>& packed);
  void run(const GraphNode& node);
  bool runs_by_rows(const GraphNode& node) const;

  const Graph& graph_;
  const GuardedRun& how_;
  std::int64_t batch_ = 0;
  std::vector<ValueInfo> infos_;
  std::deque<GuardedValue> values_;
  std::vector<std::byte*> bases_;
};

// What a graph's values are, given its inputs' shapes.
std::vector<ValueInfo> infer_all(const Graph& graph, const Arrays& inputs);

// Copies numbers to elements of that type, and back.
void store(const Array& numbers, DType dtype, std::byte* target, std::int64_t columns,
           std::int64_t stride);
Array load(const Shape& shape, DType dtype, const std::byte* source, std::int64_t columns,
           std::int64_t stride);

}  // namespace braid::testing
