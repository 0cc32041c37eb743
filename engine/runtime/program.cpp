#include "engine/runtime/program.hpp"

#include <algorithm>

namespace braid {

bool Program::closes_row_program(std::size_t stage) const {
  const auto runs = [&](std::size_t number, bool rows) {
    return stages_[number].joined && stages_[number].rows == rows;
  };
  return stage > 0 && runs(stage, false) && runs(stage - 1, true);
}

bool Program::begins_with_row_program() const {
  return !stages_.empty() && stages_.front().joined && stages_.front().rows;
}

std::optional<std::size_t> Program::ending_stage(std::span<const std::size_t> outputs) const {
  std::size_t first = 0;
  for (const std::size_t output : outputs) first = std::max(first, output_stages_[output]);
  for (std::size_t number = 0; number < stages_.size(); ++number) {
    const auto& ops = stages_[number].ops;
    if (std::any_of(ops.begin(), ops.end(),
                    [](const BoundOp& bound) { return bound.op->is_random(); }))
      first = std::max(first, number);
  }
  for (std::size_t number = first; number < stages_.size(); ++number) {
    if (stages_[number].joined && !stages_[number].rows) return number;
  }
  return std::nullopt;
}

std::int64_t Program::slice_begin(std::int64_t slice) const { return batch_ * slice / slices_; }

std::int64_t Program::row_steps() const {
  std::int64_t steps = 0;
  for (const Stage& stage : stages_) {
    if (stage.joined)
      steps += blocks(stage) * static_cast<std::int64_t>(stage.ops.size() + stage.sums.size());
  }
  return steps;
}

kernels::SumSlices Program::addition(const SliceSum& sum, std::byte* arena) const {
  auto* const first = reinterpret_cast<float*>(arena + sum.offset);
  return {.in = first,
          .slices = slices_,
          .slice_stride = sum.stride / static_cast<std::int64_t>(sizeof(float)),
          .out = first,
          .count = sum.count};
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
