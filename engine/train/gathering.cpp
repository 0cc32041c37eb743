#include "engine/train/gathering.hpp"

namespace braid {

kernels::GatheredColumn column_of(const Feed& feed, const Tensor& tensor) {
  kernels::GatheredColumn column{
      .values = tensor.raw(), .from = tensor.dtype(), .to = feed.dtype, .width = 1};
  if (feed.ragged) column.splits = tensor.row_splits().data();
  const Shape& shape = tensor.shape();
  for (std::size_t axis = feed.ragged ? 2 : 1; axis < shape.rank(); ++axis)
    column.width *= shape[axis];
  return column;
}

}  // namespace braid
