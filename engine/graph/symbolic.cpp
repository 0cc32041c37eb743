#include "engine/graph/symbolic.hpp"

#include <algorithm>
#include <set>

#include "engine/core/error.hpp"
#include "engine/graph/layer_base.hpp"
#include "engine/graph/ops/elementwise.hpp"

namespace braid {
namespace {

class InputLayer final : public LayerBase {
 public:
  explicit InputLayer(InputOptions options) : options_(std::move(options)) { name = options_.name; }
  std::string class_name() const override { return "InputLayer"; }
  nlohmann::json config() const override {
    nlohmann::json shape = nlohmann::json::array();
    for (Dim dim : options_.shape)
      shape.push_back(dim == None ? nlohmann::json(nullptr) : nlohmann::json(dim));
    return {{"shape", shape}, {"dtype", std::string(name_of(options_.dtype))}};
  }
  std::vector<Lowered> call(LayerCall& call) override { return call.inputs; }
  bool is_input() const override { return true; }

 private:
  InputOptions options_;
};

// The mask of a tensor as a tensor: stands for an argument only, so it emits nothing.
class MaskOf final : public LayerBase {
 public:
  std::string class_name() const override { return "MaskOf"; }
  nlohmann::json config() const override { return nlohmann::json::object(); }
  std::vector<Lowered> call(LayerCall& call) override { return {{.value = call.input().mask}}; }
};

// An operator on two tensors, or on a tensor and a number. Masks: as for Keras's operators, none is
// passed on.
class Operator final : public LayerBase {
 public:
  Operator(kernels::BinaryKind kind, bool has_scalar, double scalar, bool scalar_first)
      : kind_(kind), has_scalar_(has_scalar), scalar_(scalar), scalar_first_(scalar_first) {}
  std::string class_name() const override { return "Operator"; }
  nlohmann::json config() const override {
    return {{"kind", static_cast<int>(kind_)},
            {"has_scalar", has_scalar_},
            {"scalar", scalar_},
            {"scalar_first", scalar_first_}};
  }
  std::vector<Lowered> call(LayerCall& call) override {
    for (const Lowered& input : call.inputs) drop_mask(input);
    Graph& graph = call.graph;
    Value a = call.inputs[0].value;
    Value b = has_scalar_ ? graph.scalar(static_cast<float>(scalar_)) : call.inputs[1].value;
    a = ops::to_float(graph, a);
    b = ops::to_float(graph, b);
    if (scalar_first_) std::swap(a, b);
    return {{.value = ops::binary(graph, kind_, a, b)}};
  }

 private:
  kernels::BinaryKind kind_;
  bool has_scalar_;
  double scalar_;
  bool scalar_first_;
};

const LayerRegistration operator_registration("Operator", [](const nlohmann::json& config) {
  return std::make_shared<Operator>(static_cast<kernels::BinaryKind>(config.at("kind").get<int>()),
                                    config.at("has_scalar").get<bool>(),
                                    config.at("scalar").get<double>(),
                                    config.at("scalar_first").get<bool>());
});
const LayerRegistration mask_registration("MaskOf", [](const nlohmann::json&) {
  return std::make_shared<MaskOf>();
});
const LayerRegistration input_registration("InputLayer", [](const nlohmann::json& config) {
  std::vector<Dim> dims;
  for (const auto& dim : config.at("shape")) dims.push_back(dim.is_null() ? None : dim.get<Dim>());
  return std::make_shared<InputLayer>(
      InputOptions{.shape = Shape(std::move(dims)),
                   .dtype = dtype_named(config.at("dtype").get<std::string>())});
});

SymbolicTensor apply(kernels::BinaryKind kind, const SymbolicTensor& a, const SymbolicTensor& b) {
  return call_layer(std::make_shared<Operator>(kind, false, 0, false), {.inputs = {a, b}}).front();
}

SymbolicTensor apply(kernels::BinaryKind kind, const SymbolicTensor& a, double b) {
  return call_layer(std::make_shared<Operator>(kind, true, b, false), {.inputs = {a}}).front();
}

SymbolicTensor apply(kernels::BinaryKind kind, double a, const SymbolicTensor& b) {
  return call_layer(std::make_shared<Operator>(kind, true, a, true), {.inputs = {b}}).front();
}

const SymbolicNode::Output& output_of(const SymbolicTensor& tensor) {
  return tensor.node()->outputs[static_cast<std::size_t>(tensor.index())];
}

}  // namespace

Shape SymbolicTensor::shape() const {
  const Shape& shape = output_of(*this).info.shape;
  return shape.slice(1, shape.rank());
}

DType SymbolicTensor::dtype() const { return output_of(*this).info.dtype; }
const std::string& SymbolicTensor::name() const { return node_->layer->name; }
bool SymbolicTensor::has_mask() const { return output_of(*this).masked; }

SymbolicTensor SymbolicTensor::mask() const {
  if (!has_mask())
    throw NameError("the tensor of " + node_->layer->described() + " carries no mask");
  auto node = std::make_shared<SymbolicNode>();
  node->layer = std::make_shared<MaskOf>();
  node->inputs = {*this};
  const Shape& shape = output_of(*this).info.shape;
  node->outputs = {{.info = {.shape = shape.slice(0, std::min<std::size_t>(2, shape.rank())),
                             .dtype = DType::bool_,
                             .batched = true}}};
  node->is_mask_of_input = true;
  return SymbolicTensor(std::move(node), 0);
}

using kernels::BinaryKind;
SymbolicTensor operator+(const SymbolicTensor& a, const SymbolicTensor& b) {
  return apply(BinaryKind::add, a, b);
}
SymbolicTensor operator-(const SymbolicTensor& a, const SymbolicTensor& b) {
  return apply(BinaryKind::subtract, a, b);
}
SymbolicTensor operator*(const SymbolicTensor& a, const SymbolicTensor& b) {
  return apply(BinaryKind::multiply, a, b);
}
SymbolicTensor operator/(const SymbolicTensor& a, const SymbolicTensor& b) {
  return apply(BinaryKind::divide, a, b);
}
SymbolicTensor operator+(const SymbolicTensor& a, double b) { return apply(BinaryKind::add, a, b); }
SymbolicTensor operator-(const SymbolicTensor& a, double b) {
  return apply(BinaryKind::subtract, a, b);
}
SymbolicTensor operator*(const SymbolicTensor& a, double b) {
  return apply(BinaryKind::multiply, a, b);
}
SymbolicTensor operator/(const SymbolicTensor& a, double b) {
  return apply(BinaryKind::divide, a, b);
}
SymbolicTensor operator+(double a, const SymbolicTensor& b) { return apply(BinaryKind::add, a, b); }
SymbolicTensor operator-(double a, const SymbolicTensor& b) {
  return apply(BinaryKind::subtract, a, b);
}
SymbolicTensor operator*(double a, const SymbolicTensor& b) {
  return apply(BinaryKind::multiply, a, b);
}
SymbolicTensor operator/(double a, const SymbolicTensor& b) {
  return apply(BinaryKind::divide, a, b);
}

SymbolicTensor Input(InputOptions options) {
  for (Dim dim : options.shape) {
    if (dim >= 0 || dim == None) continue;
    throw ShapeError("Input \"" + options.name + "\": an axis of " + std::to_string(dim) +
                     "; axes are counts, or None where unknown");
  }
  auto node = std::make_shared<SymbolicNode>();
  node->outputs = {
      {.info = {.shape = options.shape.prepend(None), .dtype = options.dtype, .batched = true}}};
  node->layer = std::make_shared<InputLayer>(std::move(options));
  return SymbolicTensor(std::move(node), 0);
}

const SymbolicTensor& SymbolicDict::operator[](const std::string& name) const {
  std::vector<std::string> known;
  for (const auto& [key, tensor] : items_) {
    if (key == name) return tensor;
    known.push_back(key);
  }
  throw NameError("no output \"" + name + "\"; known are " + quoted_list(known) + "." +
                  suggestion(name, known));
}

const SymbolicTensor& SymbolicDict::operator[](std::size_t position) const {
  if (position < items_.size()) return items_[position].second;
  throw RangeError("no output " + std::to_string(position) + "; there are " +
                   std::to_string(items_.size()) + ", counted from 0");
}

std::vector<SymbolicTensor> call_layer(const std::shared_ptr<LayerBase>& layer, SymbolicCall call) {
  // A trial run in a graph of its own says what comes out; the model's graph is built later, for
  // its own purpose.
  Graph graph;
  const auto enter = [&](const SymbolicTensor& tensor) -> Lowered {
    const SymbolicNode::Output& output = output_of(tensor);
    Lowered lowered{.value = graph.input("", output.info)};
    if (output.masked) {
      lowered.mask = graph.input(
          "", {.shape = output.info.shape.slice(0, 2), .dtype = DType::bool_, .batched = true});
    }
    return lowered;
  };
  LayerCall trial{.graph = graph};
  std::vector<ValueInfo> infos;
  for (const SymbolicTensor& tensor : call.inputs) {
    trial.inputs.push_back(enter(tensor));
    infos.push_back(output_of(tensor).info);
  }
  for (const SymbolicTensor& tensor : call.initial_state)
    trial.initial_state.push_back(enter(tensor));
  if (call.mask) {
    trial.explicit_mask = enter(*call.mask).value;
    trial.has_explicit_mask = true;
  }
  if (trial.inputs.empty()) throw ShapeError(layer->described() + " was called without an input");
  layer->ensure_built(infos);

  auto node = std::make_shared<SymbolicNode>();
  for (const Lowered& result : layer->lower(trial)) {
    node->outputs.push_back(
        {.info = graph.info(result.value), .masked = static_cast<bool>(result.mask)});
  }
  node->layer = layer;
  node->inputs = std::move(call.inputs);
  node->initial_state = std::move(call.initial_state);
  node->mask = std::move(call.mask);
  std::vector<SymbolicTensor> results;
  for (std::size_t i = 0; i < node->outputs.size(); ++i)
    results.emplace_back(node, static_cast<int>(i));
  return results;
}

SymbolicTensor Layer::operator()(const SymbolicTensor& input) const {
  return call_layer(base_, {.inputs = {input}}).front();
}

SymbolicTensor Layer::operator()(const std::vector<SymbolicTensor>& inputs) const {
  return call_layer(base_, {.inputs = inputs}).front();
}

const std::string& Layer::name() const { return base_->name; }
std::string Layer::class_name() const { return base_->class_name(); }
bool Layer::trainable() const { return base_->trainable; }

void Layer::set_trainable(bool trainable) {
  const auto set = [trainable](auto&& self, LayerBase& layer) -> void {
    layer.trainable = trainable;
    for (const auto& inner : layer.sublayers()) self(self, *inner);
  };
  set(set, *base_);
}

std::int64_t Layer::count_params() const {
  // A weight that several layers inside share counts once.
  std::set<const Variable*> found;
  const auto find = [&found](auto&& self, const LayerBase& layer) -> void {
    for (const auto& variable : layer.variables()) found.insert(variable.get());
    for (const auto& inner : layer.sublayers()) self(self, *inner);
  };
  find(find, *base_);
  std::int64_t sum = 0;
  for (const Variable* variable : found) sum += variable->shape.elements();
  return sum;
}

}  // namespace braid
