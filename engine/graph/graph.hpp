#pragma once
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <braid/tensor.hpp>

#include "engine/graph/op.hpp"
#include "engine/graph/variable.hpp"

namespace braid {

enum class ValueKind { input, weight, constant, result };

struct GraphValue {
  ValueKind kind = ValueKind::result;
  ValueInfo info;
  std::string name;          // input: its key; weight: its path; else empty
  int producer = -1;         // result: the node
  int output = 0;            // result: which of the node's outputs
  VariablePointer variable;  // weight
  Tensor constant;           // constant
};

struct GraphNode {
  std::shared_ptr<const Op> op;
  std::vector<Value> inputs;  // absent operands are Value{}
  std::vector<Value> outputs;
  std::string layer = {};  // `LSTM layer "lstm"`, for messages; empty for what no layer asked for

  // The operands that are there and whose elements the op reads.
  std::vector<Value> values_read() const;
};

// Ops and the values between them, in an order in which they can be run. Built by layers, extended
// by autograd, rewritten by the fusion passes, then planned.
class Graph {
 public:
  Value input(std::string name, ValueInfo info);
  // The value of a variable; asking twice gives the same value.
  Value weight(const VariablePointer& variable);
  Value constant(Tensor tensor);
  Value scalar(float number);

  std::vector<Value> add(std::shared_ptr<const Op> op, std::vector<Value> inputs);
  // The first output of a new op.
  template <class OpType, class... Arguments>
  Value op(const std::vector<Value>& inputs, Arguments&&... arguments) {
    return add(std::make_shared<OpType>(std::forward<Arguments>(arguments)...), inputs).front();
  }

  const ValueInfo& info(Value value) const { return value ? values_[index(value)].info : kAbsent; }
  std::vector<ValueInfo> infos(const std::vector<Value>& values) const;
  const GraphValue& value(Value value) const { return values_[index(value)]; }
  const std::deque<GraphValue>& values() const { return values_; }
  const std::deque<GraphNode>& nodes() const { return nodes_; }
  // Nodes added from now on belong to this layer; returns what was set before.
  std::string set_layer(std::string described) {
    return std::exchange(layer_, std::move(described));
  }

  // The node that makes the value; null for inputs, weights and constants.
  const GraphNode* producer(Value value) const;

  // Puts another op in the place of a node; its outputs keep their handles and descriptions. For
  // the fusion passes.
  void replace(int node, std::shared_ptr<const Op> op, std::vector<Value> inputs);
  // Puts an op with one more result in the place of a node: the new result takes over `value`,
  // whose own producer is left without it.
  void share_output(int node, Value value, std::shared_ptr<const Op> op);

 private:
  Value append(GraphValue value);

  // References to values and nodes stay good while the graph grows.
  std::deque<GraphValue> values_;
  std::deque<GraphNode> nodes_;
  std::string layer_;
};

// The graph in words, one line an op: `%7 float32 [batch, 64] = dense (relu) %0 text, dense/kernel,
// dense/bias`.
std::string describe(const Graph& graph);
// `%7` with the name where it has one.
std::string describe(const Graph& graph, Value value);

}  // namespace braid
