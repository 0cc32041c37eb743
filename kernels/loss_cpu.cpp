#include "kernels/loss.hpp"

#include "kernels/vector_math.hpp"

namespace braid::kernels {
namespace {

constexpr float kEpsilon = 1e-7F;
constexpr float kAlmostOne = 1.0F - 1e-7F;

inline float clip(float p) { return p < kEpsilon ? kEpsilon : (p > kAlmostOne ? kAlmostOne : p); }
inline bool inside(float p) { return p >= kEpsilon && p <= kAlmostOne; }
inline float sign(float x) { return x > 0 ? 1.0F : (x < 0 ? -1.0F : 0.0F); }
inline float at_least(float x, float low) { return x > low ? x : low; }
inline float clip_to_one(float x) { return x < kEpsilon ? kEpsilon : (x > 1.0F ? 1.0F : x); }

// One term of the losses that are means (or sums) over the columns.
float term(const LossRule& rule, float y, float p) {
  switch (rule.kind) {
    case LossKind::mean_squared_error: return (y - p) * (y - p);
    case LossKind::mean_absolute_error: return std::fabs(y - p);
    case LossKind::huber: {
      const float e = std::fabs(p - y);
      return e <= rule.delta ? 0.5F * e * e : rule.delta * e - 0.5F * rule.delta * rule.delta;
    }
    case LossKind::mean_absolute_percentage_error: return 100.0F * std::fabs((y - p) / at_least(std::fabs(y), kEpsilon));
    case LossKind::mean_squared_logarithmic_error: {
      const float d = vector_log(at_least(p, kEpsilon) + 1) - vector_log(at_least(y, kEpsilon) + 1);
      return d * d;
    }
    case LossKind::log_cosh: {
      const float e = p - y;
      return e + vector_softplus(-2 * e) - 0.69314718F;
    }
    case LossKind::poisson: return p - y * vector_log(p + kEpsilon);
    case LossKind::kl_divergence: {
      const float q = clip_to_one(y);
      return q * vector_log(q / clip_to_one(p));
    }
    case LossKind::binary_crossentropy: {
      const float target = y * (1 - rule.label_smoothing) + 0.5F * rule.label_smoothing;
      if (rule.from_logits) {
        return (p > 0 ? p : 0.0F) - p * target + vector_log1p(vector_exp(-std::fabs(p)));
      }
      const float q = clip(p);
      return -(target * vector_log(q) + (1 - target) * vector_log(1 - q));
    }
    default: return 0;
  }
}

float slope(const LossRule& rule, float y, float p) {
  switch (rule.kind) {
    case LossKind::mean_squared_error: return 2 * (p - y);
    case LossKind::mean_absolute_error: return sign(p - y);
    case LossKind::huber: {
      const float e = p - y;
      return std::fabs(e) <= rule.delta ? e : rule.delta * sign(e);
    }
    case LossKind::mean_absolute_percentage_error: return 100.0F * sign(p - y) / at_least(std::fabs(y), kEpsilon);
    case LossKind::mean_squared_logarithmic_error: {
      if (!(p > kEpsilon)) return 0;
      const float d = vector_log(at_least(p, kEpsilon) + 1) - vector_log(at_least(y, kEpsilon) + 1);
      return 2 * d / (p + 1);
    }
    case LossKind::log_cosh: return vector_tanh(p - y);
    case LossKind::poisson: return 1 - y / (p + kEpsilon);
    case LossKind::kl_divergence: {
      const float q = clip_to_one(p);
      return p >= kEpsilon && p <= 1.0F ? -clip_to_one(y) / q : 0.0F;
    }
    case LossKind::binary_crossentropy: {
      const float target = y * (1 - rule.label_smoothing) + 0.5F * rule.label_smoothing;
      if (rule.from_logits) return vector_sigmoid(p) - target;
      const float q = clip(p);
      return inside(p) ? -target / q + (1 - target) / (1 - q) : 0.0F;
    }
    default: return 0;
  }
}

bool is_mean(LossKind kind) { return kind != LossKind::kl_divergence; }
bool is_categorical(LossKind kind) {
  return kind == LossKind::categorical_crossentropy || kind == LossKind::sparse_categorical_crossentropy;
}

bool ignored(const LossRule& rule, std::int32_t label) { return rule.has_ignore_class && label == rule.ignore_class; }

// Targets of a row as numbers, smoothed: from a distribution, or 1 at the label.
struct Target {
  const LossRule& rule;
  const float* truth;
  std::int32_t label;
  std::int64_t columns;
  float operator()(std::int64_t c) const {
    const float y = truth != nullptr ? truth[c] : (c == label ? 1.0F : 0.0F);
    return rule.label_smoothing == 0 ? y
                                     : y * (1 - rule.label_smoothing) + rule.label_smoothing / static_cast<float>(columns);
  }
};

Target target_of(const LossRule& rule, Matrix<const float> truth, Matrix<const std::int32_t> labels, std::int64_t n,
                 std::int64_t columns) {
  return {rule, truth ? truth.row(n) : nullptr, labels ? labels.row(n)[0] : 0, columns};
}

struct Exponentials {
  float largest;
  float sum;
};

Exponentials exponentials(const float* p, std::int64_t columns, float* out) {
  Exponentials e{-INFINITY, 0};
  for (std::int64_t c = 0; c < columns; ++c) e.largest = p[c] > e.largest ? p[c] : e.largest;
  if (out != nullptr) {
    for (std::int64_t c = 0; c < columns; ++c) out[c] = vector_exp(p[c] - e.largest);
    for (std::int64_t c = 0; c < columns; ++c) e.sum += out[c];
  } else {
    for (std::int64_t c = 0; c < columns; ++c) e.sum += vector_exp(p[c] - e.largest);
  }
  return e;
}

}  // namespace

namespace BRAID_CPU {

void run(const LossForward& args) {
  const LossRule& rule = args.rule;
  const std::int64_t columns = args.predicted.columns;
  for (std::int64_t n = 0; n < args.predicted.rows; ++n) {
    const float* p = args.predicted.row(n);
    float value = 0;
    if (!is_categorical(rule.kind)) {
      const float* y = args.truth.row(n);
      if (rule.from_logits && args.probabilities) {
        for (std::int64_t c = 0; c < columns; ++c) args.probabilities.row(n)[c] = vector_sigmoid(p[c]);
      }
      for (std::int64_t c = 0; c < columns; ++c) value += term(rule, y[c], p[c]);
      if (is_mean(rule.kind)) value /= static_cast<float>(columns);
    } else {
      const Target y = target_of(rule, args.truth, args.labels, n, columns);
      if (rule.from_logits) {
        float* probabilities = args.probabilities ? args.probabilities.row(n) : nullptr;
        const Exponentials e = exponentials(p, columns, probabilities);
        const float shift = e.largest + vector_log(e.sum);
        if (probabilities != nullptr) {
          const float scale = 1.0F / e.sum;
          for (std::int64_t c = 0; c < columns; ++c) probabilities[c] *= scale;
        }
        if (args.labels && !ignored(rule, y.label)) {
          value = shift - p[y.label];
        } else if (args.truth) {
          for (std::int64_t c = 0; c < columns; ++c) value -= y(c) == 0 ? 0.0F : y(c) * (p[c] - shift);
        }
      } else if (args.labels) {
        // clip, log, softmax crossentropy: renormalised after clipping.
        float sum = 0;
        for (std::int64_t c = 0; c < columns; ++c) sum += clip(p[c]);
        if (!ignored(rule, y.label)) value = vector_log(sum) - vector_log(clip(p[y.label]));
      } else {
        float sum = 0;
        for (std::int64_t c = 0; c < columns; ++c) sum += p[c];
        for (std::int64_t c = 0; c < columns; ++c) value -= y(c) * vector_log(clip(p[c] / sum));
      }
      if (args.labels && ignored(rule, y.label)) value = 0;
    }
    args.values.row(n)[0] = value;
  }
}

void run(const LossBackward& args) {
  const LossRule& rule = args.rule;
  const std::int64_t columns = args.predicted.columns;
  for (std::int64_t n = 0; n < args.predicted.rows; ++n) {
    const float* p = args.predicted.row(n);
    float* grad = args.predicted_grad.row(n);
    float factor = args.scale;
    if (args.scalar != nullptr) factor *= *args.scalar;
    if (args.value_grad) factor *= args.value_grad.row(n)[0];
    if (!is_categorical(rule.kind)) {
      const float* y = args.truth.row(n);
      if (is_mean(rule.kind)) factor /= static_cast<float>(columns);
      if (rule.from_logits && args.probabilities) {
        const float* q = args.probabilities.row(n);
        for (std::int64_t c = 0; c < columns; ++c) {
          grad[c] = factor * (q[c] - (y[c] * (1 - rule.label_smoothing) + 0.5F * rule.label_smoothing));
        }
        continue;
      }
      for (std::int64_t c = 0; c < columns; ++c) grad[c] = factor * slope(rule, y[c], p[c]);
      continue;
    }
    const Target y = target_of(rule, args.truth, args.labels, n, columns);
    if (args.labels && ignored(rule, y.label)) {
      for (std::int64_t c = 0; c < columns; ++c) grad[c] = 0;
      continue;
    }
    if (rule.from_logits) {
      // The sum of the targets is 1 but for what the user gave.
      float total = 0;
      for (std::int64_t c = 0; c < columns; ++c) total += y(c);
      if (args.probabilities) {
        const float* q = args.probabilities.row(n);
        for (std::int64_t c = 0; c < columns; ++c) grad[c] = factor * (total * q[c] - y(c));
      } else {
        const Exponentials e = exponentials(p, columns, nullptr);
        for (std::int64_t c = 0; c < columns; ++c) {
          grad[c] = factor * (total * vector_exp(p[c] - e.largest) / e.sum - y(c));
        }
      }
    } else if (args.labels) {
      float sum = 0;
      for (std::int64_t c = 0; c < columns; ++c) sum += clip(p[c]);
      for (std::int64_t c = 0; c < columns; ++c) {
        const float here = inside(p[c]) ? 1.0F / sum - (c == y.label ? 1.0F / clip(p[c]) : 0.0F) : 0.0F;
        grad[c] = factor * here;
      }
    } else {
      float sum = 0;
      for (std::int64_t c = 0; c < columns; ++c) sum += p[c];
      // d/dp_c of -sum_k y_k log clip(p_k / sum): the clipped terms stand still.
      float pulled = 0;
      for (std::int64_t c = 0; c < columns; ++c) pulled += inside(p[c] / sum) ? y(c) : 0.0F;
      for (std::int64_t c = 0; c < columns; ++c) {
        const float own = inside(p[c] / sum) ? y(c) / p[c] : 0.0F;
        grad[c] = factor * (pulled / sum - own);
      }
    }
  }
}

void run(const WeightedSum& args) {
  double sum = 0;
  double weights = 0;
  for (std::int64_t n = 0; n < args.value.rows; ++n) {
    const float weight = args.weight ? args.weight.row(n)[0] : 1.0F;
    sum += static_cast<double>(args.value.row(n)[0]) * static_cast<double>(weight);
    weights += static_cast<double>(weight);
  }
  args.sums[0] = static_cast<float>(args.accumulate ? args.sums[0] + sum : sum);
  args.sums[1] = static_cast<float>(args.accumulate ? args.sums[1] + weights : weights);
}

}  // namespace BRAID_CPU
}  // namespace braid::kernels
