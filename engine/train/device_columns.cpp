#include "engine/train/device_columns.hpp"

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

bool is_read(const Program& program, const Feed& feed) {
  return is_read(program, feed.value) || is_read(program, feed.ends);
}

void gather(const kernels::Stream& stream, const Program& program,
            const std::vector<DeviceColumn>& columns, const std::vector<std::byte*>& inputs,
            kernels::GatherBatch batch) {
  Gathering gathering(stream, batch);
  for (const DeviceColumn& column : columns) {
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
