#pragma once
#include "engine/graph/graph.hpp"

namespace braid::ops {

// Masks are bool values [B, T], true = valid. None of these has a gradient but masking and
// average_over_time.

// One op for each value; the fusion pass lets an LSTM look at the ids itself.
class IdsNotEqual final : public Op {
 public:
  explicit IdsNotEqual(std::int32_t value) : value_(value) {}

  std::int32_t value() const { return value_; }

  std::string_view kind() const override { return "ids_not_equal"; }
  std::string detail() const override { return std::to_string(value_); }
  std::vector<ValueInfo> infer(Infos in) const override;
  void run(const Run& run) const override;

 private:
  std::int32_t value_;
};

// ids [B, T] != value, and valid in `also` (which may be absent).
Value ids_not_equal(Graph& graph, Value ids, std::int32_t value, Value also = {});

struct MaskedValue {
  Value value;
  Value mask;
};
// Keras's Masking: steps whose features all equal `value` become zero and invalid. `also` (may be
// absent) makes further steps invalid.
MaskedValue masking(Graph& graph, Value in, float value, Value also = {});

Value either(Graph& graph, Value a, Value b);
Value both(Graph& graph, Value a, Value b);
// A mask that is true everywhere, for the steps of `like` [B, T, ...].
Value all_valid(Graph& graph, Value like);
// Keras's mask of a Concatenate: masks (absent ones: all valid) spread over their values' shapes,
// joined along the axis, then valid where any entry of the last axis is.
Value concatenated_mask(Graph& graph, const std::vector<Value>& values,
                        const std::vector<Value>& masks, std::int64_t axis);
// The mask as numbers 0 and 1, times weights of the same shape (which may be absent).
Value mask_weights(Graph& graph, Value mask, Value weights = {});
// Mean over the valid steps: [B, T, F] -> [B, F]; all steps if the mask is absent.
Value average_over_time(Graph& graph, Value in, Value mask);

}  // namespace braid::ops
