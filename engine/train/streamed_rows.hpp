#pragma once
#include <array>

#include "engine/runtime/device_array.hpp"
#include "engine/runtime/pinned_block.hpp"
#include "engine/train/epoch_rows.hpp"

namespace braid {

// Rows of bound data that stay on the host, and go to the device a window of whole batches at a
// time, ahead of the steps. The host gathers a window into page-locked memory in the order of the
// epoch, on all cores; a stream of its own copies it while the device works on the windows before;
// the stream of the steps comes behind the copy.
//
// On the device windows lie in areas that are used in turn. A table that never changes says where
// the n-th row lies that is sent, so that the steps are those of resident data: the same launches,
// whatever the window.
class StreamedRows final : public EpochRows {
 public:
  // OutOfMemory. A window has batches of some megabytes together (BRAID_WINDOW_BYTES: of so many
  // bytes), and one at least; where they share launches, it ends with one if it can.
  StreamedRows(Device device, const StepGraph& step, const Program& program, const Bound& bound,
               std::int64_t batch_size, std::int64_t steps_per_execution);

  // What they take on the device.
  static std::int64_t bytes(const StepGraph& step, const Program& program, const Bound& bound,
                            std::int64_t batch_size, std::int64_t steps_per_execution);

  void begin_epoch(const kernels::Stream& stream, const Shuffle& shuffle) override;
  // Sends the first window.
  void expect_epoch(const kernels::Stream& stream, const Shuffle& shuffle) override;
  std::span<const std::int64_t> order() const override { return order_; }
  std::int64_t first_place() const override { return first_area_ * window_rows_; }
  // To the end of a window.
  std::int64_t before_launch(const kernels::Stream& stream, std::int64_t first,
                             std::int64_t last) override;
  // Sends the next window.
  void after_launch(const kernels::Stream& stream, std::int64_t last) override;
  void gather(const kernels::Stream& stream, const Program& program,
              const std::vector<std::byte*>& inputs, const kernels::StepCursor* cursor,
              std::int64_t first, std::int64_t rows) const override;

 private:
  // One is read, one is written, and one more absorbs that windows differ.
  static constexpr std::int64_t kAreas = 3;

  struct Column {
    kernels::GatheredColumn taken;  // from the host's tensor, into the type that is sent
    std::int64_t row_bytes;         // sent; ragged: of a step
    std::int64_t capacity;          // of an area, in rows; ragged: in steps
    std::size_t place;              // in a block
    std::size_t splits_place;
    DeviceArray<std::byte> values = {};  // area by area, as the splits
    DeviceArray<std::int64_t> splits = {};
  };
  struct Area {
    explicit Area(Device device) : block(device, "a window of the data"), launched(device) {}
    PinnedBlock block;
    DeviceEvent launched;  // the steps that read the window on the device
  };
  struct Layout {
    std::vector<Column> columns;  // without memory
    std::vector<DeviceColumn> there;
    std::int64_t window_steps;
    std::int64_t window_rows;
    std::size_t block_bytes;
    std::int64_t device_bytes;
  };
  static Layout lay_out(const StepGraph& step, const Program& program, const Bound& bound,
                        std::int64_t batch_size, std::int64_t steps_per_execution);
  StreamedRows(Device device, Layout layout, std::int64_t rows);

  std::int64_t windows() const { return (rows_ + window_rows_ - 1) / window_rows_; }
  std::int64_t area_of(std::int64_t window) const { return (first_area_ + window) % kAreas; }
  void start(const kernels::Stream& stream, const Shuffle& shuffle);
  // Gathers the next window and starts its copy: waits where the copy of the window that its block
  // held before is not done.
  void send_next();
  void take_fixed(const Area& area, std::int64_t begin, std::int64_t count);
  // Returns the steps.
  std::int64_t take_ragged(const Area& area, std::int64_t number, const Column& column,
                           std::int64_t begin, std::int64_t count) const;

  const DeviceAccess& access_;
  std::vector<Column> columns_;
  std::vector<DeviceColumn> there_;
  std::vector<kernels::GatheredColumn> taken_;  // of a window
  std::int64_t rows_;
  std::int64_t window_steps_;
  std::int64_t window_rows_;
  std::size_t block_bytes_;
  DeviceArray<std::int64_t> places_;  // of rows, from the first of the first area on
  std::shared_ptr<void> stream_;      // of the copies
  std::array<Area, kAreas> areas_;
  Shuffle shuffle_;
  std::vector<std::int64_t> order_;
  bool expected_ = false;        // an epoch has been made ready that has not begun
  std::int64_t first_area_ = 0;  // of the epoch's first window
  std::int64_t sent_ = 0;        // windows of the epoch
  std::int64_t reached_ = 0;     // windows that the stream of the steps has come behind
};

}  // namespace braid
