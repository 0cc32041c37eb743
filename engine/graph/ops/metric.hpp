#pragma once
#include <vector>

#include "engine/graph/graph.hpp"
#include "kernels/metric.hpp"

namespace braid::ops {

// 1 or 0 for each row (the binary and exact kinds: the mean over the last axis): predicted [B, ...,
// C] -> [B, ...]. truth: float32 of that shape, or int32 labels [B, ...] for the sparse kind.
Value accuracy_values(Graph& graph, kernels::AccuracyKind kind, Value truth, Value predicted,
                      float threshold = 0.5F);

// Weighted counts over the batch, unbatched [4, K]: true positives, false positives, true
// negatives, false negatives at each threshold. weight [B, ...] or [B, ..., C] may be absent.
Value confusion_counts(Graph& graph, Value truth, Value predicted, Value weight,
                       const std::vector<float>& thresholds);

}  // namespace braid::ops
