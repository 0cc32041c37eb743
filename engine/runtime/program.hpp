#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/graph/graph.hpp"
#include "kernels/optimizer.hpp"

namespace braid {

// A graph planned for one set of concrete input shapes: what runs in which order on which pieces of
// memory. Immutable; any number of workspaces may run it at once.
//
// Ops are grouped into stages. A row stage takes a tile of rows through all of its ops while
// everything sits in cache; tiles belong to slices, slices run on different cores, and sums over
// rows are kept a slice and added up, slice by slice, when all are done. How rows are cut depends
// on the shapes alone, never on the number of cores: the same bits everywhere. A whole stage runs
// its ops one after another, each in independent parts.
//
// On another device than the CPU a stage is a launch: a joined one runs its ops as a row program, a
// block a slice; any other is one op on the whole batch, whose kernels spread the rows themselves.
// A joined stage of the whole batch is for one block: the last one of the row program before it, or
// one that is launched alone.
class Program {
 public:
  // Fixed base pointers of every frame; inputs, weights and constants follow.
  enum Base { kArena, kTile, kFirstExternal };

  struct BoundOp {
    std::shared_ptr<const Op> op;
    std::vector<Operand> inputs;
    std::vector<Operand> outputs;
    std::int64_t parts = 1;
    // In a joined stage: the op reads nothing that others of its wave or later ones make.
    int wave = 0;
    std::string layer;  // `LSTM layer "lstm"`; empty for what no layer asked for
  };
  // A sum over rows: one block a slice, added up into the first (count floats each, `stride` bytes
  // apart).
  struct SliceSum {
    std::int64_t offset = 0;
    std::int64_t stride = 0;
    std::int64_t count = 0;
  };
  // A value's memory: while the stages first .. last run it is in use.
  struct Placement {
    Value value;
    std::int64_t bytes = 0;
    std::int64_t offset = 0;
    int first = 0;
    int last = 0;
    bool tile = false;  // in the tile of a slice; else in the arena
  };
  struct Stage {
    bool rows = false;
    bool joined = false;  // on a device
    std::vector<BoundOp> ops;
    // Of a row stage, added up after it; on a device they stand in a stage behind it, and are added
    // up before its ops run.
    std::vector<SliceSum> sums;
  };
  struct External {
    Value value;
    std::string name;
    const std::byte* fixed = nullptr;  // weights and constants; null for inputs
    std::int64_t bytes = 0;            // of the whole value
  };

  // `inputs` are the shapes of graph inputs, in the order of the graph's inputs; axis 0 of batched
  // inputs must agree. Throws ShapeError where an op finds that they do not fit.
  // The precision is that of products of large matrices. Outputs `left_in_slices` are left to the
  // caller to add up, where they are made slice by slice (Operand::slices).
  Program(std::shared_ptr<const Graph> graph, const std::vector<Value>& outputs,
          const std::vector<ValueInfo>& inputs, Device device = Device::cpu(),
          kernels::Precision precision = kernels::Precision::float32,
          const std::vector<Value>& left_in_slices = {});

  const Graph& graph() const { return *graph_; }
  // Differs from that of every other program of the process, past ones too.
  std::uint64_t id() const { return id_; }
  Device device() const { return device_; }
  kernels::Precision precision() const { return precision_; }
  std::int64_t batch() const { return batch_; }
  const std::vector<Stage>& stages() const { return stages_; }
  const std::vector<Placement>& placements() const { return placements_; }
  const std::vector<External>& externals() const { return externals_; }
  // Index into externals() of the n-th graph input; -1 for one that nothing reads.
  const std::vector<int>& input_externals() const { return input_externals_; }
  // Where the outputs lie (absent ones have base -1) and what they are.
  const std::vector<Operand>& outputs() const { return outputs_; }
  const std::vector<ValueInfo>& output_infos() const { return output_infos_; }

  std::int64_t arena_bytes() const { return arena_bytes_; }
  std::int64_t tile_bytes() const { return tile_bytes_; }        // of one slice's tile
  std::int64_t scratch_bytes() const { return scratch_bytes_; }  // of one slice or part
  // The node of the graph that asks for so much; null if none asks for any.
  const GraphNode* scratch_node() const { return scratch_node_; }
  std::int64_t slices() const { return slices_; }
  std::int64_t tile_rows() const { return tile_rows_; }
  std::int64_t slice_begin(std::int64_t slice) const;
  // The stage has no launch of its own: the last block of the row program before it goes on with
  // it.
  bool closes_row_program(std::size_t stage) const;
  // The first launch is that of a row program.
  bool begins_with_row_program() const;
  // On a device: the first joined stage of the whole batch behind which no stage makes one of these
  // outputs or draws random numbers. Absent if there is none.
  std::optional<std::size_t> ending_stage(std::span<const std::size_t> outputs) const;
  // Blocks that run a joined stage, and the steps of all such stages and blocks, about.
  std::int64_t blocks(const Stage& stage) const { return stage.rows ? slices_ : 1; }
  std::int64_t row_steps() const;
  // What adds up the slices of a sum.
  kernels::SumSlices addition(const SliceSum& sum, std::byte* arena) const;
  // Calls of ops in one run, tiles and parts counted.
  std::int64_t op_calls() const;

 private:
  friend class Planner;
  std::shared_ptr<const Graph> graph_;  // keeps the weights and constants alive
  std::uint64_t id_;
  Device device_;
  kernels::Precision precision_;
  std::int64_t batch_ = 0;
  std::vector<Stage> stages_;
  std::vector<Placement> placements_;
  std::vector<External> externals_;
  std::vector<int> input_externals_;
  std::vector<Tensor> constants_;  // on the device
  std::vector<Operand> outputs_;
  std::vector<ValueInfo> output_infos_;
  std::vector<std::size_t> output_stages_;  // on a device: which stage makes each whole
  std::int64_t arena_bytes_ = 0;
  std::int64_t tile_bytes_ = 0;
  std::int64_t scratch_bytes_ = 0;
  const GraphNode* scratch_node_ = nullptr;
  std::int64_t slices_ = 1;
  std::int64_t tile_rows_ = 1;
};

// The memory plan in words: of each value its bytes, place and life.
std::string describe_plan(const Program& program);
// The program in words: stages, the ops of each, where their results lie.
std::string describe(const Program& program);
// What made a value: `dense (Dense layer "label")`.
std::string maker_in_words(const Program& program, Value value);
// What the scratch memory is for: `scratch memory of dense (Dense layer "label")`.
std::string scratch_in_words(const Program& program);

}  // namespace braid
