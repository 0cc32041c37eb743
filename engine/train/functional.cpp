#include "engine/train/functional.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "engine/core/error.hpp"
#include "engine/core/random.hpp"
#include "engine/graph/config.hpp"
#include "engine/graph/ops/elementwise.hpp"
#include "engine/train/trainer.hpp"

namespace braid {
namespace {

std::string automatic_name(const LayerBase& layer) {
  return layer.is_input() ? "input" : snake_case(layer.class_name());
}

void name_layers(const std::vector<std::shared_ptr<LayerBase>>& layers, const std::string& model) {
  std::set<std::string> taken;
  for (const auto& layer : layers) {
    if (layer->name.empty()) continue;
    if (layer->name.find('/') != std::string::npos) {
      throw NameError("the layer name \"" + layer->name + "\" must not hold a \"/\"");
    }
    if (!taken.insert(layer->name).second) {
      throw NameError("model \"" + model + "\" has two layers named \"" + layer->name + "\"");
    }
  }
  std::map<std::string, int> counters;
  for (const auto& layer : layers) {
    if (!layer->name.empty()) continue;
    const std::string base = automatic_name(*layer);
    std::string candidate = base;
    for (int& number = counters[base];
         candidate = number == 0 ? base : base + "_" + std::to_string(number),
              taken.contains(candidate);) {
      ++number;
    }
    ++counters[base];
    taken.insert(candidate);
    layer->name = candidate;
  }
}

std::vector<SymbolicTensor> arguments_of(const SymbolicNode& node) {
  std::vector<SymbolicTensor> all = node.inputs;
  all.insert(all.end(), node.initial_state.begin(), node.initial_state.end());
  if (node.mask) all.push_back(*node.mask);
  return all;
}

// The order of Keras: nodes and layers by falling distance from the outputs, then in the order in
// which a walk from the outputs meets them.
class Walk {
 public:
  explicit Walk(const std::set<const SymbolicNode*>& stops) : stops_(stops) {}

  bool has_met(const SymbolicNode* node) const { return done_.contains(node); }

  void visit(const std::shared_ptr<const SymbolicNode>& node) {
    if (done_.contains(node.get())) return;
    layer_order_.emplace(node->layer.get(), layer_order_.size());
    if (!stops_.contains(node.get())) {
      for (const SymbolicTensor& argument : arguments_of(*node)) visit(argument.node());
    }
    done_.insert(node.get());
    nodes.push_back(node);
  }

  void sort() {
    std::map<const SymbolicNode*, int> depth;
    std::map<const LayerBase*, int> layer_depth;
    for (auto node = nodes.rbegin(); node != nodes.rend(); ++node) {
      int& own = depth[node->get()];
      int& of_layer = layer_depth[(*node)->layer.get()];
      own = of_layer = std::max(own, of_layer);
      if (stops_.contains(node->get())) continue;
      for (const SymbolicTensor& argument : arguments_of(**node)) {
        int& below = depth[argument.node().get()];
        below = std::max(below, own + 1);
      }
    }
    for (const auto& node : nodes) {
      if (node->is_mask_of_input) continue;
      if (std::find(layers.begin(), layers.end(), node->layer) == layers.end())
        layers.push_back(node->layer);
    }
    std::stable_sort(layers.begin(), layers.end(), [&](const auto& a, const auto& b) {
      const int depth_a = layer_depth[a.get()];
      const int depth_b = layer_depth[b.get()];
      return depth_a != depth_b ? depth_a > depth_b : layer_order_[a.get()] < layer_order_[b.get()];
    });
  }

  std::vector<std::shared_ptr<const SymbolicNode>> nodes;  // arguments first
  std::vector<std::shared_ptr<LayerBase>> layers;

 private:
  const std::set<const SymbolicNode*>& stops_;
  std::set<const SymbolicNode*> done_;
  std::map<const LayerBase*, std::size_t> layer_order_;
};

std::vector<std::string> names_of(const NamedTensors& tensors) {
  std::vector<std::string> names;
  for (const auto& [key, tensor] : tensors) {
    std::string name = key.empty() ? tensor.name() : key;
    for (int number = 1; std::find(names.begin(), names.end(), name) != names.end(); ++number) {
      name = (key.empty() ? tensor.name() : key) + "_" + std::to_string(number);
    }
    names.push_back(name);
  }
  return names;
}

void collect_unbuilt(const std::shared_ptr<LayerBase>& layer,
                     std::vector<std::shared_ptr<LayerBase>>& found) {
  if (!layer->built()) found.push_back(layer);
  for (const auto& inner : layer->sublayers()) collect_unbuilt(inner, found);
}

void collect(const LayerBase& layer, const std::string& prefix, NamedVariables& variables) {
  for (const auto& variable : layer.variables()) {
    const bool known = std::any_of(variables.begin(), variables.end(),
                                   [&](const auto& entry) { return entry.second == variable; });
    if (!known) variables.emplace_back(prefix + variable->name, variable);
  }
  for (const auto& inner : layer.sublayers())
    collect(*inner, prefix + inner->name + "/", variables);
}

}  // namespace

Functional::Functional(NamedTensors inputs, NamedTensors outputs, std::string model_name) {
  name = std::move(model_name);
  connect(std::move(inputs), std::move(outputs));
  ensure_built({});
}

Functional::~Functional() = default;

void Functional::require_built() const {
  if (built()) return;
  throw ShapeError(described() +
                   " does not know the shape of its input yet: give it an Input, or data first");
}

Trainer& Functional::trainer() {
  require_built();
  const std::lock_guard lock(trainer_mutex_);
  if (!trainer_) trainer_ = std::make_unique<Trainer>(*this);
  if (waiting_) std::exchange(waiting_, nullptr)(*trainer_);
  return *trainer_;
}

void Functional::with_trainer(std::function<void(Trainer&)> act) {
  if (built()) {
    act(trainer());
  } else {
    waiting_ = std::move(act);
  }
}

void Functional::connect(NamedTensors inputs, NamedTensors outputs) {
  inputs_ = std::move(inputs);
  outputs_ = std::move(outputs);
  const std::string called = name.empty() ? "model" : name;
  if (inputs_.empty() || outputs_.empty())
    throw ShapeError("model \"" + called + "\" needs an input and an output");
  std::set<const SymbolicNode*> stops;
  for (const auto& [key, tensor] : inputs_) stops.insert(tensor.node().get());
  Walk walk(stops);
  const auto visit_all = [&walk](NamedTensors sorted) {
    // Keras walks through a dict in the order of its sorted keys; without keys the order stays.
    std::stable_sort(sorted.begin(), sorted.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    for (const auto& [key, tensor] : sorted) walk.visit(tensor.node());
  };
  visit_all(outputs_);
  const auto unreached = std::find_if(inputs_.begin(), inputs_.end(), [&](const auto& input) {
    return !walk.has_met(input.second.node().get());
  });
  visit_all(inputs_);
  walk.sort();
  nodes_ = std::move(walk.nodes);
  layers_ = std::move(walk.layers);
  name_layers(layers_, called);
  check_connections(called, stops);
  if (unreached != inputs_.end()) {
    const auto place = static_cast<std::size_t>(unreached - inputs_.begin());
    throw NameError("model \"" + called + "\": the input \"" + input_names()[place] +
                    "\" leads to no output");
  }
  rehearse();
}

void Functional::rehearse() {
  Graph graph;
  LayerCall trial{.graph = graph};
  for (const auto& [key, tensor] : inputs_) {
    const auto& output = tensor.node()->outputs[static_cast<std::size_t>(tensor.index())];
    Lowered input{.value = graph.input("", output.info)};
    if (output.masked) {
      input.mask = graph.input(
          "", {.shape = output.info.shape.slice(0, 2), .dtype = DType::bool_, .batched = true});
    }
    trial.inputs.push_back(input);
  }
  call(trial);
}

void Functional::check_connections(const std::string& called,
                                   const std::set<const SymbolicNode*>& stops) const {
  for (const auto& node : nodes_) {
    if (!node->inputs.empty() || stops.contains(node.get())) continue;
    throw NameError("model \"" + called + "\": an output depends on the input \"" +
                    node->layer->name + "\", which is not among the model's inputs, " +
                    quoted_list(input_names()));
  }
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    for (std::size_t k = 0; k < i; ++k) {
      if (inputs_[i].second == inputs_[k].second) {
        throw NameError("model \"" + called + "\" has the input \"" + inputs_[i].second.name() +
                        "\" twice");
      }
    }
  }
  const auto check_keys = [&](const char* what, const NamedTensors& ends) {
    std::set<std::string> keys;
    const auto twice = std::find_if(ends.begin(), ends.end(), [&](const auto& end) {
      return !end.first.empty() && !keys.insert(end.first).second;
    });
    if (twice == ends.end()) return;
    throw NameError("model \"" + called + "\" has two " + what + " named \"" + twice->first + "\"");
  };
  check_keys("inputs", inputs_);
  check_keys("outputs", outputs_);
}

std::vector<std::string> Functional::input_names() const { return names_of(inputs_); }
std::vector<std::string> Functional::output_names() const { return names_of(outputs_); }

std::vector<Lowered> Functional::call(LayerCall& call) {
  if (call.inputs.size() != inputs_.size()) {
    throw ShapeError(described() + " takes " + std::to_string(inputs_.size()) + " inputs (" +
                     quoted_list(input_names()) + "); " + std::to_string(call.inputs.size()) +
                     " came");
  }
  std::map<const SymbolicNode*, std::vector<Lowered>> results;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    const SymbolicTensor& tensor = inputs_[i].second;
    Lowered lowered = call.inputs[i];
    const ValueInfo& expected =
        tensor.node()->outputs[static_cast<std::size_t>(tensor.index())].info;
    const ValueInfo& came = call.graph.info(lowered.value);
    bool fits = expected.shape.rank() == came.shape.rank();
    for (std::size_t axis = 1; fits && axis < came.shape.rank(); ++axis) {
      const Dim wanted = expected.shape[axis];
      fits = wanted == None || came.shape[axis] == None || wanted == came.shape[axis];
    }
    if (!fits) {
      throw ShapeError(described() + ": the input \"" + input_names()[i] + "\" is " +
                       to_string(expected.shape) + "; " + to_string(came.shape) + " came");
    }
    if (expected.dtype == DType::float32) lowered.value = ops::to_float(call.graph, lowered.value);
    if (expected.dtype == DType::int32) lowered.value = ops::to_ids(call.graph, lowered.value);
    auto& outputs = results[tensor.node().get()];
    outputs.resize(std::max(outputs.size(), static_cast<std::size_t>(tensor.index()) + 1));
    outputs[static_cast<std::size_t>(tensor.index())] = lowered;
  }
  const auto find = [&](const SymbolicTensor& tensor) {
    return results.at(tensor.node().get()).at(static_cast<std::size_t>(tensor.index()));
  };
  for (const auto& node : nodes_) {
    if (results.contains(node.get())) continue;
    if (node->is_mask_of_input) {
      results[node.get()] = {{.value = find(node->inputs.front()).mask}};
      continue;
    }
    LayerCall inner{.graph = call.graph,
                    .training = call.training,
                    .added_losses = call.added_losses,
                    .ragged_rules = call.ragged_rules};
    for (const SymbolicTensor& input : node->inputs) inner.inputs.push_back(find(input));
    for (const SymbolicTensor& state : node->initial_state)
      inner.initial_state.push_back(find(state));
    if (node->mask) {
      inner.explicit_mask = find(*node->mask).value;
      inner.has_explicit_mask = true;
    }
    results[node.get()] = node->layer->lower(inner);
  }
  std::vector<Lowered> outputs;
  for (const auto& [key, tensor] : outputs_) outputs.push_back(find(tensor));
  return outputs;
}

NamedVariables Functional::named_variables() const {
  NamedVariables variables;
  for (const auto& layer : sublayers()) collect(*layer, layer->name + "/", variables);
  return variables;
}

void Functional::initialize_weights() {
  const NamedVariables variables = named_variables();
  bool all_done = true;
  for (const auto& [path, variable] : variables) {
    all_done = all_done && variable->initialized;
    // What another model has planned and recorded reads the weights where they are.
    if (variable->initialized && variable->value.device() != device_) {
      throw DeviceError("the weight \"" + path + "\" belongs to a model on device \"" +
                        to_string(variable->value.device()) + "\"; a model on \"" +
                        to_string(device_) + "\" cannot share it");
    }
  }
  if (all_done) return;
  const std::uint64_t seed = next_seed();
  std::vector<Tensor*> values;
  for (std::size_t i = 0; i < variables.size(); ++i) {
    Variable& variable = *variables[i].second;
    values.push_back(&variable.value);
    if (variable.path.empty() || !variable.initialized) variable.path = variables[i].first;
    if (variable.initialized) continue;
    variable.value = initial_value(variable.initializer, variable.shape, seed, i);
    for (Dim element = variable.ones.first; element < variable.ones.second; ++element) {
      variable.value.data<float>()[element] = 1;
    }
    variable.initialized = true;
  }
  move_together(values, device_, "the weights");
}

SequentialLayer::SequentialLayer(std::vector<std::shared_ptr<LayerBase>> chain,
                                 std::optional<SymbolicTensor> input, std::string model_name)
    : chain_(std::move(chain)), input_(std::move(input)) {
  name = std::move(model_name);
  if (chain_.empty()) throw ShapeError("a Sequential needs a layer");
  name_layers(chain_, name.empty() ? "sequential" : name);
  if (input_) ensure_built({});
}

void SequentialLayer::build(const std::vector<ValueInfo>& inputs) {
  std::vector<std::shared_ptr<LayerBase>> fresh;
  for (const auto& layer : chain_) collect_unbuilt(layer, fresh);
  const std::optional<SymbolicTensor> given = input_;
  try {
    if (!input_) {
      const Shape& shape = inputs.front().shape;
      if (shape.rank() == 0) throw ShapeError(described() + ": an input needs a batch axis");
      input_ = Input({.shape = shape.slice(1, shape.rank()), .name = "input"});
    }
    SymbolicTensor tensor = *input_;
    for (const auto& layer : chain_) tensor = call_layer(layer, {.inputs = {tensor}}).front();
    connect({{"", *input_}}, {{"", tensor}});
  } catch (...) {
    input_ = given;
    for (const auto& layer : fresh) layer->forget_build();
    throw;
  }
}

void SequentialLayer::forget_build() {
  Functional::forget_build();
  input_.reset();  // an Input of its own would have built it at once
}

}  // namespace braid
