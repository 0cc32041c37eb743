#include "engine/runtime/program.hpp"

namespace braid {

std::int64_t Program::slice_begin(std::int64_t slice) const { return batch_ * slice / slices_; }

std::int64_t Program::row_steps() const {
  std::int64_t steps = 0;
  for (const Stage& stage : stages_) {
    if (stage.joined)
      steps += blocks(stage) * static_cast<std::int64_t>(stage.ops.size() + stage.sums.size());
  }
  return steps;
}

std::int64_t Program::op_calls() const {
  std::int64_t calls = 0;
  for (const Stage& stage : stages_) {
    for (const BoundOp& op : stage.ops) {
      if (!stage.rows) {
        calls += op.parts;
        continue;
      }
      for (std::int64_t slice = 0; slice < slices_; ++slice) {
        calls += (slice_begin(slice + 1) - slice_begin(slice) + tile_rows_ - 1) / tile_rows_;
      }
    }
  }
  return calls;
}

}  // namespace braid
