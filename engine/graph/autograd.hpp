#pragma once
#include <utility>
#include <vector>

#include "engine/core/device.hpp"
#include "engine/graph/graph.hpp"

namespace braid {

// How the batch comes to the ops: in tiles of rows, as the processor's cores want them; or as a
// whole, as on a GPU, where a gradient may have a form that tiles could not have.
enum class GradientOf : std::uint8_t { tiles, whole_batch };
inline GradientOf gradient_on(Device device) {
  return device == Device::cpu() ? GradientOf::tiles : GradientOf::whole_batch;
}

// What an op sees when it writes its gradient as further ops.
class GradientBuilder {
 public:
  GradientBuilder(Graph& graph, const GraphNode& node, std::vector<Value> output_gradients,
                  std::vector<bool> needed, GradientOf gradient_of)
      : graph(graph),
        node_(node),
        output_gradients_(std::move(output_gradients)),
        needed_(std::move(needed)),
        gradient_of_(gradient_of) {}

  Graph& graph;

  Value input(std::size_t index) const { return node_.inputs[index]; }
  Value output(std::size_t index = 0) const { return node_.outputs[index]; }
  // The gradient that reaches output `index`; absent if none does.
  Value gradient(std::size_t index = 0) const { return output_gradients_[index]; }
  // A gradient of this input is wanted.
  bool needs(std::size_t index) const { return needed_[index]; }
  std::size_t inputs() const { return node_.inputs.size(); }
  GradientOf gradient_of() const { return gradient_of_; }

 private:
  const GraphNode& node_;
  std::vector<Value> output_gradients_;
  std::vector<bool> needed_;
  GradientOf gradient_of_;
};

// Appends the ops that compute the gradient of sum_k <seed_k, value_k> with respect to each of
// `targets`: in reverse order, summed where a value is used more than once, leaving out whatever
// nothing needs. A target that no seed depends on gets Value{}. Seeds are pairs (value, gradient of
// the same shape).
std::vector<Value> add_gradients(Graph& graph, const std::vector<std::pair<Value, Value>>& seeds,
                                 const std::vector<Value>& targets,
                                 GradientOf gradient_of = GradientOf::tiles);

}  // namespace braid
