#include "engine/train/streamed_rows.hpp"

#include <algorithm>
#include <functional>
#include <utility>

#include "engine/core/environment.hpp"
#include "engine/runtime/parallel.hpp"

namespace braid {
namespace {

// Of a window of small batches: its copy takes far longer than to start it.
constexpr std::int64_t kWindowBytes = std::int64_t{2} << 20;
constexpr std::size_t kAlignment = 256;

std::int64_t window_bytes() {
  return environment_number("BRAID_WINDOW_BYTES", 1, std::int64_t{1} << 36).value_or(kWindowBytes);
}

// Converts on the host only what becomes smaller.
DType sent_as(DType from, DType to) { return size_of(from) > size_of(to) ? to : from; }

// The steps that any `rows` rows can have.
std::int64_t most_steps(std::span<const std::int64_t> splits, std::int64_t rows) {
  std::vector<std::int64_t> lengths;
  for (std::size_t row = 0; row + 1 < splits.size(); ++row)
    lengths.push_back(splits[row + 1] - splits[row]);
  const auto longest = lengths.begin() + std::min(rows, static_cast<std::int64_t>(lengths.size()));
  std::nth_element(lengths.begin(), longest, lengths.end(), std::greater<>());
  std::int64_t steps = 0;
  for (auto length = lengths.begin(); length != longest; ++length) steps += *length;
  return steps;
}

std::size_t aligned(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

StreamedRows::Layout StreamedRows::lay_out(const StepGraph& step, const Program& program,
                                           const Bound& bound, std::int64_t batch_size,
                                           std::int64_t steps_per_execution) {
  Layout layout{};
  std::int64_t total = 0;
  step.for_feeds(bound, [&](const Feed& feed, const Tensor& tensor) {
    if (!is_read(program, feed)) return;
    Column column{.taken = column_of(feed, tensor)};
    column.taken.to = sent_as(column.taken.from, column.taken.to);
    column.row_bytes = column.taken.width * static_cast<std::int64_t>(size_of(column.taken.to));
    total += column.row_bytes * (feed.ragged ? tensor.row_splits().back() : bound.rows);
    layout.columns.push_back(std::move(column));
    DeviceColumn there{.source = column_of(feed, tensor), .value = feed.value, .ends = feed.ends};
    there.source.from = layout.columns.back().taken.to;
    layout.there.push_back(there);
  });
  const std::int64_t batches = (bound.rows + batch_size - 1) / batch_size;
  std::int64_t steps = std::clamp(window_bytes() * batches / std::max<std::int64_t>(total, 1),
                                  std::int64_t{1}, batches);
  if (steps > steps_per_execution) steps -= steps % steps_per_execution;
  layout.window_steps = steps;
  layout.window_rows = steps * std::min(batch_size, bound.rows);
  // A row more, so that the splits of an area have an end.
  const std::int64_t places = layout.window_rows + 1;
  layout.device_bytes =
      (bound.rows + kAreas * layout.window_rows) * static_cast<std::int64_t>(sizeof(std::int64_t));
  for (Column& column : layout.columns) {
    column.capacity = places;
    if (column.taken.splits != nullptr) {
      const std::span<const std::int64_t> splits(column.taken.splits,
                                                 static_cast<std::size_t>(bound.rows) + 1);
      column.capacity = most_steps(splits, layout.window_rows);
      const std::size_t bytes = static_cast<std::size_t>(places) * sizeof(std::int64_t);
      column.splits_place = layout.block_bytes;
      layout.block_bytes += aligned(bytes);
      layout.device_bytes += kAreas * static_cast<std::int64_t>(bytes);
    }
    column.place = layout.block_bytes;
    layout.block_bytes += aligned(static_cast<std::size_t>(column.capacity * column.row_bytes));
    layout.device_bytes += kAreas * column.capacity * column.row_bytes;
  }
  return layout;
}

std::int64_t StreamedRows::bytes(const StepGraph& step, const Program& program, const Bound& bound,
                                 std::int64_t batch_size, std::int64_t steps_per_execution) {
  return lay_out(step, program, bound, batch_size, steps_per_execution).device_bytes;
}

StreamedRows::StreamedRows(Device device, const StepGraph& step, const Program& program,
                           const Bound& bound, std::int64_t batch_size,
                           std::int64_t steps_per_execution)
    : StreamedRows(device, lay_out(step, program, bound, batch_size, steps_per_execution),
                   bound.rows) {}

StreamedRows::StreamedRows(Device device, Layout layout, std::int64_t rows)
    : access_(access_to(device)),
      columns_(std::move(layout.columns)),
      there_(std::move(layout.there)),
      rows_(rows),
      window_steps_(layout.window_steps),
      window_rows_(layout.window_rows),
      block_bytes_(layout.block_bytes),
      places_(device, rows + kAreas * window_rows_, "the places of the rows"),
      stream_(make_stream(access_)),
      areas_{Area(device), Area(device), Area(device)} {
  std::vector<std::int64_t> places(static_cast<std::size_t>(rows + kAreas * window_rows_));
  for (std::size_t row = 0; row < places.size(); ++row) {
    const auto sent = static_cast<std::int64_t>(row);
    places[row] = sent / window_rows_ % kAreas * (window_rows_ + 1) + sent % window_rows_;
  }
  places_.upload(places, 0, nullptr);
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    Column& column = columns_[i];
    column.values = {device, kAreas * column.capacity * column.row_bytes, "windows of a column"};
    there_[i].source.values = column.values.data();
    if (column.taken.splits == nullptr) continue;
    column.splits = {device, kAreas * (window_rows_ + 1), "the rows of windows of a column"};
    there_[i].source.splits = column.splits.data();
  }
  for (Area& area : areas_) area.block.take(block_bytes_);
}

void StreamedRows::start(const kernels::Stream& stream, const Shuffle& shuffle) {
  // The last window of an epoch need not be whole, nor come to its end.
  if (reached_ > 0)
    areas_[static_cast<std::size_t>(area_of(reached_ - 1))].launched.record(stream.native);
  first_area_ = area_of(sent_);
  sent_ = 0;
  reached_ = 0;
  shuffle_ = shuffle;
  write_order(shuffle, order_);
}

void StreamedRows::begin_epoch(const kernels::Stream& stream, const Shuffle& shuffle) {
  if (!std::exchange(expected_, false) || !same(shuffle, shuffle_)) start(stream, shuffle);
}

void StreamedRows::expect_epoch(const kernels::Stream& stream, const Shuffle& shuffle) {
  start(stream, shuffle);
  expected_ = true;
  send_next();
}

std::int64_t StreamedRows::before_launch(const kernels::Stream& stream, std::int64_t first,
                                         std::int64_t last) {
  const std::int64_t window = first / window_steps_;
  while (sent_ <= window) send_next();
  for (; reached_ <= window; ++reached_)
    areas_[static_cast<std::size_t>(area_of(reached_))].block.await_in(stream.native);
  return std::min(last, (window + 1) * window_steps_);
}

void StreamedRows::after_launch(const kernels::Stream& stream, std::int64_t last) {
  const std::int64_t window = (last - 1) / window_steps_;
  if (last % window_steps_ == 0)
    areas_[static_cast<std::size_t>(area_of(window))].launched.record(stream.native);
  if (sent_ == window + 1 && sent_ < windows()) send_next();
}

void StreamedRows::gather(const kernels::Stream& stream, const Program& program,
                          const std::vector<std::byte*>& inputs, const kernels::StepCursor* cursor,
                          std::int64_t first, std::int64_t rows) const {
  braid::gather(stream, program, there_, inputs,
                {.order = places_.data(), .cursor = cursor, .first = first, .rows = rows});
}

void StreamedRows::send_next() {
  const std::int64_t number = area_of(sent_);
  Area& area = areas_[static_cast<std::size_t>(number)];
  const std::int64_t begin = sent_ * window_rows_;
  const std::int64_t count = std::min(window_rows_, rows_ - begin);
  area.block.take(block_bytes_);
  take_fixed(area, begin, count);
  // The steps that read what the area held before.
  area.launched.await_in(stream_.get());
  for (const Column& column : columns_) {
    std::int64_t rows = count;
    if (column.taken.splits != nullptr) {
      rows = take_ragged(area, number, column, begin, count);
      area.block.start_upload(
          column.splits_place,
          reinterpret_cast<std::byte*>(column.splits.data() + number * (window_rows_ + 1)),
          static_cast<std::size_t>(count + 1) * sizeof(std::int64_t), stream_.get());
    }
    area.block.start_upload(column.place,
                            column.values.data() + number * column.capacity * column.row_bytes,
                            static_cast<std::size_t>(rows * column.row_bytes), stream_.get());
  }
  ++sent_;
}

void StreamedRows::take_fixed(const Area& area, std::int64_t begin, std::int64_t count) {
  taken_.clear();
  for (const Column& column : columns_) {
    if (column.taken.splits != nullptr) continue;
    taken_.push_back(column.taken);
    taken_.back().out = area.block.data() + column.place;
  }
  gather_here(taken_, {.begin = begin, .end = begin + count, .order = order_});
}

std::int64_t StreamedRows::take_ragged(const Area& area, std::int64_t number, const Column& column,
                                       std::int64_t begin, std::int64_t count) const {
  const std::int64_t* const splits = column.taken.splits;
  const auto row_at = [&](std::int64_t n) {
    return order_.empty() ? begin + n : order_[static_cast<std::size_t>(begin + n)];
  };
  auto* const ends = reinterpret_cast<std::int64_t*>(area.block.data() + column.splits_place);
  const std::int64_t start = number * column.capacity;
  ends[0] = start;
  for (std::int64_t n = 0; n < count; ++n)
    ends[n + 1] = ends[n] + splits[row_at(n) + 1] - splits[row_at(n)];
  const auto element = static_cast<std::int64_t>(size_of(column.taken.from));
  std::byte* const out = area.block.data() + column.place;
  const kernels::Stream here;
  const kernels::StepCursor cursor;
  const std::int64_t pieces = pieces_of(count, (ends[count] - start) * column.row_bytes);
  // Each row is a column of one row.
  parallel_for(pieces, [&](std::int64_t piece, int) {
    for (std::int64_t n = piece * count / pieces; n < (piece + 1) * count / pieces; ++n) {
      kernels::GatherBatch row{.count = 1, .cursor = &cursor, .rows = 1};
      row.columns[0] = {
          .values = column.taken.values + splits[row_at(n)] * column.taken.width * element,
          .from = column.taken.from,
          .to = column.taken.to,
          .width = (ends[n + 1] - ends[n]) * column.taken.width,
          .out = out + (ends[n] - start) * column.row_bytes};
      kernels::launch(here, row);
    }
  });
  return ends[count] - start;
}

}  // namespace braid
