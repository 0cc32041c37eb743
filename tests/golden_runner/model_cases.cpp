// Whole models: training step by step, and the value and mask of every tensor of a graph.
#include <algorithm>

#include "engine/train/functional.hpp"
#include "engine/train/trainer.hpp"
#include "tests/golden_runner/graph_run.hpp"
#include "tests/golden_runner/model_data.hpp"
#include "tests/golden_runner/runner.hpp"

namespace braid::golden {
namespace {

using nlohmann::json;

TensorDict predicted(const Model& model, const Case& golden) {
  return model.predict_on_batch(tensors_under(golden, "probe/x/"));
}

void check_tensors(Check& check, const Case& golden, const std::string& group,
                   const std::string& role, const TensorDict& got) {
  for (const std::string& name : golden.names_under(role)) {
    if (!got.contains(name)) {
      check.that(false, "nothing computed " + role + name);
      continue;
    }
    check.group(group, role + name, stored_elements(golden, name, to_numbers(got.at(name))));
  }
}

void check_optimizer(Check& check, const Case& golden, const TensorDict& state) {
  for (const std::string& name : golden.names_under("optimizer/")) {
    const std::string role = "optimizer/" + name;
    if (!state.contains(name)) {
      // A schedule's rate is no variable of ours: it follows from the step counter.
      check.that(name == "learning_rate", "the optimizer has no \"" + name + "\"");
      continue;
    }
    if (name == "iteration" || name == "learning_rate") {
      check.exact(role, to_numbers(state.at(name)));
      continue;
    }
    const auto slash = name.rfind('/');
    const std::string group = "optimizer/" + name.substr(slash + 1);
    check.group(group, role,
                stored_elements(golden, name.substr(0, slash), to_numbers(state.at(name))));
  }
}

}  // namespace

void run_trajectory(const Case& golden, Check& check) {
  const json& described = golden.description();
  DescribedModel built = model_from_json(golden.model());
  Model& model = built.model;
  check.that(model.input_names() == described.at("input_names").get<std::vector<std::string>>(),
             "other input names");
  check.that(model.output_names() == described.at("output_names").get<std::vector<std::string>>(),
             "other output names");
  model.compile(compile_options(described.at("compile"), model.output_names()));
  set_initial_weights(model, golden, check);
  check_tensors(check, golden, "predict_initial", "predict_initial/", predicted(model, golden));

  const auto log_names = described.at("log_names").get<std::vector<std::string>>();
  const auto steps = described.at("steps").get<int>();
  const auto batches = described.at("batches").get<int>();
  const auto stored = described.at("steps_stored").get<std::vector<int>>();
  const Trainer& trainer = static_cast<Functional&>(*model.base()).trainer();
  std::vector<std::vector<double>> logs(log_names.size());
  for (int step = 0; step < steps; ++step) {
    const std::string batch = "batch" + std::to_string(step % batches) + "/";
    BatchOptions options;
    options.sample_weight = sample_weight_under(golden, batch + "sample_weight/");
    options.class_weight = class_weight_of(described);
    const Logs got = model.train_on_batch(tensors_under(golden, batch + "x/"),
                                          tensors_under(golden, batch + "y/"), options);
    std::vector<std::string> names;
    for (const auto& [name, value] : got) names.push_back(name);
    if (step == 0) {
      check.that(names == log_names, "the logs are " + quoted_list(names));
      check_tensors(check, golden, "grad_first", "grad_first/", trainer.last_gradients());
    }
    for (std::size_t i = 0; i < log_names.size(); ++i)
      logs[i].push_back(got.contains(log_names[i]) ? got[log_names[i]] : 0);
    if (std::find(stored.begin(), stored.end(), step + 1) != stored.end()) {
      const std::string group = "weight_step" + std::to_string(step + 1);
      check_tensors(check, golden, group, group + "/", model.get_weights());
    }
  }
  const Numbers expected = golden.numbers("expected/logs");
  for (std::size_t i = 0; i < log_names.size(); ++i) {
    std::vector<double> column;
    for (std::size_t row = 0; row < logs[i].size(); ++row)
      column.push_back(expected.values[row * log_names.size() + i]);
    check.values("logs of " + log_names[i], logs[i], column, check.group_tolerance("logs", column));
  }
  check_tensors(check, golden, "predict_final", "predict_final/", predicted(model, golden));
  check_optimizer(check, golden, model.optimizer_state());
  check.require_all_compared({"predict_initial/", "grad_first/", "weight_step", "predict_final/"});
}

void run_mask_table(const Case& golden, Check& check) {
  const DescribedModel built = model_from_json(golden.model());
  std::vector<std::pair<std::string, SymbolicTensor>> inputs;
  for (const auto& [name, tensor] : built.tensors) {
    if (tensor.node()->layer->is_input()) inputs.emplace_back(name, tensor);
  }
  // The same layers once more, as a model that returns each of its tensors.
  Functional all(inputs, built.tensors, "every tensor");
  TensorDict weights;
  for (const std::string& name : golden.names_under("weight/"))
    weights.set(name, golden.tensor("weight/" + name));
  Model(built.model).set_weights(weights);

  GraphRun run;
  LayerCall call{.graph = run.graph()};
  for (const auto& [name, tensor] : inputs)
    call.inputs.push_back({.value = run.input(golden.tensor("x/" + name))});
  const std::vector<Lowered> lowered = all.call(call);
  std::vector<Value> wanted;
  for (const Lowered& tensor : lowered) {
    wanted.push_back(tensor.value);
    wanted.push_back(tensor.mask);
  }
  const std::vector<Numbers> results = run.run(wanted);
  for (std::size_t i = 0; i < built.tensors.size(); ++i) {
    const std::string& name = built.tensors[i].first;
    check.group("value", "value/" + name, results[2 * i]);
    const bool masked = golden.has("mask/" + name);
    check.that(masked == static_cast<bool>(lowered[i].mask),
               name + (masked ? " carries no mask" : " carries a mask that it should not have"));
    if (masked && lowered[i].mask) check.exact("mask/" + name, results[2 * i + 1]);
  }
  check.require_all_compared({"value/", "mask/"});
}

}  // namespace braid::golden
