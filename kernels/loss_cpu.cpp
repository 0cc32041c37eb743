#include "kernels/loss.hpp"

#include "kernels/loss_functions.hpp"

namespace braid::kernels {
namespace {

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
  with_loss(rule, [&]<LossKind kind, bool from_logits>() {
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
  with_loss(rule, [&]<LossKind kind, bool from_logits>() {
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
  if (!args.with_weights) return;
  args.sums[1] = static_cast<float>(args.accumulate ? args.sums[1] + weights : weights);
}

}  // namespace BRAID_CPU
}  // namespace braid::kernels
