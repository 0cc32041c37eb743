#include "engine/graph/graph.hpp"

#include <algorithm>

#include "engine/core/error.hpp"

namespace braid {

std::vector<Value> Op::gradients(GradientBuilder&) const {
  throw Error("the op \"" + std::string(kind()) + "\" has no gradient");
}

double Op::operations(Infos, Infos outputs) const {
  double sum = 0;
  for (const ValueInfo& info : outputs) sum += static_cast<double>(info.shape.elements());
  return sum;
}

std::vector<Value> GraphNode::values_read() const {
  std::vector<Value> read;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i] && op->reads(i)) read.push_back(inputs[i]);
  }
  return read;
}

std::vector<ValueInfo> Graph::infos(const std::vector<Value>& values) const {
  std::vector<ValueInfo> found;
  for (const Value value : values) found.push_back(info(value));
  return found;
}

Value Graph::append(GraphValue value) {
  values_.push_back(std::move(value));
  return Value{static_cast<int>(values_.size()) - 1};
}

Value Graph::input(std::string name, ValueInfo info) {
  return append({.kind = ValueKind::input, .info = std::move(info), .name = std::move(name)});
}

Value Graph::weight(const VariablePointer& variable) {
  for (std::size_t i = 0; i < values_.size(); ++i) {
    if (values_[i].variable == variable) return Value{static_cast<int>(i)};
  }
  return append({.kind = ValueKind::weight,
                 .info = {.shape = variable->shape},
                 .name = variable->path.empty() ? variable->name : variable->path,
                 .variable = variable});
}

Value Graph::constant(Tensor tensor) {
  ValueInfo info{.shape = tensor.shape(), .dtype = tensor.dtype()};
  return append(
      {.kind = ValueKind::constant, .info = std::move(info), .constant = std::move(tensor)});
}

Value Graph::scalar(float number) { return constant(Tensor::from({number}, {1})); }

std::vector<Value> Graph::add(std::shared_ptr<const Op> op, std::vector<Value> inputs) {
  std::vector<ValueInfo> infos;
  for (Value value : inputs) infos.push_back(info(value));
  const int node = static_cast<int>(nodes_.size());
  std::vector<Value> outputs;
  for (ValueInfo& result : op->infer(infos)) {
    if (!result.present) {
      outputs.push_back(Value{});
      continue;
    }
    const int number = static_cast<int>(outputs.size());
    outputs.push_back(append({.info = std::move(result), .producer = node, .output = number}));
  }
  nodes_.push_back({std::move(op), std::move(inputs), outputs, layer_});
  return outputs;
}

const GraphNode* Graph::producer(Value value) const {
  const int node = values_[index(value)].producer;
  return node < 0 ? nullptr : &nodes_[static_cast<std::size_t>(node)];
}

void Graph::replace(int node, std::shared_ptr<const Op> op, std::vector<Value> inputs) {
  nodes_[static_cast<std::size_t>(node)].op = std::move(op);
  nodes_[static_cast<std::size_t>(node)].inputs = std::move(inputs);
}

void Graph::share_output(int node, Value value, std::shared_ptr<const Op> op) {
  GraphValue& taken = values_[index(value)];
  nodes_[static_cast<std::size_t>(taken.producer)].outputs[static_cast<std::size_t>(taken.output)] =
      Value{};
  GraphNode& target = nodes_[static_cast<std::size_t>(node)];
  taken.producer = node;
  taken.output = static_cast<int>(target.outputs.size());
  target.outputs.push_back(value);
  target.op = std::move(op);
}

std::string describe(const Graph& graph, Value value) {
  if (!value) return "-";
  const GraphValue& entry = graph.value(value);
  if (!entry.name.empty()) return entry.name;
  if (entry.kind == ValueKind::constant && entry.constant.elements() == 1 &&
      entry.constant.dtype() == DType::float32) {
    return std::to_string(entry.constant.data<float>()[0]);
  }
  return "%" + std::to_string(value.id);
}

std::string describe(const Graph& graph) {
  std::string text;
  for (const GraphNode& node : graph.nodes()) {
    // Fusion has taken all that some nodes gave.
    if (std::none_of(node.outputs.begin(), node.outputs.end(),
                     [](Value value) { return static_cast<bool>(value); }))
      continue;
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      if (!node.outputs[i]) continue;
      if (!text.empty() && text.back() != '\n') text += ", ";
      const ValueInfo& info = graph.info(node.outputs[i]);
      text += describe(graph, node.outputs[i]) + " " + std::string(name_of(info.dtype)) + " " +
              to_string(info.shape);
    }
    text += " = " + std::string(node.op->kind());
    if (!node.op->detail().empty()) text += " (" + node.op->detail() + ")";
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      text += (i == 0 ? " " : ", ") + describe(graph, node.inputs[i]);
    }
    text += "\n";
  }
  return text;
}

}  // namespace braid
