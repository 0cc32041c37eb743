#pragma once
#include <string>

#include "engine/graph/graph.hpp"
#include "kernels/embedding.hpp"

namespace braid::ops {

// Rows of a table, picked by ids: ids [B, ...] int32, table [V, E] -> [B, ..., E]. The fusion pass
// lets an LSTM read the rows where they are.
class Embedding final : public Op {
 public:
  explicit Embedding(std::string layer) : layer_(std::move(layer)) {}

  // For messages.
  const std::string& layer() const { return layer_; }

  std::string_view kind() const override { return "embedding"; }
  std::vector<ValueInfo> infer(Infos in) const override;
  void run(const Run& run) const override;
  std::vector<Value> gradients(GradientBuilder& build) const override;

 private:
  std::string layer_;
};

// RangeError, when it is run, for an id outside 0 .. V - 1; `layer` is named in it.
Value embedding(Graph& graph, Value ids, Value table, std::string layer = "embedding");

// Throws the RangeError, where ids can be looked at: those that come from data have been checked
// with their names, but those that the model itself works out are seen only here.
void check_ids(const Run& run, Matrix<const std::int32_t> ids, std::int64_t limit,
               const std::string& layer);

// Positions that have no part in a table's gradient.
struct LeftOut {
  Value mask = {};                        // [B, ...] bool: those that are not valid
  std::int32_t padding = kernels::kNoId;  // those of this id
};

// Positions sorted by id, of ids [B, ...] of a table [V, E]: order [B * ... and scratch memory],
// segments [V + 1] (kernels/embedding.hpp).
struct SortedIds {
  Value order;
  Value segments;
};
SortedIds sort_ids(Graph& graph, Value ids, Value table, const LeftOut& left_out);

// The table's gradient, from that of the rows picked.
Value embedding_gradient(Graph& graph, Value ids, Value table, Value out_grad,
                         const LeftOut& left_out = {});

}  // namespace braid::ops
