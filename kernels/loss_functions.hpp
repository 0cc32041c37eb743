#pragma once
#include "kernels/loss.hpp"
#include "kernels/vector_math.hpp"

// The losses' formulas and their derivatives, element by element.
namespace braid::kernels {
namespace {

constexpr float kEpsilon = 1e-7F;
constexpr float kAlmostOne = 1.0F - 1e-7F;

BRAID_HOST_DEVICE inline float clip(float p) {
  return p < kEpsilon ? kEpsilon : (p > kAlmostOne ? kAlmostOne : p);
}
BRAID_HOST_DEVICE inline bool inside(float p) { return p >= kEpsilon && p <= kAlmostOne; }
BRAID_HOST_DEVICE inline float sign(float x) { return x > 0 ? 1.0F : (x < 0 ? -1.0F : 0.0F); }
BRAID_HOST_DEVICE inline float at_least(float x, float low) { return x > low ? x : low; }
BRAID_HOST_DEVICE inline float clip_to_one(float x) {
  return x < kEpsilon ? kEpsilon : (x > 1.0F ? 1.0F : x);
}

BRAID_HOST_DEVICE inline float smoothed(const LossRule& rule, float y) {
  return y * (1 - rule.label_smoothing) + 0.5F * rule.label_smoothing;
}

// One term of the losses that are means (or sums) over the columns. Binary crossentropy from logits
// is a kind of its own.
template <LossKind kind, bool from_logits>
BRAID_HOST_DEVICE inline float term(const LossRule& rule, float y, float p) {
  if constexpr (kind == LossKind::mean_squared_error) return (y - p) * (y - p);
  if constexpr (kind == LossKind::mean_absolute_error) return std::fabs(y - p);
  if constexpr (kind == LossKind::huber) {
    const float e = std::fabs(p - y);
    return e <= rule.delta ? 0.5F * e * e : rule.delta * e - 0.5F * rule.delta * rule.delta;
  }
  if constexpr (kind == LossKind::mean_absolute_percentage_error) {
    return 100.0F * std::fabs((y - p) / at_least(std::fabs(y), kEpsilon));
  }
  if constexpr (kind == LossKind::mean_squared_logarithmic_error) {
    const float d = vector_log(at_least(p, kEpsilon) + 1) - vector_log(at_least(y, kEpsilon) + 1);
    return d * d;
  }
  if constexpr (kind == LossKind::log_cosh) {
    const float e = p - y;
    return e + vector_softplus(-2 * e) - 0.69314718F;
  }
  if constexpr (kind == LossKind::poisson) return p - y * vector_log(p + kEpsilon);
  if constexpr (kind == LossKind::kl_divergence) {
    const float q = clip_to_one(y);
    return q * vector_log(q / clip_to_one(p));
  }
  if constexpr (kind == LossKind::binary_crossentropy) {
    const float target = smoothed(rule, y);
    if constexpr (from_logits) {
      return (p > 0 ? p : 0.0F) - p * target + vector_log1p(vector_exp(-std::fabs(p)));
    }
    const float q = clip(p);
    return -(target * vector_log(q) + (1 - target) * vector_log(1 - q));
  }
}

template <LossKind kind, bool from_logits>
BRAID_HOST_DEVICE inline float slope(const LossRule& rule, float y, float p) {
  if constexpr (kind == LossKind::mean_squared_error) return 2 * (p - y);
  if constexpr (kind == LossKind::mean_absolute_error) return sign(p - y);
  if constexpr (kind == LossKind::huber) {
    const float e = p - y;
    return std::fabs(e) <= rule.delta ? e : rule.delta * sign(e);
  }
  if constexpr (kind == LossKind::mean_absolute_percentage_error) {
    return 100.0F * sign(p - y) / at_least(std::fabs(y), kEpsilon);
  }
  if constexpr (kind == LossKind::mean_squared_logarithmic_error) {
    const float d = vector_log(at_least(p, kEpsilon) + 1) - vector_log(at_least(y, kEpsilon) + 1);
    return p > kEpsilon ? 2 * d / (p + 1) : 0.0F;
  }
  if constexpr (kind == LossKind::log_cosh) return vector_tanh(p - y);
  if constexpr (kind == LossKind::poisson) return 1 - y / (p + kEpsilon);
  if constexpr (kind == LossKind::kl_divergence) {
    return p >= kEpsilon && p <= 1.0F ? -clip_to_one(y) / clip_to_one(p) : 0.0F;
  }
  if constexpr (kind == LossKind::binary_crossentropy) {
    const float target = smoothed(rule, y);
    if constexpr (from_logits) return vector_sigmoid(p) - target;
    const float q = clip(p);
    return inside(p) ? -target / q + (1 - target) / (1 - q) : 0.0F;
  }
}

// Calls body.template operator()<kind, from_logits>() for the elementwise kind that is chosen at
// run time.
template <class Body>
BRAID_HOST_DEVICE inline void with_loss(const LossRule& rule, const Body& body) {
  switch (rule.kind) {
    case LossKind::mean_squared_error:
      return body.template operator()<LossKind::mean_squared_error, false>();
    case LossKind::mean_absolute_error:
      return body.template operator()<LossKind::mean_absolute_error, false>();
    case LossKind::huber: return body.template operator()<LossKind::huber, false>();
    case LossKind::mean_absolute_percentage_error:
      return body.template operator()<LossKind::mean_absolute_percentage_error, false>();
    case LossKind::mean_squared_logarithmic_error:
      return body.template operator()<LossKind::mean_squared_logarithmic_error, false>();
    case LossKind::log_cosh: return body.template operator()<LossKind::log_cosh, false>();
    case LossKind::poisson: return body.template operator()<LossKind::poisson, false>();
    case LossKind::kl_divergence: return body.template operator()<LossKind::kl_divergence, false>();
    case LossKind::binary_crossentropy:
    // Of whole rows: nobody asks for them here.
    case LossKind::categorical_crossentropy:
    case LossKind::sparse_categorical_crossentropy: break;
  }
  if (rule.from_logits) return body.template operator()<LossKind::binary_crossentropy, true>();
  return body.template operator()<LossKind::binary_crossentropy, false>();
}

BRAID_HOST_DEVICE inline bool is_mean(LossKind kind) { return kind != LossKind::kl_divergence; }
BRAID_HOST_DEVICE inline bool ignored(const LossRule& rule, std::int32_t label) {
  return rule.has_ignore_class && label == rule.ignore_class;
}

// Targets of a row as numbers: from a distribution, smoothed, or 1 at the label.
struct Target {
  const float* truth;
  std::int32_t label;
  float kept;
  float spread;
  BRAID_HOST_DEVICE float operator()(std::int64_t c) const {
    return truth != nullptr ? truth[c] * kept + spread : (c == label ? 1.0F : 0.0F);
  }
};

BRAID_HOST_DEVICE inline Target target_of(const LossRule& rule, Matrix<const float> truth,
                                          Matrix<const std::int32_t> labels, std::int64_t n,
                                          std::int64_t columns) {
  return {truth ? truth.row(n) : nullptr, labels ? labels.row(n)[0] : 0, 1 - rule.label_smoothing,
          rule.label_smoothing / static_cast<float>(columns)};
}

}  // namespace
}  // namespace braid::kernels
