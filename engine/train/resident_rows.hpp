#pragma once
#include "engine/runtime/device_array.hpp"
#include "engine/train/epoch_rows.hpp"

namespace braid {

// All rows of bound data in the memory of a device, in the types in which they came, and their
// order, worked out there.
class ResidentRows final : public EpochRows {
 public:
  // Columns that the programs of the step graph read. OutOfMemory.
  ResidentRows(Device device, const StepGraph& step, const Program& program, const Bound& bound);

  // What they take.
  static std::int64_t bytes(const StepGraph& step, const Program& program, const Bound& bound);

  void begin_epoch(const kernels::Stream& stream, const Shuffle& shuffle) override;
  std::span<const std::int64_t> order() const override { return order_; }
  void gather(const kernels::Stream& stream, const Program& program,
              const std::vector<std::byte*>& inputs, const kernels::StepCursor* cursor,
              std::int64_t first, std::int64_t rows) const override;

 private:
  std::vector<DeviceColumn> columns_;
  std::vector<DeviceArray<std::byte>> values_;
  std::vector<DeviceArray<std::int64_t>> splits_;
  DeviceArray<std::int64_t> order_there_;
  bool shuffled_ = false;
  bool lengths_decide_ = false;      // which program runs a batch: rows are ragged
  std::vector<std::int64_t> order_;  // only then known here
};

}  // namespace braid
