#include "engine/runtime/constants.hpp"

#include <algorithm>

namespace braid {
namespace {

constexpr std::int64_t kMostElements = 64;

class Folding {
 public:
  Folding(const Graph& graph, const std::vector<ValueInfo>& infos, std::int64_t batch)
      : graph_(graph), infos_(infos), batch_(batch) {}

  std::map<int, Tensor> fold() {
    for (const GraphNode& node : graph_.nodes()) {
      if (is_constant(node)) run(node);
    }
    return std::move(folded_);
  }

 private:
  const ValueInfo& info(Value value) const { return infos_[index(value)]; }

  const Tensor* known(Value value) const {
    if (graph_.value(value).kind == ValueKind::constant) return &graph_.value(value).constant;
    const auto found = folded_.find(value.id);
    return found == folded_.end() ? nullptr : &found->second;
  }

  bool is_constant(const GraphNode& node) const {
    if (node.op->is_random()) return false;
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      const Value input = node.inputs[i];
      if (input && node.op->reads(i) && known(input) == nullptr) return false;
    }
    return std::all_of(node.outputs.begin(), node.outputs.end(), [&](Value output) {
      return output && !info(output).batched && info(output).shape.elements() <= kMostElements;
    });
  }

  void run(const GraphNode& node) {
    std::vector<std::byte*> bases;
    std::vector<Operand> inputs;
    std::vector<Operand> outputs;
    const auto operand = [&](Value value, std::byte* data) {
      Operand made{.base = static_cast<std::int32_t>(bases.size()), .shape = info(value).shape};
      made.columns = made.shape.rank() == 0 ? 1 : made.shape.back();
      made.rows = made.columns == 0 ? 0 : made.shape.elements() / made.columns;
      made.stride = made.columns;
      bases.push_back(data);
      return made;
    };
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      const Value input = node.inputs[i];
      Operand made{};
      if (input && node.op->reads(i)) {
        // Ops only read their inputs; the table is shared with what they write.
        made = operand(input, const_cast<std::byte*>(known(input)->raw()));
      } else if (input) {
        made.shape = info(input).shape;
      }
      inputs.push_back(std::move(made));
    }
    for (Value output : node.outputs) {
      Tensor result = Tensor::uninitialized(info(output).shape, info(output).dtype);
      outputs.push_back(operand(output, result.raw()));
      folded_.emplace(output.id, std::move(result));
    }
    const Frame frame{.bases = bases.data(), .rows = batch_, .batch = batch_};
    node.op->run(Run(frame, inputs, outputs));
  }

  const Graph& graph_;
  const std::vector<ValueInfo>& infos_;
  std::int64_t batch_;
  std::map<int, Tensor> folded_;
};

}  // namespace

std::map<int, Tensor> fold_constants(const Graph& graph, const std::vector<ValueInfo>& infos,
                                     std::int64_t batch) {
  return Folding(graph, infos, batch).fold();
}

}  // namespace braid
