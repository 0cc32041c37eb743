#pragma once
#include "kernels/backend.hpp"

namespace braid::kernels {

// Losses of each row before any reduction, in Keras's formulas (y true, p predicted; clip keeps p
// in [1e-7, 1 - 1e-7]).
enum class LossKind : std::uint8_t {
  mean_squared_error,   // mean (y - p)^2
  mean_absolute_error,  // mean |y - p|; derivative 0 at 0
  huber,                // mean of 0.5 e^2 where |e| <= delta, else delta |e| - 0.5 delta^2
  mean_absolute_percentage_error,  // mean 100 |y - p| / max(|y|, 1e-7)
  mean_squared_logarithmic_error,  // mean (log(max(p, 1e-7) + 1) - log(max(y, 1e-7) + 1))^2
  log_cosh,                        // mean e + softplus(-2 e) - log 2, e = p - y
  poisson,                         // mean p - y log(p + 1e-7)
  kl_divergence,                   // sum y log(y / p), both clipped to [1e-7, 1]
  binary_crossentropy,  // mean -(y log q + (1 - y) log(1 - q)), q = clip(p); y smoothed towards 1/2
  categorical_crossentropy,         // -sum y log clip(p / sum p); y smoothed towards 1 / C
  sparse_categorical_crossentropy,  // clip(p), log, softmax crossentropy of that with the label
};

// Of whole rows: the classes of a row are told apart.
constexpr bool is_categorical(LossKind kind) {
  return kind == LossKind::categorical_crossentropy ||
         kind == LossKind::sparse_categorical_crossentropy;
}

// Lanes of a GPU's warp that share a row of so many classes: its sums are trees over as many.
constexpr int lanes_of_classes(std::int64_t classes) {
  constexpr std::int64_t kFew = 16;
  return classes <= kFew ? 8 : 32;
}

struct LossRule {
  LossKind kind = LossKind::mean_squared_error;
  bool from_logits =
      false;  // the three crossentropies: p holds logits; stable forms, gradient p - y, no clipping
  float label_smoothing = 0;  // not of the sparse kind
  float delta = 1;            // huber
  bool has_ignore_class = false;
  std::int32_t ignore_class = 0;  // sparse: rows with this label have loss and gradient 0
};

// values[n] = loss of row n.
struct LossForward {
  LossRule rule;
  Matrix<const float> truth;  // [N, C]  read; absent for the sparse kind
  Matrix<const std::int32_t>
      labels;  // [N, 1]  read; the sparse kind only, 0 <= label < C (or ignore_class)
  Matrix<const float> predicted;  // [N, C]  read: probabilities, values or logits
  Matrix<float> values;           // [N, 1]  overwritten; absent: only probabilities are wanted
  Matrix<float> probabilities;  // [N, C]  overwritten with softmax or sigmoid of the logits; absent
                                // if not wanted;
                                //         crossentropies from logits only
};
BRAID_KERNEL(LossForward)

// predicted_grad[n, c] = value_grad[n] * d values[n] / d predicted[n, c].
struct LossBackward {
  LossRule rule;
  Matrix<const float> truth;  // as in LossForward
  Matrix<const std::int32_t> labels;
  Matrix<const float> predicted;  // [N, C]  read
  Matrix<const float>
      probabilities;  // [N, C]  read; those of LossForward; absent: computed again where needed
  Matrix<const float> value_grad;  // [N, 1]  read; absent: 1 everywhere
  const float* scalar = nullptr;   // one value that multiplies every gradient; absent: 1
  float scale = 1;                 // another constant factor
  Matrix<float> predicted_grad;    // [N, C]  overwritten
};
BRAID_KERNEL(LossBackward)

// sums[0] (+)= sum_n value[n] * weight[n], sums[1] (+)= sum_n weight[n]; an absent weight is 1
// everywhere. Accumulated in double in the order of n, rounded once.
constexpr std::int64_t kWeightedByWarp = 64;  // so many rows, or fewer, are one warp's on a GPU
struct WeightedSum {
  Matrix<const float> value;   // [N, 1]  read
  Matrix<const float> weight;  // [N, 1]  read; may be absent
  float* sums = nullptr;       // [2]     overwritten, or added to; [1] without the sum of weights
  bool with_weights = true;    // the sum of weights is wanted too
  bool accumulate = false;
  float* scratch = nullptr;  // scratch_of_sums(N, 2) bytes; absent: one block of a GPU sums
};
BRAID_KERNEL(WeightedSum)

}  // namespace braid::kernels
