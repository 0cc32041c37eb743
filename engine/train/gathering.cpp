#include "engine/train/gathering.hpp"

#include <algorithm>

#include "engine/runtime/parallel.hpp"

namespace braid {
namespace {

// What a core gathers in far more time than it takes to hand it over.
constexpr std::int64_t kPieceBytes = std::int64_t{128} << 10;

}  // namespace

kernels::GatheredColumn column_of(const Feed& feed, const Tensor& tensor) {
  kernels::GatheredColumn column{
      .values = tensor.raw(), .from = tensor.dtype(), .to = feed.dtype, .width = 1};
  if (feed.ragged) column.splits = tensor.row_splits().data();
  const Shape& shape = tensor.shape();
  for (std::size_t axis = feed.ragged ? 2 : 1; axis < shape.rank(); ++axis)
    column.width *= shape[axis];
  return column;
}

std::int64_t pieces_of(std::int64_t rows, std::int64_t bytes) {
  return std::clamp<std::int64_t>(bytes / kPieceBytes, 1, std::max<std::int64_t>(rows, 1));
}

void gather_here(std::span<const kernels::GatheredColumn> columns, const BatchRows& rows) {
  std::int64_t row_bytes = 0;
  for (const kernels::GatheredColumn& column : columns)
    row_bytes += column.steps * column.width * static_cast<std::int64_t>(size_of(column.to));
  const kernels::StepCursor cursor{.row = rows.begin};
  const std::int64_t count = rows.count();
  const std::int64_t pieces = pieces_of(count, count * row_bytes);
  parallel_for(pieces, [&](std::int64_t piece, int) {
    const std::int64_t first = piece * count / pieces;
    Gathering gathering({}, {.order = rows.order.empty() ? nullptr : rows.order.data(),
                             .cursor = &cursor,
                             .first = first,
                             .rows = (piece + 1) * count / pieces - first});
    for (const kernels::GatheredColumn& column : columns) gathering.add(column);
    gathering.launch();
  });
}

}  // namespace braid
