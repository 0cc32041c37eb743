// Cases of one layer: its call on stored inputs with stored weights; values, masks and all
// gradients.
#include <algorithm>

#include "engine/graph/activation_function.hpp"
#include "engine/graph/apply_activation.hpp"
#include "engine/graph/ops/activation.hpp"
#include "tests/golden_runner/graph_run.hpp"
#include "tests/golden_runner/runner.hpp"

namespace braid::golden {
namespace {

using nlohmann::json;

// [3, 5] -> [1, 3, 5]: what works across the batch axis in Keras is one row here, where axis 0
// always is the batch.
Tensor as_one_row(const Tensor& tensor) { return tensor.reshape(tensor.shape().prepend(1)); }

Numbers without_one_row(Numbers numbers) {
  numbers.shape = numbers.shape.slice(1, numbers.shape.rank());
  return numbers;
}

bool is_batch_axis(const json& config) {
  return config.contains("axis") && config.at("axis").is_number_integer() && config.at("axis") == 0;
}

class LayerRun {
 public:
  LayerRun(const Case& golden, Check& check) : golden_(golden), check_(check) {
    layer_description_ = golden.description().at("layer");
    json& config = layer_description_.at("config");
    if (is_batch_axis(config)) {
      lifted_ = true;
      config["axis"] = 1;
    }
  }

  void run() {
    const auto layer = known([&] {
      return make_layer(layer_description_.at("class").get<std::string>(),
                        layer_description_.at("config"));
    });
    for (const json& input : golden_.description().at("inputs")) {
      const std::string name = input.at("name").get<std::string>();
      Lowered lowered{.value = run_.input(stored("input/" + name))};
      if (golden_.has("mask/" + name)) lowered.mask = run_.input(golden_.tensor("mask/" + name));
      inputs_.emplace_back(name, lowered);
    }
    LayerCall call{.graph = run_.graph()};
    fill_call(call);
    std::vector<ValueInfo> infos;
    for (const Lowered& input : call.inputs) infos.push_back(run_.graph().info(input.value));
    layer->ensure_built(infos);
    for (const auto& variable : layer->variables()) {
      variable->value = golden_.tensor("weight/" + variable->name).to(default_device());
      check_.that(variable->value.shape() == variable->shape,
                  "weight " + variable->name + " has another shape");
    }
    compare(layer->call(call), layer->variables());
  }

 private:
  Tensor stored(const std::string& role_and_name) const {
    Tensor tensor = golden_.tensor(role_and_name);
    return lifted_ ? as_one_row(tensor) : tensor;
  }
  Numbers lowered_again(Numbers numbers) const {
    return lifted_ ? without_one_row(std::move(numbers)) : numbers;
  }

  const Lowered& input_named(const std::string& name) const {
    for (const auto& [key, lowered] : inputs_) {
      if (key == name) return lowered;
    }
    throw FormatError("the call names an unknown input \"" + name + "\"");
  }

  // "$x" or a list of such.
  std::vector<Lowered> inputs_of(const json& argument) const {
    std::vector<Lowered> found;
    if (argument.is_string()) {
      found.push_back(input_named(argument.get<std::string>().substr(1)));
    } else {
      for (const json& one : argument)
        found.push_back(input_named(one.get<std::string>().substr(1)));
    }
    return found;
  }

  void fill_call(LayerCall& call) {
    const json& description = golden_.description().at("call");
    call.inputs = inputs_of(description.at("args").at(0));
    if (!description.contains("kwargs")) return;
    for (const auto& [key, value] : description.at("kwargs").items()) {
      if (key == "initial_state") {
        call.initial_state = inputs_of(value);
      } else if (key == "mask" && value.is_string()) {
        call.explicit_mask =
            input_named(value.get<std::string>().substr(std::string("$mask:").size())).mask;
        call.has_explicit_mask = true;
      } else if (key == "training") {
        call.training = value.get<bool>();
      } else {
        throw NotThere("the argument \"" + key + "\" of a call");
      }
    }
  }

  void compare(const std::vector<Lowered>& outputs, const std::vector<VariablePointer>& variables) {
    const json& described = golden_.description().at("outputs");
    check_.that(outputs.size() == described.size(), "another number of outputs");
    std::vector<Value> wanted;
    std::vector<std::pair<Value, Value>> seeds;
    std::vector<std::string> names;
    for (std::size_t i = 0; i < std::min(outputs.size(), described.size()); ++i) {
      names.push_back(described[i].at("name").get<std::string>());
      wanted.push_back(outputs[i].value);
      wanted.push_back(outputs[i].mask);
      if (golden_.description().value("gradients", false)) {
        seeds.emplace_back(outputs[i].value, run_.input(stored("cotangent/" + names.back())));
      }
    }
    std::vector<Value> targets;
    std::vector<std::string> roles;
    for (const auto& [name, lowered] : inputs_) {
      if (!golden_.has("grad_input/" + name)) continue;
      targets.push_back(lowered.value);
      roles.push_back("grad_input/" + name);
    }
    for (const auto& variable : variables) {
      if (!golden_.has("grad_weight/" + variable->name)) continue;
      targets.push_back(run_.graph().weight(variable));
      roles.push_back("grad_weight/" + variable->name);
    }
    const std::vector<Numbers> results = run_.run(wanted, seeds, targets);
    for (std::size_t i = 0; i < names.size(); ++i) {
      check_.unit("output/" + names[i], lowered_again(results[2 * i]));
      const bool masked = golden_.has("output_mask/" + names[i]);
      check_.that(
          masked == static_cast<bool>(outputs[i].mask),
          names[i] + (masked ? " carries no mask" : " carries a mask that it should not have"));
      if (masked && outputs[i].mask) check_.exact("output_mask/" + names[i], results[2 * i + 1]);
    }
    for (std::size_t i = 0; i < targets.size(); ++i) {
      Numbers gradient = results[2 * names.size() + i];
      const Numbers expected = golden_.numbers(roles[i]);
      if (gradient.values.empty()) {
        // Nothing depends on it: Keras gives zeros.
        gradient = {expected.shape, std::vector<double>(expected.values.size(), 0.0)};
      } else if (roles[i].starts_with("grad_input/")) {
        gradient = lowered_again(std::move(gradient));
      }
      check_.unit(roles[i], gradient);
    }
    check_.require_all_compared(
        {"output/", "output_mask/", "grad_input/", "grad_weight/", "weight_after/"});
  }

  const Case& golden_;
  Check& check_;
  json layer_description_;
  bool lifted_ = false;
  GraphRun run_;
  std::vector<std::pair<std::string, Lowered>> inputs_;
};

// The function of an activation case: a Keras name with its numbers.
Value activation_of(Graph& graph, const json& description, bool lifted, Value in) {
  const std::string name = description.at("function").get<std::string>();
  const json config = description.value("config", json::object());
  if (name == "softmax" || name == "log_softmax") {
    const auto axis = config.value("axis", -1);
    const auto moved = lifted && axis >= 0 ? axis + 1 : axis;
    return name == "softmax" ? ops::softmax(graph, in, moved) : ops::log_softmax(graph, in, moved);
  }
  kernels::Activation function = elementwise(ActivationFunction(name));
  for (const auto& [key, value] : config.items()) {
    if (key == "approximate") {
      if (value.get<bool>()) function.kind = kernels::ActivationKind::gelu_tanh;
    } else if (key == "negative_slope" || key == "alpha") {
      function.a = value.get<float>();
    } else if (key == "max_value") {
      function.b = value.get<float>();
    } else if (key == "threshold") {
      function.c = value.get<float>();
    } else {
      throw NameError("the option \"" + key + "\" of " + name);
    }
  }
  return ops::activation(graph, in, function);
}

}  // namespace

void run_layer(const Case& golden, Check& check) { LayerRun(golden, check).run(); }

void run_activation(const Case& golden, Check& check) {
  const json& described = golden.description().at("activation");
  const bool lifted = described.contains("config") && is_batch_axis(described.at("config"));
  const auto stored = [&](const std::string& name) {
    return lifted ? as_one_row(golden.tensor(name)) : golden.tensor(name);
  };
  GraphRun run;
  const Value in = run.input(stored("input/x"));
  const Value out = known([&] { return activation_of(run.graph(), described, lifted, in); });
  const Value seed = run.input(stored("cotangent/y"));
  std::vector<Numbers> results = run.run({out}, {{out, seed}}, {in});
  if (lifted) {
    for (Numbers& numbers : results) numbers = without_one_row(std::move(numbers));
  }
  check.unit("output/y", results[0]);
  const std::vector<double> x = golden.numbers("input/x").values;
  const auto undefined =
      golden.description().value("derivative_undefined_at", std::vector<double>());
  check.unit("grad_input/x", results[1], [&](std::size_t i) {
    return std::any_of(undefined.begin(), undefined.end(), [&](double at) { return x[i] == at; });
  });
}

}  // namespace braid::golden
