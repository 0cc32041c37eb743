#include "engine/train/resident_columns.hpp"

namespace braid {
namespace {

bool is_read(const Program& program, int value) {
  return value >= 0 && program.input_externals()[static_cast<std::size_t>(value)] >= 0;
}

std::int64_t bytes_of_input(const Program& program, int value) {
  const int external = program.input_externals()[static_cast<std::size_t>(value)];
  return program.externals()[static_cast<std::size_t>(external)].bytes;
}

}  // namespace

std::int64_t ResidentColumns::bytes(const StepGraph& step, const Program& program,
                                    const Bound& bound) {
  std::size_t total = 0;
  step.for_feeds(bound, [&](const Feed& feed, const Tensor& tensor) {
    if (!is_read(program, feed.value) && !is_read(program, feed.ends)) return;
    total += tensor.bytes();
    if (feed.ragged) total += tensor.row_splits().size_bytes();
  });
  return static_cast<std::int64_t>(total);
}

ResidentColumns::ResidentColumns(Device device, const StepGraph& step, const Program& program,
                                 const Bound& bound) {
  step.for_feeds(bound, [&](const Feed& feed, const Tensor& tensor) {
    if (!is_read(program, feed.value) && !is_read(program, feed.ends)) return;
    Column column{.source = column_of(feed, tensor), .value = feed.value, .ends = feed.ends};
    const std::span<const std::byte> values(tensor.raw(), tensor.bytes());
    column.values = {device, static_cast<std::int64_t>(values.size()), "a column of the data"};
    column.values.upload(values, 0, nullptr);
    column.source.values = column.values.data();
    if (feed.ragged) {
      const std::span<const std::int64_t> splits = tensor.row_splits();
      column.splits = {device, static_cast<std::int64_t>(splits.size()), "the rows of a column"};
      column.splits.upload(splits, 0, nullptr);
      column.source.splits = column.splits.data();
    }
    columns_.push_back(std::move(column));
  });
}

void ResidentColumns::gather(const kernels::Stream& stream, const Program& program,
                             const std::vector<std::byte*>& inputs,
                             kernels::GatherBatch batch) const {
  Gathering gathering(stream, batch);
  for (const Column& column : columns_) {
    kernels::GatheredColumn wanted = column.source;
    if (is_read(program, column.value)) {
      wanted.out = inputs[static_cast<std::size_t>(column.value)];
    } else {
      wanted.width = 0;  // the mask alone is wanted
    }
    if (is_read(program, column.ends)) {
      wanted.mask = reinterpret_cast<std::uint8_t*>(inputs[static_cast<std::size_t>(column.ends)]);
      wanted.steps = bytes_of_input(program, column.ends) / program.batch();
    } else if (wanted.splits != nullptr && wanted.width > 0) {
      const auto size = static_cast<std::int64_t>(size_of(wanted.to));
      wanted.steps =
          bytes_of_input(program, column.value) / (program.batch() * wanted.width * size);
    }
    gathering.add(wanted);
  }
  gathering.launch();
}

}  // namespace braid
