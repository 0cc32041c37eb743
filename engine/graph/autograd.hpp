#pragma once
#include <utility>
#include <vector>

#include "engine/graph/graph.hpp"

namespace braid {

// What an op sees when it writes its gradient as further ops.
class GradientBuilder {
 public:
  GradientBuilder(Graph& graph, const GraphNode& node, std::vector<Value> output_gradients,
                  std::vector<bool> needed)
      : graph(graph),
        node_(node),
        output_gradients_(std::move(output_gradients)),
        needed_(std::move(needed)) {}

  Graph& graph;

  Value input(std::size_t index) const { return node_.inputs[index]; }
  Value output(std::size_t index = 0) const { return node_.outputs[index]; }
  // The gradient that reaches output `index`; absent if none does.
  Value gradient(std::size_t index = 0) const { return output_gradients_[index]; }
  // A gradient of this input is wanted.
  bool needs(std::size_t index) const { return needed_[index]; }
  std::size_t inputs() const { return node_.inputs.size(); }

 private:
  const GraphNode& node_;
  std::vector<Value> output_gradients_;
  std::vector<bool> needed_;
};

// Appends the ops that compute the gradient of sum_k <seed_k, value_k> with respect to each of
// `targets`: in reverse order, summed where a value is used more than once, leaving out whatever
// nothing needs. A target that no seed depends on gets Value{}. Seeds are pairs (value, gradient of
// the same shape).
std::vector<Value> add_gradients(Graph& graph, const std::vector<std::pair<Value, Value>>& seeds,
                                 const std::vector<Value>& targets);

}  // namespace braid
