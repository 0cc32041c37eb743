#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/graph/run.hpp"
#include "engine/graph/value.hpp"

namespace braid {

class GradientBuilder;

using Infos = std::span<const ValueInfo>;

// How an op's only output can share storage with an operand, so that nothing needs to be copied.
struct Alias {
  enum class Kind { none, reshape, columns };
  Kind kind = Kind::none;
  int input = 0;
  std::int64_t first_column = 0;  // columns: the output is columns first_column .. of the input
};

// One step of the graph. An op says what comes out, what is launched and what the gradient is; it
// holds no loop.
//
// A tileable op may be run on any range of the batch's rows: rows of its batched outputs depend on
// the same rows of its batched inputs alone, and its unbatched outputs are sums over the rows, to
// be added up over the tiles. All other ops see the whole batch at once, in `parts` independent
// pieces.
class Op {
 public:
  virtual ~Op() = default;

  virtual std::string_view kind() const = 0;
  // Options worth reading in a dump: "relu".
  virtual std::string detail() const { return {}; }
  // Shapes and dtypes of the outputs; operands that are not there come as kAbsent. Throws
  // ShapeError, DTypeError.
  virtual std::vector<ValueInfo> infer(Infos inputs) const = 0;
  virtual void run(const Run& run) const = 0;
  // One gradient for each input, absent where none is needed or exists.
  virtual std::vector<Value> gradients(GradientBuilder& build) const;

  // Depends on what is fixed before a batch is there.
  virtual bool tileable(Infos) const { return true; }
  // Independent pieces of an op that is not tileable; depends on the shapes alone.
  virtual std::int64_t parts(Infos) const { return 1; }
  // Bytes of scratch memory for a run over `rows` rows of the batch.
  virtual std::int64_t scratch_bytes(Infos, std::int64_t /*rows*/) const { return 0; }
  // Of an op that a GPU runs on the whole batch: how many sums, over parts of the rows, it can
  // leave to be added up instead of adding them up in its scratch memory (Run::sums).
  virtual std::int64_t sums_on_device(Infos, std::int64_t /*rows*/) const { return 1; }
  // The same as scratch_bytes for what a GPU's library makes.
  virtual std::int64_t library_bytes(Infos, std::int64_t /*rows*/, kernels::Precision) const {
    return 0;
  }
  // Multiplications and additions over the whole batch, roughly: decides into how many slices the
  // batch is cut.
  virtual double operations(Infos inputs, Infos outputs) const;
  // False for an operand of which only the shape is looked at.
  virtual bool reads(std::size_t /*input*/) const { return true; }
  virtual Alias alias() const { return {}; }
  // The op only puts its inputs side by side as columns of its output: producers may write there at
  // once.
  virtual bool joins_columns() const { return false; }
  // Each run draws other random numbers.
  virtual bool is_random() const { return false; }
  // All kernels that the op launches for inputs of these shapes are RowKernels
  // (kernels/row_program.hpp), and one block of a GPU does well with the rows of its slice.
  virtual bool joins_row_programs(Infos) const { return false; }
  // The op reads and writes whole values as one block, so that none of its operands may be a column
  // slice.
  virtual bool needs_packed() const { return false; }
};

}  // namespace braid
