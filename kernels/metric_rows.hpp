#pragma once
#include "kernels/metric.hpp"
#include "kernels/simt/elements.hpp"

// Accuracy: a thread owns a row and walks its columns.
namespace braid::kernels {
namespace {

// The first of the largest.
template <class Index>
__device__ inline Index largest_of(const float* values, Index count) {
  Index best = 0;
  float largest = *values;
  for (Index c = 1; c < count; ++c) {
    const float value = values[c];
    if (value > largest) {
      best = c;
      largest = value;
    }
  }
  return best;
}

template <class Index>
__device__ inline float accuracy_of_row(const AccuracyValues& args, Index n) {
  const auto columns = static_cast<Index>(args.predicted.columns);
  const float* predicted = args.predicted.row(n);
  if (args.kind == AccuracyKind::sparse_categorical) {
    return args.labels.row(n)[0] == static_cast<std::int64_t>(largest_of(predicted, columns))
               ? 1.0F
               : 0.0F;
  }
  const float* truth = args.truth.row(n);
  if (args.kind == AccuracyKind::categorical) {
    return largest_of(truth, columns) == largest_of(predicted, columns) ? 1.0F : 0.0F;
  }
  float right = 0;
  for (Index c = 0; c < columns; ++c) {
    const bool binary = args.kind == AccuracyKind::binary;
    const float p = binary ? (predicted[c] > args.threshold ? 1.0F : 0.0F) : predicted[c];
    right += truth[c] == p ? 1.0F : 0.0F;
  }
  return right / static_cast<float>(columns);
}

template <class Blocks>
__device__ inline void run_rows(const Blocks& blocks, const AccuracyValues& args) {
  for_elements<1>(blocks, 1, args.predicted.rows,
                  [&](auto, auto n) { args.values.row(n)[0] = accuracy_of_row(args, n); });
}

}  // namespace
}  // namespace braid::kernels
