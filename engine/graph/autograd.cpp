#include "engine/graph/autograd.hpp"

#include "engine/graph/ops/elementwise.hpp"

namespace braid {
namespace {

// Values from which some target can be reached backwards.
std::vector<bool> values_to_visit(const Graph& graph, const std::vector<Value>& targets) {
  std::vector<bool> depends(graph.values().size(), false);
  for (Value target : targets) depends[index(target)] = true;
  for (const GraphNode& node : graph.nodes()) {
    bool any = false;
    for (Value input : node.inputs) any = any || (input && depends[index(input)]);
    if (!any) continue;
    for (Value output : node.outputs) {
      if (output) depends[index(output)] = true;
    }
  }
  return depends;
}

}  // namespace

std::vector<Value> add_gradients(Graph& graph, const std::vector<std::pair<Value, Value>>& seeds,
                                 const std::vector<Value>& targets, GradientOf gradient_of) {
  const std::vector<bool> depends = values_to_visit(graph, targets);
  std::vector<std::vector<Value>> arriving(graph.values().size());
  for (const auto& [value, gradient] : seeds) arriving[index(value)].push_back(gradient);
  const auto total = [&](Value value) -> Value {
    auto& summands = arriving[index(value)];
    if (summands.empty()) return {};
    if (summands.size() > 1) summands = {ops::sum(graph, summands)};
    return summands.front();
  };

  for (std::size_t number = graph.nodes().size(); number-- > 0;) {
    const GraphNode node = graph.nodes()[number];
    std::vector<Value> output_gradients;
    bool reached = false;
    for (Value output : node.outputs) {
      output_gradients.push_back(output && depends[index(output)] ? total(output) : Value{});
      reached = reached || output_gradients.back();
    }
    std::vector<bool> needed;
    bool wanted = false;
    for (Value input : node.inputs) {
      needed.push_back(input && depends[index(input)] && graph.info(input).dtype == DType::float32);
      wanted = wanted || needed.back();
    }
    if (!reached || !wanted) continue;
    GradientBuilder build(graph, node, std::move(output_gradients), needed, gradient_of);
    const std::vector<Value> gradients = node.op->gradients(build);
    for (std::size_t i = 0; i < gradients.size(); ++i) {
      if (gradients[i] && needed[i]) arriving[index(node.inputs[i])].push_back(gradients[i]);
    }
  }
  std::vector<Value> results;
  for (Value target : targets) results.push_back(total(target));
  return results;
}

}  // namespace braid
