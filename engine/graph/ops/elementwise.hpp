#pragma once
#include <vector>

#include "engine/graph/graph.hpp"
#include "kernels/elementwise.hpp"

namespace braid::ops {

// a op b with broadcasting. Where the ranks differ, axes of 1 are put in after the batch axis of
// the smaller (Keras's merge layers). Masks [B, T] may be absent; multiply, maximum and minimum
// leave invalid elements out (see the kernel).
Value binary(Graph& graph, kernels::BinaryKind kind, Value a, Value b, Value a_mask = {},
             Value b_mask = {});
// The shape of that result; throws ShapeError if the two cannot be broadcast.
Shape broadcast_shape(const Shape& a, const Shape& b);

// The values repeated along their axes of 1 to the shape of `like`, of the same rank. No gradient.
Value broadcast_like(Graph& graph, Value in, Value like);

// scale * in + shift.
Value affine(Graph& graph, Value in, float scale, float shift = 0);
// in * *scalar, where `scalar` is one unbatched value.
Value scale_by(Graph& graph, Value in, Value scalar);
// The sum of values of one shape; a single value is returned as it is.
Value sum(Graph& graph, const std::vector<Value>& summands);
// Integers become float32, exactly.
Value to_float(Graph& graph, Value in);
// float32 becomes int32, towards zero. No gradient passes.
Value to_ids(Graph& graph, Value in);

// The sum of all elements of a batched value (of squares, of absolute values): one unbatched value.
enum class SumOf { values, squares, magnitudes };
Value sum_all(Graph& graph, Value in, SumOf of = SumOf::values);
// sum over n of values[n] * weight[n] and sum of weight[n], as one unbatched value [2]; weight may
// be absent. No gradient.
Value weighted_sums(Graph& graph, Value values, Value weight);
// The first of them alone, as one unbatched value [1], with its gradient to the values.
Value weighted_sum(Graph& graph, Value values, Value weight);
// Where a gradient is that of a sum without weights, all its elements are this one value; else
// absent.
Value same_for_all(const Graph& graph, Value gradient);

// l1 * sum |w| + l2 * sum w^2 as one unbatched value, with its gradient; `in` may be batched.
Value penalty(Graph& graph, Value in, double l1, double l2);

}  // namespace braid::ops
