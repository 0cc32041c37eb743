#include <algorithm>
#include <map>

#include "engine/core/error.hpp"
#include "engine/graph/config.hpp"
#include "engine/train/functional.hpp"

// Models as JSON, and back.
namespace braid {
namespace {

nlohmann::json entry_of(const LayerBase& layer) {
  return {{"class_name", layer.class_name()},
          {"name", layer.name},
          {"trainable", layer.trainable},
          {"config", layer.config()}};
}

std::shared_ptr<LayerBase> layer_from(const nlohmann::json& entry) {
  const std::string class_name = entry.at("class_name").get<std::string>();
  std::shared_ptr<LayerBase> layer = class_name == "Functional" || class_name == "Sequential"
                                         ? model_from_config(class_name, entry.at("config"))
                                         : make_layer(class_name, entry.at("config"));
  layer->name = entry.at("name").get<std::string>();
  layer->trainable = entry.at("trainable").get<bool>();
  return layer;
}

SymbolicTensor input_from(const nlohmann::json& config, const std::string& name) {
  std::vector<Dim> dims;
  for (const auto& dim : config.at("shape")) dims.push_back(dim.is_null() ? None : dim.get<Dim>());
  return Input({.shape = Shape(std::move(dims)),
                .name = name,
                .dtype = dtype_named(config.at("dtype").get<std::string>())});
}

}  // namespace

nlohmann::json Functional::config() const {
  using nlohmann::json;
  std::map<const SymbolicNode*, int> numbers;
  json nodes = json::array();
  const auto reference = [&](const SymbolicTensor& tensor) {
    return json::array({numbers.at(tensor.node().get()), tensor.index()});
  };
  const auto list = [&](const std::vector<SymbolicTensor>& tensors) {
    json entries = json::array();
    for (const SymbolicTensor& tensor : tensors) entries.push_back(reference(tensor));
    return entries;
  };
  json layers = json::array();
  for (const auto& layer : layers_) layers.push_back(entry_of(*layer));
  for (const auto& node : nodes_) {
    const auto place = std::find(layers_.begin(), layers_.end(), node->layer);
    json entry{{"layer", node->is_mask_of_input ? json("mask") : json(place - layers_.begin())},
               {"inputs", list(node->inputs)},
               {"initial_state", list(node->initial_state)}};
    if (node->mask) entry["mask"] = reference(*node->mask);
    numbers.emplace(node.get(), static_cast<int>(nodes.size()));
    nodes.push_back(std::move(entry));
  }
  const auto ends = [&](const NamedTensors& tensors) {
    json entries = json::array();
    for (const auto& [key, tensor] : tensors)
      entries.push_back({{"key", key}, {"tensor", reference(tensor)}});
    return entries;
  };
  return {{"name", name},
          {"layers", layers},
          {"nodes", nodes},
          {"inputs", ends(inputs_)},
          {"outputs", ends(outputs_)}};
}

nlohmann::json SequentialLayer::config() const {
  using nlohmann::json;
  json layers = json::array();
  for (const auto& layer : chain_) layers.push_back(entry_of(*layer));
  json config{{"name", name}, {"layers", layers}};
  if (input_) {
    config["input"] = input_->node()->layer->config();
    config["input"]["name"] = input_->name();
  }
  return config;
}

std::shared_ptr<Functional> model_from_config(const std::string& class_name,
                                              const nlohmann::json& config) {
  const std::string model_name = config.at("name").get<std::string>();
  if (class_name == "Sequential") {
    std::vector<std::shared_ptr<LayerBase>> chain;
    for (const auto& entry : config.at("layers")) chain.push_back(layer_from(entry));
    std::optional<SymbolicTensor> input;
    if (config.contains("input"))
      input = input_from(config.at("input"), config.at("input").at("name").get<std::string>());
    return std::make_shared<SequentialLayer>(std::move(chain), std::move(input), model_name);
  }
  if (class_name != "Functional") {
    throw NameError("no class of models is called \"" + class_name + "\"." +
                    suggestion(class_name, {"Functional", "Sequential"}));
  }
  std::vector<std::shared_ptr<LayerBase>> layers;
  std::vector<const nlohmann::json*> entries;
  for (const auto& entry : config.at("layers")) {
    entries.push_back(&entry);
    layers.push_back(entry.at("class_name") == "InputLayer" ? nullptr : layer_from(entry));
  }
  std::vector<std::vector<SymbolicTensor>> results;
  const auto find = [&](const nlohmann::json& reference) {
    return results.at(reference.at(0).get<std::size_t>()).at(reference.at(1).get<std::size_t>());
  };
  const auto list = [&](const nlohmann::json& references) {
    std::vector<SymbolicTensor> tensors;
    for (const auto& reference : references) tensors.push_back(find(reference));
    return tensors;
  };
  for (const auto& node : config.at("nodes")) {
    if (node.at("layer") == "mask") {
      results.push_back({find(node.at("inputs").at(0)).mask()});
      continue;
    }
    const auto number = node.at("layer").get<std::size_t>();
    if (layers.at(number) == nullptr) {
      results.push_back({input_from(entries[number]->at("config"),
                                    entries[number]->at("name").get<std::string>())});
      continue;
    }
    SymbolicCall call{.inputs = list(node.at("inputs")),
                      .initial_state = list(node.at("initial_state"))};
    if (node.contains("mask")) call.mask = find(node.at("mask"));
    results.push_back(call_layer(layers[number], std::move(call)));
  }
  const auto ends = [&](const nlohmann::json& described) {
    NamedTensors tensors;
    for (const auto& end : described)
      tensors.emplace_back(end.at("key").get<std::string>(), find(end.at("tensor")));
    return tensors;
  };
  return std::make_shared<Functional>(ends(config.at("inputs")), ends(config.at("outputs")),
                                      model_name);
}

}  // namespace braid
