#pragma once
#include "kernels/loss.hpp"
#include "kernels/loss_functions.hpp"
#include "kernels/simt/elements.hpp"

// A warp, or of few classes some of its lanes, own a row: they walk the columns, and sum them in a
// tree of fixed shape. A thread owns a row of one column, with the same bits.
namespace braid::kernels {
namespace {

__device__ inline int lane_of_thread() { return static_cast<int>(threadIdx.x % 32); }

// The sum of term(c) over the columns, known to all lanes.
template <class Index, class Term>
__device__ inline float sum_columns(Index columns, const Term& term_at) {
  float sum = 0;
  for (Index c = lane_of_thread(); c < columns; c += 32) sum += term_at(c);
  return sum_of_warp(sum);
}
template <class Blocks>
__device__ inline void elementwise_loss(const Blocks& blocks, const LossForward& args) {
  using Index = IndexOf<Blocks>;
  const auto columns = static_cast<Index>(args.predicted.columns);
  const LossRule rule = args.rule;
  with_loss(rule, [&]<LossKind kind, bool from_logits>() {
    const float share = is_mean(kind) ? 1.0F / static_cast<float>(columns) : 1.0F;
    if (columns == 1) {
      for_elements<1>(blocks, 1, args.predicted.rows, [&](auto, auto n) {
        const float p = args.predicted.row(n)[0];
        if (args.values.data != nullptr)
          args.values.row(n)[0] = share * term<kind, from_logits>(rule, args.truth.row(n)[0], p);
        if (args.probabilities.data != nullptr && from_logits)
          args.probabilities.row(n)[0] = vector_sigmoid(p);
      });
      return;
    }
    for_each_by_warp(blocks, args.predicted.rows, [&](auto n) {
      const float* p = args.predicted.row(n);
      if (args.values.data != nullptr) {
        const float* y = args.truth.row(n);
        const float sum = sum_columns(
            columns, [&](Index c) { return term<kind, from_logits>(rule, y[c], p[c]); });
        if (lane_of_thread() == 0) args.values.row(n)[0] = share * sum;
      }
      if (args.probabilities.data == nullptr || !from_logits) return;
      float* probabilities = args.probabilities.row(n);
      for (Index c = lane_of_thread(); c < columns; c += 32) {
        probabilities[c] = vector_sigmoid(p[c]);
      }
    });
  });
}

template <class Blocks>
__device__ inline void elementwise_loss_gradient(const Blocks& blocks, const LossBackward& args) {
  using Index = IndexOf<Blocks>;
  const auto columns = static_cast<Index>(args.predicted.columns);
  const LossRule rule = args.rule;
  const float constant = args.scalar != nullptr ? args.scale * *args.scalar : args.scale;
  with_loss(rule, [&]<LossKind kind, bool from_logits>() {
    const float share = is_mean(kind) ? 1.0F / static_cast<float>(columns) : 1.0F;
    if (columns == 1) {
      for_elements<1>(blocks, 1, args.predicted.rows, [&](auto, auto n) {
        const float given = args.value_grad.data != nullptr ? args.value_grad.row(n)[0] : 1.0F;
        args.predicted_grad.row(n)[0] =
            share * (constant * given) *
            slope<kind, from_logits>(rule, args.truth.row(n)[0], args.predicted.row(n)[0]);
      });
      return;
    }
    for_each_by_warp(blocks, args.predicted.rows, [&](auto n) {
      const float given = args.value_grad.data != nullptr ? args.value_grad.row(n)[0] : 1.0F;
      const float* y = args.truth.row(n);
      const float* p = args.predicted.row(n);
      float* grad = args.predicted_grad.row(n);
      for (Index c = lane_of_thread(); c < columns; c += 32) {
        grad[c] = share * (constant * given) * slope<kind, from_logits>(rule, y[c], p[c]);
      }
    });
  });
}

// The lanes of a warp that own a row of classes. Those of all rows meet in each sum: it may not
// stand behind a branch that depends on the row.
class LanesOfRow {
 public:
  __device__ explicit LanesOfRow(std::int64_t classes) : count_(lanes_of_classes(classes)) {}

  // Calls body(n, is_there) for each row. Rows behind the last one are that one again, of which
  // nothing may be written.
  template <class Blocks, class Body>
  __device__ void for_each_row(const Blocks& blocks, std::int64_t rows, const Body& body) const {
    using Index = IndexOf<Blocks>;
    const auto end = static_cast<Index>(rows);
    const auto of_warp = static_cast<Index>(32 / count_);
    for_each_by_warp(blocks, (end + of_warp - 1) / of_warp, [&](Index group) {
      const Index n = group * of_warp + static_cast<Index>(lane_of_thread() / count_);
      body(n < end ? n : end - 1, n < end);
    });
  }
  // Calls body(c) for each of this lane's columns.
  template <class Index, class Body>
  __device__ void for_each_column(Index columns, const Body& body) const {
    for (auto c = static_cast<Index>(lane_of_thread() % count_); c < columns;
         c += static_cast<Index>(count_))
      body(c);
  }
  template <class Index, class Term>
  __device__ float sum(Index columns, const Term& term_at) const {
    float sum = 0;
    for_each_column(columns, [&](Index c) { sum += term_at(c); });
    return sum_of_lanes(sum, count_);
  }
  template <class Index>
  __device__ float largest(const float* p, Index columns) const {
    float largest = -INFINITY;
    for_each_column(columns, [&](Index c) { largest = p[c] > largest ? p[c] : largest; });
    return largest_of_lanes(largest, count_);
  }
  __device__ bool is_first() const { return lane_of_thread() % count_ == 0; }

 private:
  int count_;
};

template <class Blocks>
__device__ inline void categorical_loss(const Blocks& blocks, const LossForward& args) {
  const LossRule rule = args.rule;
  using Index = IndexOf<Blocks>;
  const auto columns = static_cast<Index>(args.predicted.columns);
  const bool sparse = args.labels.data != nullptr;
  const LanesOfRow lanes(args.predicted.columns);
  lanes.for_each_row(blocks, args.predicted.rows, [&](Index n, bool is_there) {
    const float* p = args.predicted.row(n);
    const Target y = target_of(rule, args.truth, args.labels, n, columns);
    float value = 0;
    if (rule.from_logits) {
      const float largest = lanes.largest(p, columns);
      const float sum = lanes.sum(columns, [&](Index c) { return vector_exp(p[c] - largest); });
      if (args.probabilities.data != nullptr && is_there) {
        const float scale = 1.0F / sum;
        float* probabilities = args.probabilities.row(n);
        lanes.for_each_column(
            columns, [&](Index c) { probabilities[c] = vector_exp(p[c] - largest) * scale; });
      }
      // The largest logit is taken away first: the logarithm would drown in a large one.
      const float logarithm = vector_log(sum);
      value = lanes.sum(columns, [&](Index c) {
        return y(c) == 0 ? 0.0F : -y(c) * ((p[c] - largest) - logarithm);
      });
    } else if (sparse) {
      // clip, log, softmax crossentropy: renormalised after clipping.
      const float sum = lanes.sum(columns, [&](Index c) { return clip(p[c]); });
      if (!ignored(rule, y.label)) value = vector_log(sum) - vector_log(clip(p[y.label]));
    } else {
      const float sum = lanes.sum(columns, [&](Index c) { return p[c]; });
      value = lanes.sum(columns, [&](Index c) { return -y(c) * vector_log(clip(p[c] / sum)); });
    }
    const bool counts = !(sparse && ignored(rule, y.label));
    if (args.values.data != nullptr && is_there && lanes.is_first()) {
      args.values.row(n)[0] = counts ? value : 0.0F;
    }
  });
}

template <class Blocks>
__device__ inline void categorical_loss_gradient(const Blocks& blocks, const LossBackward& args) {
  const LossRule rule = args.rule;
  using Index = IndexOf<Blocks>;
  const auto columns = static_cast<Index>(args.predicted.columns);
  const bool sparse = args.labels.data != nullptr;
  const float constant = args.scalar != nullptr ? args.scale * *args.scalar : args.scale;
  const LanesOfRow lanes(args.predicted.columns);
  lanes.for_each_row(blocks, args.predicted.rows, [&](Index n, bool is_there) {
    const float* p = args.predicted.row(n);
    float* grad = args.predicted_grad.row(n);
    const Target y = target_of(rule, args.truth, args.labels, n, columns);
    const bool counts = !(sparse && ignored(rule, y.label));
    const float factor =
        args.value_grad.data != nullptr ? constant * args.value_grad.row(n)[0] : constant;
    const auto write = [&](const auto& slope_at) {
      if (!is_there) return;
      lanes.for_each_column(columns,
                            [&](Index c) { grad[c] = counts ? factor * slope_at(c) : 0.0F; });
    };
    if (rule.from_logits) {
      // The sum of the targets is 1 but for what the user gave.
      const float total = sparse ? 1.0F : lanes.sum(columns, [&](Index c) { return y(c); });
      if (args.probabilities.data != nullptr) {
        const float* q = args.probabilities.row(n);
        write([&](Index c) { return total * q[c] - y(c); });
        return;
      }
      const float largest = lanes.largest(p, columns);
      const float scale =
          total / lanes.sum(columns, [&](Index c) { return vector_exp(p[c] - largest); });
      write([&](Index c) { return scale * vector_exp(p[c] - largest) - y(c); });
    } else if (sparse) {
      const float sum = lanes.sum(columns, [&](Index c) { return clip(p[c]); });
      write([&](Index c) {
        return inside(p[c])
                   ? 1.0F / sum -
                         (static_cast<std::int64_t>(c) == y.label ? 1.0F / clip(p[c]) : 0.0F)
                   : 0.0F;
      });
    } else {
      const float sum = lanes.sum(columns, [&](Index c) { return p[c]; });
      // d/dp_c of -sum_k y_k log clip(p_k / sum): the clipped terms stand still.
      const float pulled =
          lanes.sum(columns, [&](Index c) { return inside(p[c] / sum) ? y(c) : 0.0F; });
      write([&](Index c) { return pulled / sum - (inside(p[c] / sum) ? y(c) / p[c] : 0.0F); });
    }
  });
}

struct WeightedTotal {
  LongSum values;
  LongSum weights;
};

// Of the values first, first + step and so on.
template <class Index>
__device__ inline WeightedTotal weighted_total(const WeightedSum& args, Index first, Index step) {
  WeightedTotal total{};
  const auto rows = static_cast<Index>(args.value.rows);
  SIMT_NO_UNROLL
  for (Index n = first; n < rows; n += step) {
    const float weight = args.weight.data != nullptr ? args.weight.row(n)[0] : 1.0F;
    total.values.add_product(args.value.row(n)[0], weight);
    total.weights.add(weight);
  }
  return total;
}

__device__ inline void give_total(const WeightedSum& args, WeightedTotal total) {
  if (args.accumulate) total.values.add(args.sums[0]);
  args.sums[0] = total.values.total();
  if (!args.with_weights) return;
  if (args.accumulate) total.weights.add(args.sums[1]);
  args.sums[1] = total.weights.total();
}

// One block, or of few values any of its warps: the threads' sums meet in a tree. Which of them has
// which value is the same for all blocks, and with it the sum.
template <class Blocks>
__device__ inline void run_rows(const Blocks& blocks, const WeightedSum& args) {
  using Index = IndexOf<Blocks>;
  const bool by_warp = args.value.rows <= kWeightedByWarp;
  const unsigned thread = by_warp ? blocks.thread() : threadIdx.x;
  const unsigned threads = by_warp ? 32 : blockDim.x;
  if (thread >= threads) return;
  WeightedTotal total = weighted_total<Index>(args, thread, threads);
  if (by_warp) {
    total.values = sum_of_warp(total.values);
    if (args.with_weights) total.weights = sum_of_warp(total.weights);
  } else {
    total.values = sum_of_block(total.values);
    if (args.with_weights) total.weights = sum_of_block(total.weights);
  }
  if (thread == 0) give_total(args, total);
}

template <class Blocks>
__device__ inline void run_rows(const Blocks& blocks, const LossForward& args) {
  if (is_categorical(args.rule.kind)) {
    categorical_loss(blocks, args);
  } else {
    elementwise_loss(blocks, args);
  }
}

template <class Blocks>
__device__ inline void run_rows(const Blocks& blocks, const LossBackward& args) {
  if (is_categorical(args.rule.kind)) {
    categorical_loss_gradient(blocks, args);
  } else {
    elementwise_loss_gradient(blocks, args);
  }
}

}  // namespace
}  // namespace braid::kernels
