#pragma once
#include "kernels/backend.hpp"

namespace braid::kernels {

// values[n] = 1 or 0 (binary: mean over the columns).
enum class AccuracyKind : std::uint8_t {
  exact,               // mean over c of truth == predicted
  binary,              // mean over c of truth == (predicted > threshold)
  categorical,         // argmax truth == argmax predicted (the first of equal ones)
  sparse_categorical,  // label == argmax predicted
};

struct AccuracyValues {
  AccuracyKind kind = AccuracyKind::binary;
  Matrix<const float> truth;          // [N, C]  read; absent for the sparse kind
  Matrix<const std::int32_t> labels;  // [N, 1]  read; the sparse kind only
  Matrix<const float> predicted;      // [N, C]  read
  Matrix<float> values;               // [N, 1]  overwritten
  float threshold = 0.5F;
};
BRAID_KERNEL(AccuracyValues)

// Weighted confusion counts of every element: for threshold k (ascending), p > thresholds[k] is a
// positive prediction and truth != 0 a positive truth. counts: [4, K] rows true positives, false
// positives, true negatives, false negatives, overwritten or added to.
struct ConfusionCounts {
  Matrix<const float> truth;          // [N, C]  read
  Matrix<const float> predicted;      // [N, C]  read
  Matrix<const float> weight;         // [N, 1] or [N, C]  read; may be absent
  const float* thresholds = nullptr;  // [K]  read
  std::int64_t threshold_count = 0;
  float* counts = nullptr;  // [4, K]
  bool accumulate = false;
};
BRAID_KERNEL(ConfusionCounts)

}  // namespace braid::kernels
