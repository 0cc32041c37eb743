#pragma once
#include <span>

#include "engine/train/device_columns.hpp"
#include "engine/train/row_order.hpp"

namespace braid {

// Where the steps of epochs on a device find the rows of their batches.
class EpochRows {
 public:
  virtual ~EpochRows() = default;

  // An epoch with its rows in this order begins. Waits for nothing, as none of these does for the
  // steps.
  virtual void begin_epoch(const kernels::Stream& stream, const Shuffle& shuffle) = 0;
  // The steps of one have all been launched, and the next will be in this order, if there is one:
  // what can be done for it beside them is.
  virtual void expect_epoch(const kernels::Stream& /*stream*/, const Shuffle& /*shuffle*/) {}
  // The order of the epoch; empty: they come as they lie, or the host need not know.
  virtual std::span<const std::int64_t> order() const = 0;
  // What the cursor has to say before the first row of the epoch.
  virtual std::int64_t first_place() const { return 0; }

  // Steps first .. last - 1 are to be launched in the stream: returns how far they may be, at least
  // the first of them.
  virtual std::int64_t before_launch(const kernels::Stream& /*stream*/, std::int64_t /*first*/,
                                     std::int64_t last) {
    return last;
  }
  // The steps before `last` have been.
  virtual void after_launch(const kernels::Stream& /*stream*/, std::int64_t /*last*/) {}

  // Fills a program's inputs with rows first .. first + rows - 1 of the batch at the cursor: always
  // the same launch.
  virtual void gather(const kernels::Stream& stream, const Program& program,
                      const std::vector<std::byte*>& inputs, const kernels::StepCursor* cursor,
                      std::int64_t first, std::int64_t rows) const = 0;
};

}  // namespace braid
