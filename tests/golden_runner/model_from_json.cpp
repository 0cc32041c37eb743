#include "tests/golden_runner/model_from_json.hpp"

#include "engine/graph/layer_base.hpp"
#include "engine/train/functional.hpp"
#include "engine/train/object_config.hpp"
#include "tests/golden_runner/runner.hpp"

namespace braid::golden {
namespace {

using nlohmann::json;
using Ordered = nlohmann::ordered_json;

std::shared_ptr<Functional> nested_model(const Ordered& description, const std::string& name);

// A layer of any class, models among them.
std::shared_ptr<LayerBase> layer_from_json(const Ordered& node) {
  const std::string class_name = node.at("class").get<std::string>();
  const std::string name = node.at("layer").get<std::string>();
  std::shared_ptr<LayerBase> layer;
  if (class_name == "Sequential") {
    std::vector<std::shared_ptr<LayerBase>> chain;
    for (const Ordered& inner : node.at("layers")) chain.push_back(layer_from_json(inner));
    layer = std::make_shared<SequentialLayer>(std::move(chain), std::nullopt, name);
  } else if (class_name == "Functional") {
    layer = nested_model(node.at("model"), name);
  } else {
    layer = known([&] {
      return make_layer(class_name, json::parse(node.value("config", Ordered::object()).dump()));
    });
  }
  layer->name = name;
  if (node.contains("trainable")) Layer(layer).set_trainable(node.at("trainable").get<bool>());
  return layer;
}

class GraphBuilder {
 public:
  explicit GraphBuilder(const Ordered& description) {
    for (const Ordered& input : description.at("inputs")) {
      std::vector<Dim> dims;
      for (const Ordered& dim : input.at("shape"))
        dims.push_back(dim.is_null() ? None : dim.get<Dim>());
      const std::string name = input.at("name").get<std::string>();
      const SymbolicTensor tensor =
          Input({.shape = Shape(std::move(dims)),
                 .name = name,
                 .dtype = dtype_named(input.at("dtype").get<std::string>())});
      put(name, tensor);
      inputs_.emplace_back("", tensor);
    }
    if (description.contains("input_keys")) {
      inputs_.clear();
      for (const auto& [key, tensor] : in_order(description.at("input_keys")))
        inputs_.emplace_back(key, at(tensor));
    }
    for (const Ordered& node : description.at("nodes")) add(node);
    const Ordered& outputs = description.at("outputs");
    if (outputs.is_array()) {
      for (const Ordered& name : outputs) outputs_.emplace_back("", at(name.get<std::string>()));
    } else {
      for (const auto& [key, tensor] : in_order(outputs)) outputs_.emplace_back(key, at(tensor));
    }
  }

  const NamedTensors& inputs() const { return inputs_; }
  const NamedTensors& outputs() const { return outputs_; }
  const std::vector<std::pair<std::string, SymbolicTensor>>& tensors() const { return tensors_; }

 private:
  static std::vector<std::pair<std::string, std::string>> in_order(const Ordered& object) {
    std::vector<std::pair<std::string, std::string>> items;
    for (const auto& [key, value] : object.items())
      items.emplace_back(key, value.get<std::string>());
    return items;
  }

  void put(const std::string& name, const SymbolicTensor& tensor) {
    tensors_.emplace_back(name, tensor);
  }

  const SymbolicTensor& at(const std::string& name) const {
    for (const auto& [key, tensor] : tensors_) {
      if (key == name) return tensor;
    }
    throw FormatError("a node names an unknown tensor \"" + name + "\"");
  }

  std::vector<SymbolicTensor> tensors_of(const Ordered& names) const {
    if (names.is_string()) return {at(names.get<std::string>())};
    std::vector<SymbolicTensor> found;
    for (const Ordered& name : names) found.push_back(at(name.get<std::string>()));
    return found;
  }

  void add(const Ordered& node) {
    if (node.contains("op")) {
      put(node.at("outputs").at(0).get<std::string>(), operate(node));
      return;
    }
    const std::string name = node.at("layer").get<std::string>();
    std::shared_ptr<LayerBase>& layer = layers_[name];
    if (node.contains("class")) layer = layer_from_json(node);
    if (layer == nullptr) throw FormatError("a node calls the unknown layer \"" + name + "\"");
    SymbolicCall call;
    const auto* model = dynamic_cast<const Functional*>(layer.get());
    if (model != nullptr && node.at("inputs").is_object()) {
      for (const std::string& key : model->input_names())
        call.inputs.push_back(at(node.at("inputs").at(key)));
    } else {
      call.inputs = tensors_of(node.at("inputs"));
    }
    const Ordered arguments = node.value("kwargs", Ordered::object());
    for (const auto& [key, value] : arguments.items()) {
      if (key == "initial_state") {
        call.initial_state = tensors_of(value);
      } else if (key == "mask") {
        call.mask = at(value.get<std::string>());
      } else {
        throw NotThere("the argument \"" + key + "\" of a call");
      }
    }
    const std::vector<SymbolicTensor> results = call_layer(layer, std::move(call));
    const Ordered& outputs = node.at("outputs");
    if (outputs.is_object()) {
      const std::vector<std::string> keys = model->output_names();
      for (std::size_t i = 0; i < keys.size(); ++i)
        put(outputs.at(keys[i]).get<std::string>(), results.at(i));
    } else {
      for (std::size_t i = 0; i < outputs.size(); ++i)
        put(outputs[i].get<std::string>(), results.at(i));
    }
  }

  SymbolicTensor operate(const Ordered& node) const {
    const std::string op = node.at("op").get<std::string>();
    const std::vector<SymbolicTensor> in = tensors_of(node.at("inputs"));
    const Ordered config = node.value("config", Ordered::object());
    const auto apply = [&](const auto& operation) {
      return in.size() == 2 ? operation(in[0], in[1])
                            : operation(in[0], config.at("scalar").get<double>());
    };
    if (op == "add") return apply([](const auto& a, const auto& b) { return a + b; });
    if (op == "subtract") return apply([](const auto& a, const auto& b) { return a - b; });
    if (op == "multiply") return apply([](const auto& a, const auto& b) { return a * b; });
    if (op == "divide") return apply([](const auto& a, const auto& b) { return a / b; });
    throw NotThere("the operator \"" + op + "\" on tensors");
  }

  std::map<std::string, std::shared_ptr<LayerBase>> layers_;
  std::vector<std::pair<std::string, SymbolicTensor>> tensors_;
  NamedTensors inputs_;
  NamedTensors outputs_;
};

std::shared_ptr<Functional> nested_model(const Ordered& description, const std::string& name) {
  const GraphBuilder builder(description);
  return std::make_shared<Functional>(builder.inputs(), builder.outputs(), name);
}

Loss loss_of(const json& described) {
  return described.is_string() ? Loss(described.get<std::string>()) : loss_from_config(described);
}

Metric metric_of(const json& described) {
  return described.is_string() ? Metric(described.get<std::string>())
                               : metric_from_config(described);
}

MetricList metric_list(const json& described) {
  MetricList list;
  if (described.is_null()) return list;
  if (!described.is_array()) return {metric_of(described)};
  for (const json& metric : described) list.push_back(metric_of(metric));
  return list;
}

Losses losses_of(const json& described, const std::vector<std::string>& outputs) {
  if (described.is_null()) return {};
  if (described.is_string() || described.contains("class")) return Losses(loss_of(described));
  std::vector<Losses::Named> named;
  if (described.is_array()) {
    for (std::size_t i = 0; i < described.size(); ++i) {
      if (!described[i].is_null()) named.push_back({outputs.at(i), loss_of(described[i])});
    }
  } else {
    for (const auto& [name, loss] : described.items()) {
      if (!loss.is_null()) named.push_back({name, loss_of(loss)});
    }
  }
  return Losses(std::move(named));
}

// A flat list stands for the only output; one of several has a list for each.
Metrics metrics_of(const json& described, const std::vector<std::string>& outputs) {
  if (described.is_null()) return {};
  if (described.is_object()) {
    std::vector<Metrics::Named> named;
    for (const auto& [name, metrics] : described.items())
      named.emplace_back(name, metric_list(metrics));
    return Metrics(std::move(named));
  }
  std::vector<MetricList> lists;
  if (outputs.size() == 1 && (described.empty() || !described[0].is_array())) {
    lists.push_back(metric_list(described));
  } else {
    for (const json& metrics : described) lists.push_back(metric_list(metrics));
  }
  return Metrics::by_output(std::move(lists));
}

LossWeights loss_weights_of(const json& described) {
  if (described.is_null()) return {};
  if (described.is_array()) return LossWeights(described.get<std::vector<double>>());
  if (described.is_number()) return LossWeights(described.get<double>());
  std::vector<LossWeights::Named> named;
  for (const auto& [name, weight] : described.items())
    named.push_back({name, weight.get<double>()});
  return LossWeights(std::move(named));
}

}  // namespace

DescribedModel model_from_json(const Ordered& description) {
  const std::string name = description.at("name").get<std::string>();
  if (description.at("kind") != "sequential") {
    const GraphBuilder builder(description);
    return {Model(std::make_shared<Functional>(builder.inputs(), builder.outputs(), name)),
            builder.tensors()};
  }
  const Ordered& input = description.at("inputs").at(0);
  std::vector<Dim> dims;
  for (const Ordered& dim : input.at("shape"))
    dims.push_back(dim.is_null() ? None : dim.get<Dim>());
  std::vector<Sequential::Item> items{
      Input({.shape = Shape(std::move(dims)),
             .name = input.at("name").get<std::string>(),
             .dtype = dtype_named(input.at("dtype").get<std::string>())})};
  for (const Ordered& layer : description.at("layers"))
    items.emplace_back(Layer(layer_from_json(layer)));
  return {Sequential(items, name), {}};
}

CompileOptions compile_options(const json& description, const std::vector<std::string>& outputs) {
  const auto part = [&](const char* key) {
    return description.contains(key) ? description.at(key) : json(nullptr);
  };
  return known([&] {
    const json optimizer = part("optimizer");
    return CompileOptions{.optimizer = optimizer.is_string()
                                           ? Optimizer(optimizer.get<std::string>())
                                           : optimizer_from_config(optimizer),
                          .loss = losses_of(part("loss"), outputs),
                          .loss_weights = loss_weights_of(part("loss_weights")),
                          .metrics = metrics_of(part("metrics"), outputs),
                          .weighted_metrics = metrics_of(part("weighted_metrics"), outputs)};
  });
}

}  // namespace braid::golden
