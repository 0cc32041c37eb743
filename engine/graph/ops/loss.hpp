#pragma once
#include "engine/graph/graph.hpp"
#include "kernels/loss.hpp"

namespace braid::ops {

// The loss of each row (or step) before any reduction: predicted [B, ..., C] -> values [B, ...].
// With the rule's `from_logits` a second output, probabilities [B, ..., C], may be asked for: the
// fusion pass then drops the softmax or sigmoid beside it.
class LossValues final : public Op {
 public:
  LossValues(kernels::LossRule rule, bool with_probabilities)
      : rule_(rule), with_probabilities_(with_probabilities) {}

  const kernels::LossRule& rule() const { return rule_; }
  bool with_probabilities() const { return with_probabilities_; }

  std::string_view kind() const override { return "loss_values"; }
  std::string detail() const override;
  std::vector<ValueInfo> infer(Infos inputs) const override;
  bool needs_packed() const override { return true; }
  bool joins_row_programs(Infos) const override { return true; }
  void run(const Run& run) const override;
  std::vector<Value> gradients(GradientBuilder& build) const override;
  double operations(Infos inputs, Infos outputs) const override;

 private:
  kernels::LossRule rule_;
  bool with_probabilities_;
};

// truth: float32 of predicted's shape, or int32 labels [B, ...] for the sparse kind.
Value loss_values(Graph& graph, const kernels::LossRule& rule, Value truth, Value predicted);

enum class Reduction { sum_over_batch_size, sum, mean_with_sample_weight };

// Keras's reduction of per-row losses [B, ...] to one unbatched value [1]. `mask` [B, ...] and
// `weight` (the same rank; axes of 1 are repeated) may be absent. A mask keeps the mean over the
// valid entries.
Value reduce_loss(Graph& graph, Value values, Value mask, Value weight, Reduction reduction);

}  // namespace braid::ops
