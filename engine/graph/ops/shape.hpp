#pragma once
#include <vector>

#include "engine/graph/graph.hpp"

namespace braid::ops {

// The same elements with other axes behind the batch: `target` leaves the batch axis out and may
// hold one None, which is worked out. Throws ShapeError where the elements cannot fit.
Value reshape(Graph& graph, Value in, const Shape& target);
// The same elements under the shape of `like`.
Value reshape_like(Graph& graph, Value in, Value like);
// Columns first .. first + count - 1 of the last axis.
Value columns(Graph& graph, Value in, std::int64_t first, std::int64_t count);
// Values side by side along an axis (negative: from the last; not the batch). All other axes must
// agree.
Value concatenate(Graph& graph, const std::vector<Value>& in, std::int64_t axis);
// Elements start .. stop - 1 along an axis behind the batch, copied; None for stop means the end.
Value slice_axis(Graph& graph, Value in, std::int64_t axis, Dim start, Dim stop);
// [B, d1, d2, ..., dn] -> [B, d2, ..., dn, d1].
Value first_axis_last(Graph& graph, Value in);

}  // namespace braid::ops
