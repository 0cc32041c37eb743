#pragma once
#include <vector>

#include "engine/graph/graph.hpp"
#include "engine/graph/layer_base.hpp"
#include "tests/golden_runner/golden_file.hpp"

namespace braid::golden {

// A graph whose inputs are given tensors, built op by op and then run once.
class GraphRun {
 public:
  Graph& graph() { return *graph_; }

  // A batched input of this tensor's shape.
  Value input(const Tensor& tensor);
  // Fuses, plans and runs; the results in the order of `outputs`. `gradients` are added after the
  // fusion, as training does.
  std::vector<Numbers> run(std::vector<Value> outputs);
  std::vector<Numbers> run(std::vector<Value> outputs,
                           const std::vector<std::pair<Value, Value>>& seeds,
                           const std::vector<Value>& targets);

 private:
  std::vector<Numbers> execute(const std::vector<Value>& outputs) const;

  std::shared_ptr<Graph> graph_ = std::make_shared<Graph>();
  std::vector<Tensor> tensors_;
};

}  // namespace braid::golden
