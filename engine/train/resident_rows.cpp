#include "engine/train/resident_rows.hpp"

#include "kernels/launch.hpp"

namespace braid {

std::int64_t ResidentRows::bytes(const StepGraph& step, const Program& program,
                                 const Bound& bound) {
  std::size_t total = static_cast<std::size_t>(bound.rows) * sizeof(std::int64_t);
  step.for_feeds(bound, [&](const Feed& feed, const Tensor& tensor) {
    if (!is_read(program, feed)) return;
    total += tensor.bytes();
    if (feed.ragged) total += tensor.row_splits().size_bytes();
  });
  return static_cast<std::int64_t>(total);
}

ResidentRows::ResidentRows(Device device, const StepGraph& step, const Program& program,
                           const Bound& bound)
    : order_there_(device, bound.rows, "the order of the rows") {
  step.for_feeds(bound, [&](const Feed& feed, const Tensor& tensor) {
    lengths_decide_ |= feed.ragged;
    if (!is_read(program, feed)) return;
    DeviceColumn column{.source = column_of(feed, tensor), .value = feed.value, .ends = feed.ends};
    const std::span<const std::byte> values(tensor.raw(), tensor.bytes());
    values_.emplace_back(device, static_cast<std::int64_t>(values.size()), "a column of the data");
    values_.back().upload(values, 0, nullptr);
    column.source.values = values_.back().data();
    if (feed.ragged) {
      const std::span<const std::int64_t> splits = tensor.row_splits();
      splits_.emplace_back(device, static_cast<std::int64_t>(splits.size()),
                           "the rows of a column");
      splits_.back().upload(splits, 0, nullptr);
      column.source.splits = splits_.back().data();
    }
    columns_.push_back(column);
  });
}

void ResidentRows::begin_epoch(const kernels::Stream& stream, const Shuffle& shuffle) {
  shuffled_ = shuffle.has_value();
  if (shuffle) {
    kernels::ShuffleRows there = *shuffle;
    there.order = order_there_.data();
    kernels::launch(stream, there);
  }
  if (lengths_decide_) write_order(shuffle, order_);
}

void ResidentRows::gather(const kernels::Stream& stream, const Program& program,
                          const std::vector<std::byte*>& inputs, const kernels::StepCursor* cursor,
                          std::int64_t first, std::int64_t rows) const {
  braid::gather(stream, program, columns_, inputs,
                {.order = shuffled_ ? order_there_.data() : nullptr,
                 .cursor = cursor,
                 .first = first,
                 .rows = rows});
}

}  // namespace braid
