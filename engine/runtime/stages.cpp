#include "engine/runtime/stages.hpp"

#include <algorithm>

namespace braid {
namespace {

// Some operand or result has rows.
bool has_rows(const Graph& graph, const GraphNode& node) {
  const auto batched = [&](Value value) { return value && graph.info(value).batched; };
  return std::ranges::any_of(node.values_read(), batched) ||
         std::ranges::any_of(node.outputs, batched);
}

// How much later than its producer's stage a consumer must stand.
int distance_between(bool producer_by_rows, bool value_batched, bool consumer_by_rows) {
  if (producer_by_rows) {
    if (consumer_by_rows) return value_batched ? 0 : 2;
    return 1;
  }
  return consumer_by_rows ? 1 : 0;
}

}  // namespace

std::vector<int> assign_stages(const Graph& graph, const std::vector<Value>& outputs,
                               const std::vector<bool>& folded,
                               const std::vector<bool>& also_by_rows) {
  const auto& nodes = graph.nodes();
  std::vector<bool> alive_value(graph.values().size(), false);
  for (Value output : outputs) {
    if (output) alive_value[index(output)] = true;
  }
  std::vector<bool> alive(nodes.size(), false);
  std::vector<bool> by_rows(nodes.size(), false);
  // Fusion may move a result to a node that stands behind its uses' producers, never behind its
  // uses: one pass is enough.
  for (std::size_t n = nodes.size(); n-- > 0;) {
    for (Value output : nodes[n].outputs)
      alive[n] = alive[n] || (output && alive_value[index(output)]);
    if (!folded.empty() && folded[n]) alive[n] = false;
    if (!alive[n]) continue;
    const bool tiles = nodes[n].op->tileable(graph.infos(nodes[n].inputs)) ||
                       (!also_by_rows.empty() && also_by_rows[n]);
    by_rows[n] = tiles && has_rows(graph, nodes[n]);
    for (Value input : nodes[n].values_read()) alive_value[index(input)] = true;
  }
  // Calls body(producer, distance) for each node that makes what this one reads.
  const auto for_producers = [&](std::size_t n, const auto& body) {
    for (Value input : nodes[n].values_read()) {
      const int producer = graph.value(input).producer;
      if (producer < 0 || !alive[static_cast<std::size_t>(producer)]) continue;
      const auto p = static_cast<std::size_t>(producer);
      body(p, distance_between(by_rows[p], graph.info(input).batched, by_rows[n]));
    }
  };

  std::vector<int> stage(nodes.size(), kDeadStage);
  int last = -1;
  for (std::size_t n = 0; n < nodes.size(); ++n) {
    if (!alive[n]) continue;
    stage[n] = by_rows[n] ? 0 : -1;
    for_producers(n, [&](std::size_t producer, int distance) {
      stage[n] = std::max(stage[n], stage[producer] + distance);
    });
    last = std::max(last, stage[n]);
  }

  // As late as the consumers allow.
  std::vector<int> latest(nodes.size());
  for (std::size_t n = 0; n < nodes.size(); ++n) {
    const bool last_is_rows = last % 2 == 0;
    latest[n] = by_rows[n] == last_is_rows ? last : last - 1;
  }
  for (std::size_t n = nodes.size(); n-- > 0;) {
    if (!alive[n]) continue;
    for_producers(n, [&](std::size_t producer, int distance) {
      latest[producer] = std::min(latest[producer], latest[n] - distance);
    });
  }
  for (std::size_t n = 0; n < nodes.size(); ++n) {
    if (alive[n]) stage[n] = latest[n];
  }
  return stage;
}

}  // namespace braid
