#include "engine/runtime/storage.hpp"

#include <algorithm>

#include "engine/runtime/stages.hpp"

namespace braid {
namespace {

class Sharing {
 public:
  Sharing(const Graph& graph, const std::vector<ValueInfo>& infos,
          const std::vector<int>& stage_of_node, const ValueUses& uses)
      : graph_(graph), infos_(infos), stage_of_node_(stage_of_node), uses_(uses) {}

  std::vector<Storage> share() {
    storage_.resize(infos_.size());
    for (std::size_t v = 0; v < infos_.size(); ++v)
      storage_[v] = {static_cast<int>(v), 0, extent_of(infos_[v]).columns, false};
    for (std::size_t n = 0; n < graph_.nodes().size(); ++n) {
      if (stage_of_node_[n] == kDeadStage) continue;
      const GraphNode& node = graph_.nodes()[n];
      if (node.op->joins_columns()) join(node);
    }
    for (std::size_t n = 0; n < graph_.nodes().size(); ++n) {
      if (stage_of_node_[n] == kDeadStage) continue;
      const GraphNode& node = graph_.nodes()[n];
      const Alias alias = node.op->alias();
      if (alias.kind == Alias::Kind::none) continue;
      const auto out = index(node.outputs[0]);
      const auto in = index(node.inputs[static_cast<std::size_t>(alias.input)]);
      if (storage_[out].shared || uses_.is_output[out] || infos_[out].dtype != infos_[in].dtype)
        continue;
      if (alias.kind == Alias::Kind::reshape) {
        // Other rows and columns, but the memory of its root.
        if (is_strided(in)) continue;
        storage_[out] = storage_[in];
        storage_[out].stride = extent_of(infos_[out]).columns;
      } else {
        if (touched_by_packed_op(out)) continue;
        storage_[out] = storage_[in];
        storage_[out].first += alias.first_column;
      }
      storage_[out].shared = true;
    }
    return std::move(storage_);
  }

 private:
  bool touched_by_packed_op(std::size_t value) const {
    const int made_by = uses_.producer[value];
    if (made_by >= 0 && graph_.nodes()[static_cast<std::size_t>(made_by)].op->needs_packed())
      return true;
    return std::any_of(uses_.readers[value].begin(), uses_.readers[value].end(), [&](int n) {
      return graph_.nodes()[static_cast<std::size_t>(n)].op->needs_packed();
    });
  }
  bool is_strided(std::size_t value) const {
    return extent_of(infos_[value]).columns != storage_[value].stride;
  }

  void join(const GraphNode& node) {
    const auto out = index(node.outputs[0]);
    std::int64_t column = 0;
    for (Value input : node.inputs) {
      const auto in = index(input);
      const std::int64_t width = extent_of(infos_[in]).columns;
      const bool made_here = uses_.producer[in] >= 0 && infos_[in].batched &&
                             !storage_[in].shared && !uses_.is_output[in];
      const bool own_storage =
          made_here &&
          graph_.nodes()[static_cast<std::size_t>(uses_.producer[in])].op->alias().kind ==
              Alias::Kind::none &&
          !graph_.nodes()[static_cast<std::size_t>(uses_.producer[in])].op->joins_columns();
      if (own_storage && !touched_by_packed_op(in)) {
        storage_[in] = storage_[out];
        storage_[in].first += column;
        storage_[in].shared = true;
      }
      column += width;
    }
  }

  const Graph& graph_;
  const std::vector<ValueInfo>& infos_;
  const std::vector<int>& stage_of_node_;
  const ValueUses& uses_;
  std::vector<Storage> storage_;
};

}  // namespace

Extent extent_of(const ValueInfo& info) {
  const Shape& shape = info.shape;
  const std::size_t first = info.batched ? 1 : 0;
  Extent extent;
  if (shape.rank() <= first) return extent;
  extent.columns = shape.back();
  for (std::size_t axis = first; axis + 1 < shape.rank(); ++axis) extent.rows *= shape[axis];
  return extent;
}

std::vector<Storage> share_storage(const Graph& graph, const std::vector<ValueInfo>& infos,
                                   const std::vector<int>& stage_of_node, const ValueUses& uses) {
  return Sharing(graph, infos, stage_of_node, uses).share();
}

}  // namespace braid
