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

inline float smoothed(const LossRule& rule, float y) {
  return y * (1 - rule.label_smoothing) + 0.5F * rule.label_smoothing;
}

// One term of the losses that are means (or sums) over the columns. Binary crossentropy from logits
// is a kind of its own.
template <LossKind kind, bool from_logits>
inline float term(const LossRule& rule, float y, float p) {
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
inline float slope(const LossRule& rule, float y, float p) {
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
inline void with_kind(const LossRule& rule, const Body& body) {
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
      if (rule.from_logits) return body.template operator()<LossKind::binary_crossentropy, true>();
      return body.template operator()<LossKind::binary_crossentropy, false>();
    case LossKind::categorical_crossentropy:
    case LossKind::sparse_categorical_crossentropy: return;
  }
}

bool is_mean(LossKind kind) { return kind != LossKind::kl_divergence; }
bool is_categorical(LossKind kind) {
  return kind == LossKind::categorical_crossentropy ||
         kind == LossKind::sparse_categorical_crossentropy;
}

bool ignored(const LossRule& rule, std::int32_t label) {
  return rule.has_ignore_class && label == rule.ignore_class;
}

// Rows are worked on in blocks of a fixed length, the last one filled up, so that loops over a
// block are vector code whatever the number of columns.
constexpr int kBlock = 16;
struct Block {
  alignas(64) float lane[kBlock];
};

inline int block_length(std::int64_t remaining) {
  return remaining < kBlock ? static_cast<int>(remaining) : kBlock;
}

inline Block load_block(const float* from, int count, float filler) {
  Block block;
  for (int i = 0; i < kBlock; ++i) block.lane[i] = i < count ? from[i] : filler;
  return block;
}

inline float sum_of(const Block& block) {
  Block half = block;
  for (int width = kBlock / 2; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) half.lane[i] += half.lane[i + width];
  }
  return half.lane[0];
}

// Sums body(y, p) over a row.
template <class Body>
inline float sum_terms(const float* y, const float* p, std::int64_t columns, const Body& body) {
  Block sums{};
  for (std::int64_t c = 0; c < columns; c += kBlock) {
    const int count = block_length(columns - c);
    const Block truth = load_block(y + c, count, 0.5F);
    const Block predicted = load_block(p + c, count, 0.5F);
    for (int i = 0; i < kBlock; ++i) {
      const float value = body(truth.lane[i], predicted.lane[i]);
      sums.lane[i] += i < count ? value : 0.0F;
    }
  }
  return sum_of(sums);
}

// Losses of a block of rows with one column each. Never inlined: the same instructions for a full
// block and for a filled-up one, so that a row's bits do not depend on the rows beside it.
template <LossKind kind, bool from_logits>
[[gnu::noinline]] void term_block(const LossRule& rule, const float* y, const float* p,
                                  float* values) {
#pragma GCC ivdep
  for (int i = 0; i < kBlock; ++i) values[i] = term<kind, from_logits>(rule, y[i], p[i]);
}

template <LossKind kind, bool from_logits>
void column_terms(const LossRule& rule, const float* y, const float* p, std::int64_t rows,
                  float* values) {
  std::int64_t n = 0;
  for (; n + kBlock <= rows; n += kBlock)
    term_block<kind, from_logits>(rule, y + n, p + n, values + n);
  if (n == rows) return;
  const int count = block_length(rows - n);
  const Block truth = load_block(y + n, count, 0.5F);
  const Block predicted = load_block(p + n, count, 0.5F);
  Block block;
  term_block<kind, from_logits>(rule, truth.lane, predicted.lane, block.lane);
  for (int i = 0; i < count; ++i) values[n + i] = block.lane[i];
}

// True where the one column of every row lies beside the next.
template <class T>
bool is_dense_column(Matrix<T> m) {
  return m.columns == 1 && m.packed();
}

// Targets of a row as numbers: from a distribution, smoothed, or 1 at the label.
struct Target {
  const float* truth;
  std::int32_t label;
  float kept;
  float spread;
  float operator()(std::int64_t c) const {
    return truth != nullptr ? truth[c] * kept + spread : (c == label ? 1.0F : 0.0F);
  }
};

Target target_of(const LossRule& rule, Matrix<const float> truth, Matrix<const std::int32_t> labels,
                 std::int64_t n, std::int64_t columns) {
  return {truth ? truth.row(n) : nullptr, labels ? labels.row(n)[0] : 0, 1 - rule.label_smoothing,
          rule.label_smoothing / static_cast<float>(columns)};
}

struct Exponentials {
  float largest;
  float sum;
};

// exp(p - largest), stored where `out` is given.
Exponentials exponentials(const float* p, std::int64_t columns, float* out) {
  Block tops = load_block(p, 0, -INFINITY);
  for (std::int64_t c = 0; c < columns; c += kBlock) {
    const Block x = load_block(p + c, block_length(columns - c), -INFINITY);
    for (int i = 0; i < kBlock; ++i)
      tops.lane[i] = x.lane[i] > tops.lane[i] ? x.lane[i] : tops.lane[i];
  }
  Exponentials e{-INFINITY, 0};
  for (int i = 0; i < kBlock; ++i) e.largest = tops.lane[i] > e.largest ? tops.lane[i] : e.largest;
  Block sums{};
  for (std::int64_t c = 0; c < columns; c += kBlock) {
    const int count = block_length(columns - c);
    Block x = load_block(p + c, count, -INFINITY);
    for (int i = 0; i < kBlock; ++i) x.lane[i] = vector_exp(x.lane[i] - e.largest);
    for (int i = 0; i < kBlock; ++i) sums.lane[i] += i < count ? x.lane[i] : 0.0F;
    if (out == nullptr) continue;
    for (int i = 0; i < count; ++i) out[c + i] = x.lane[i];
  }
  e.sum = sum_of(sums);
  return e;
}

float categorical_value(const LossForward& args, std::int64_t n) {
  const LossRule& rule = args.rule;
  const std::int64_t columns = args.predicted.columns;
  const float* p = args.predicted.row(n);
  const Target y = target_of(rule, args.truth, args.labels, n, columns);
  const bool counts = !(args.labels && ignored(rule, y.label));
  float value = 0;
  if (rule.from_logits) {
    float* probabilities = args.probabilities ? args.probabilities.row(n) : nullptr;
    const Exponentials e = exponentials(p, columns, probabilities);
    if (probabilities != nullptr) {
      const float scale = 1.0F / e.sum;
      for (std::int64_t c = 0; c < columns; ++c) probabilities[c] *= scale;
    }
    // The largest logit is taken away first: the logarithm would drown in a large one.
    const float logarithm = vector_log(e.sum);
    if (args.labels) return counts ? logarithm - (p[y.label] - e.largest) : 0.0F;
    for (std::int64_t c = 0; c < columns; ++c)
      value -= y(c) == 0 ? 0.0F : y(c) * ((p[c] - e.largest) - logarithm);
    return value;
  }
  float sum = 0;
  if (args.labels) {
    // clip, log, softmax crossentropy: renormalised after clipping.
    for (std::int64_t c = 0; c < columns; ++c) sum += clip(p[c]);
    return counts ? vector_log(sum) - vector_log(clip(p[y.label])) : 0.0F;
  }
  for (std::int64_t c = 0; c < columns; ++c) sum += p[c];
  for (std::int64_t c = 0; c < columns; ++c) value -= y(c) * vector_log(clip(p[c] / sum));
  return value;
}

void categorical_gradient(const LossBackward& args, std::int64_t n, float factor) {
  const LossRule& rule = args.rule;
  const std::int64_t columns = args.predicted.columns;
  const float* p = args.predicted.row(n);
  float* grad = args.predicted_grad.row(n);
  const Target y = target_of(rule, args.truth, args.labels, n, columns);
  if (args.labels && ignored(rule, y.label)) {
    for (std::int64_t c = 0; c < columns; ++c) grad[c] = 0;
    return;
  }
  float sum = 0;
  if (rule.from_logits) {
    // The sum of the targets is 1 but for what the user gave.
    float total = args.labels ? 1.0F : 0.0F;
    for (std::int64_t c = 0; !args.labels && c < columns; ++c) total += y(c);
    const float* q = grad;
    float scale = total;
    if (args.probabilities) {
      q = args.probabilities.row(n);
    } else {
      scale /= exponentials(p, columns, grad).sum;
    }
    for (std::int64_t c = 0; c < columns; ++c) grad[c] = factor * (scale * q[c] - y(c));
  } else if (args.labels) {
    for (std::int64_t c = 0; c < columns; ++c) sum += clip(p[c]);
    for (std::int64_t c = 0; c < columns; ++c) {
      const float here =
          inside(p[c]) ? 1.0F / sum - (c == y.label ? 1.0F / clip(p[c]) : 0.0F) : 0.0F;
      grad[c] = factor * here;
    }
  } else {
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

}  // namespace

namespace BRAID_CPU {

void run(const LossForward& args) {
  const LossRule& rule = args.rule;
  const std::int64_t rows = args.predicted.rows;
  const std::int64_t columns = args.predicted.columns;
  if (is_categorical(rule.kind)) {
    for (std::int64_t n = 0; n < rows; ++n) {
      const float value = categorical_value(args, n);
      if (args.values) args.values.row(n)[0] = value;
    }
    return;
  }
  if (rule.from_logits && args.probabilities) {
    for (std::int64_t n = 0; n < rows; ++n) {
      const float* p = args.predicted.row(n);
      float* probabilities = args.probabilities.row(n);
#pragma GCC ivdep
      for (std::int64_t c = 0; c < columns; ++c) probabilities[c] = vector_sigmoid(p[c]);
    }
  }
  if (!args.values) return;
  with_kind(rule, [&]<LossKind kind, bool from_logits>() {
    const LossRule fixed = rule;
    if (is_dense_column(args.predicted) && is_dense_column(args.truth) &&
        is_dense_column(args.values)) {
      column_terms<kind, from_logits>(fixed, args.truth.data, args.predicted.data, rows,
                                      args.values.data);
      return;
    }
    const float share = is_mean(kind) ? 1.0F / static_cast<float>(columns) : 1.0F;
    for (std::int64_t n = 0; n < rows; ++n) {
      args.values.row(n)[0] =
          share * sum_terms(args.truth.row(n), args.predicted.row(n), columns,
                            [&](float y, float p) { return term<kind, from_logits>(fixed, y, p); });
    }
  });
}

void run(const LossBackward& args) {
  const LossRule& rule = args.rule;
  const std::int64_t rows = args.predicted.rows;
  const std::int64_t columns = args.predicted.columns;
  const float constant = args.scalar != nullptr ? args.scale * *args.scalar : args.scale;
  const auto factor_of = [&](std::int64_t n) {
    return args.value_grad ? constant * args.value_grad.row(n)[0] : constant;
  };
  if (is_categorical(rule.kind)) {
    for (std::int64_t n = 0; n < rows; ++n) categorical_gradient(args, n, factor_of(n));
    return;
  }
  with_kind(rule, [&]<LossKind kind, bool from_logits>() {
    const LossRule fixed = rule;
    if (is_dense_column(args.predicted) && is_dense_column(args.truth) &&
        is_dense_column(args.predicted_grad) &&
        (!args.value_grad || is_dense_column(args.value_grad))) {
      const float* y = args.truth.data;
      const float* p = args.predicted.data;
      const float* given = args.value_grad.data;
      float* grad = args.predicted_grad.data;
#pragma GCC ivdep
      for (std::int64_t n = 0; n < rows; ++n) {
        grad[n] = (given != nullptr ? constant * given[n] : constant) *
                  slope<kind, from_logits>(fixed, y[n], p[n]);
      }
      return;
    }
    const float share = is_mean(kind) ? 1.0F / static_cast<float>(columns) : 1.0F;
    for (std::int64_t n = 0; n < rows; ++n) {
      const float factor = share * factor_of(n);
      const float* y = args.truth.row(n);
      const float* p = args.predicted.row(n);
      float* grad = args.predicted_grad.row(n);
#pragma GCC ivdep
      for (std::int64_t c = 0; c < columns; ++c)
        grad[c] = factor * slope<kind, from_logits>(fixed, y[c], p[c]);
    }
  });
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
