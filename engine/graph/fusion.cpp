#include "engine/graph/fusion.hpp"

#include <algorithm>

#include "engine/core/environment.hpp"
#include "engine/graph/ops/activation.hpp"
#include "engine/graph/ops/dense.hpp"
#include "engine/graph/ops/embedding.hpp"
#include "engine/graph/ops/loss.hpp"
#include "engine/graph/ops/lstm.hpp"
#include "engine/graph/ops/mask.hpp"

namespace braid {
namespace {

// How often each value is used by ops.
std::vector<int> count_uses(const Graph& graph) {
  std::vector<int> uses(graph.values().size(), 0);
  for (const GraphNode& node : graph.nodes()) {
    for (Value input : node.inputs) {
      if (input) ++uses[index(input)];
    }
  }
  return uses;
}

// The activation turns logits into the probabilities that the loss computes anyway.
bool gives_probabilities(const Op& op, const kernels::LossRule& rule, std::size_t rank) {
  if (rule.kind == kernels::LossKind::binary_crossentropy) {
    const auto* activation = dynamic_cast<const ops::Activation*>(&op);
    return activation != nullptr && activation->function().kind == kernels::ActivationKind::sigmoid;
  }
  const auto* softmax = dynamic_cast<const ops::Softmax*>(&op);
  return softmax != nullptr && !softmax->logarithm() &&
         softmax->axis() == static_cast<std::int64_t>(rank) - 1;
}

// The op that makes the value, if it is one of these.
template <class OpType>
const OpType* made_by(const Graph& graph, Value value) {
  const GraphNode* producer = value ? graph.producer(value) : nullptr;
  return producer == nullptr ? nullptr : dynamic_cast<const OpType*>(producer->op.get());
}

// One node reads the value, and nobody else needs it.
bool has_one_reader(Value value, const std::vector<int>& uses, const std::vector<Value>& kept) {
  return uses[index(value)] == 1 && std::find(kept.begin(), kept.end(), value) == kept.end();
}

}  // namespace

int fuse_dense_activation(Graph& graph, const std::vector<Value>& kept) {
  const std::vector<int> uses = count_uses(graph);
  int fused = 0;
  for (std::size_t number = 0; number < graph.nodes().size(); ++number) {
    const GraphNode& node = graph.nodes()[number];
    const auto* activation = dynamic_cast<const ops::Activation*>(node.op.get());
    if (activation == nullptr || !gradient_from_output(activation->function())) continue;
    const Value before = node.inputs[0];
    const GraphNode* producer = graph.producer(before);
    if (made_by<ops::Dense>(graph, before) == nullptr || !producer->op->detail().empty()) continue;
    if (!has_one_reader(before, uses, kept)) continue;
    std::vector<Value> inputs = producer->inputs;
    graph.replace(static_cast<int>(number), std::make_shared<ops::Dense>(activation->function()),
                  std::move(inputs));
    ++fused;
  }
  return fused;
}

int fuse_probabilities_into_loss(Graph& graph) {
  int fused = 0;
  for (std::size_t number = 0; number < graph.nodes().size(); ++number) {
    const GraphNode node = graph.nodes()[number];
    const auto* loss = dynamic_cast<const ops::LossValues*>(node.op.get());
    if (loss == nullptr || !loss->rule().from_logits || loss->with_probabilities()) continue;
    const Value logits = node.inputs[1];
    for (std::size_t other = 0; other < number; ++other) {
      const GraphNode candidate = graph.nodes()[other];
      if (candidate.inputs.size() != 1 || candidate.inputs[0] != logits) continue;
      if (!candidate.outputs[0]) continue;  // another loss has it already
      if (!gives_probabilities(*candidate.op, loss->rule(), graph.info(logits).shape.rank()))
        continue;
      // The probabilities may be wanted before the loss is computed only by ops that stand behind
      // it in the graph.
      const bool used_before =
          std::any_of(graph.nodes().begin() + static_cast<std::ptrdiff_t>(other) + 1,
                      graph.nodes().begin() + static_cast<std::ptrdiff_t>(number),
                      [&](const GraphNode& between) {
                        return std::find(between.inputs.begin(), between.inputs.end(),
                                         candidate.outputs[0]) != between.inputs.end();
                      });
      if (used_before) continue;
      graph.share_output(static_cast<int>(number), candidate.outputs[0],
                         std::make_shared<ops::LossValues>(loss->rule(), true));
      ++fused;
      break;
    }
  }
  return fused;
}

int fuse_embedding_into_lstm(Graph& graph, const std::vector<Value>& kept) {
  const std::vector<int> uses = count_uses(graph);
  int fused = 0;
  for (std::size_t number = 0; number < graph.nodes().size(); ++number) {
    const GraphNode& node = graph.nodes()[number];
    const auto* lstm = dynamic_cast<const ops::Lstm*>(node.op.get());
    if (lstm == nullptr) continue;
    std::vector<Value> inputs = node.inputs;
    const Value rows = inputs[ops::Lstm::kIn];
    const auto* embedding = made_by<ops::Embedding>(graph, rows);
    if (embedding == nullptr || !has_one_reader(rows, uses, kept)) continue;
    const std::vector<Value>& looked_up = graph.producer(rows)->inputs;
    inputs[ops::Lstm::kIn] = looked_up[0];
    inputs[ops::Lstm::kTable] = looked_up[1];
    ops::LstmIds ids{.layer = embedding->layer()};
    Value& mask = inputs[ops::Lstm::kMask];
    const auto* unequal = made_by<ops::IdsNotEqual>(graph, mask);
    if (unequal != nullptr && unequal->value() >= 0) {
      const std::vector<Value>& compared = graph.producer(mask)->inputs;
      if (compared[0] == looked_up[0]) {
        ids.padding = unequal->value();
        mask = compared[1];
      }
    }
    graph.replace(static_cast<int>(number),
                  std::make_shared<ops::Lstm>(lstm->options(), std::move(ids)), std::move(inputs));
    ++fused;
  }
  return fused;
}

void fuse(Graph& graph, std::vector<Value>& kept) {
  if (!environment_words("BRAID_FUSION", {"off"}).empty()) return;
  fuse_probabilities_into_loss(graph);
  fuse_dense_activation(graph, kept);
  fuse_embedding_into_lstm(graph, kept);
}

}  // namespace braid
