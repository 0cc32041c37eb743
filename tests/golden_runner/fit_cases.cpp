// What fit, evaluate, predict and the callbacks give.
#include "tests/golden_runner/model_data.hpp"
#include "tests/golden_runner/runner.hpp"

namespace braid::golden {
namespace {

using nlohmann::json;

// Every number that a fit tells its callbacks.
class Recorder : public callbacks::Callback {
 public:
  void on_epoch_begin(int) override { rates_open_ = true; }
  void on_train_batch_end(std::int64_t, const Logs& logs) override {
    if (rates_open_) rates.push_back(control->learning_rate());
    rates_open_ = false;
    for (const auto& [name, value] : logs) batch_logs.push_back(value);
  }

  std::vector<double> rates;  // of the steps of each epoch
  std::vector<double> batch_logs;

 private:
  bool rates_open_ = false;
};

std::shared_ptr<callbacks::EarlyStopping> add_callback(const json& described, Callbacks& list) {
  const std::string name = described.at("class").get<std::string>();
  const json& config = described.at("config");
  if (name == "EarlyStopping") {
    callbacks::EarlyStoppingOptions options;
    options.monitor = config.value("monitor", options.monitor);
    options.min_delta = config.value("min_delta", options.min_delta);
    options.patience = config.value("patience", 0);
    options.mode = config.value("mode", options.mode);
    options.restore_best_weights = config.value("restore_best_weights", false);
    options.start_from_epoch = config.value("start_from_epoch", 0);
    auto made = std::make_shared<callbacks::EarlyStopping>(options);
    list.add(made);
    return made;
  }
  if (name == "ReduceLROnPlateau") {
    callbacks::ReduceLROnPlateauOptions options;
    options.monitor = config.value("monitor", options.monitor);
    options.factor = config.value("factor", options.factor);
    options.patience = config.value("patience", 10);
    options.mode = config.value("mode", options.mode);
    options.min_delta = config.value("min_delta", options.min_delta);
    options.cooldown = config.value("cooldown", 0);
    options.min_lr = config.value("min_lr", options.min_lr);
    list.add(callbacks::ReduceLROnPlateau(options));
  } else if (name == "LearningRateScheduler") {
    const auto rates = config.at("rates").get<std::vector<double>>();
    list.add(callbacks::LearningRateScheduler(
        [rates](int epoch, double) { return rates.at(static_cast<std::size_t>(epoch)); }));
  } else {
    throw NotThere("the callback " + name);
  }
  return nullptr;
}

FitOptions fit_options(const json& described) {
  FitOptions options;
  options.verbose = 0;
  for (const auto& [key, value] : described.items()) {
    if (key == "batch_size") {
      options.batch_size = value.get<int>();
    } else if (key == "epochs") {
      options.epochs = value.get<int>();
    } else if (key == "initial_epoch") {
      options.initial_epoch = value.get<int>();
    } else if (key == "validation_split") {
      options.validation_split = value.get<double>();
    } else if (key == "shuffle") {
      options.shuffle = value.get<bool>();
    } else if (key == "class_weight") {
      options.class_weight = class_weight_of(described);
    } else if (key != "verbose") {
      throw NotThere("the argument \"" + key + "\" of fit");
    }
  }
  return options;
}

}  // namespace

void run_fit(const Case& golden, Check& check) {
  const json& described = golden.description();
  Model model = model_from_json(golden.model()).model;
  model.compile(compile_options(described.at("compile"), model.output_names()));
  set_initial_weights(model, golden, check);
  FitOptions options = fit_options(described.at("fit"));
  const auto recorder = std::make_shared<Recorder>();
  std::shared_ptr<callbacks::EarlyStopping> stopping;
  for (const json& callback : described.at("callbacks")) {
    if (auto made = add_callback(callback, options.callbacks)) stopping = made;
  }
  options.callbacks.add(recorder);
  options.sample_weight = sample_weight_under(golden, "sample_weight/");
  if (described.contains("class_weight")) options.class_weight = class_weight_of(described);
  const TensorDict x = tensors_under(golden, "x/");
  const TensorDict y = tensors_under(golden, "y/");
  const History history = model.fit(x, y, options);

  check.that(history.epochs() == described.at("epochs_run").get<std::vector<int>>(),
             "ran " + std::to_string(history.epochs().size()) + " epochs");
  check.that(history.names() == described.at("history_keys").get<std::vector<std::string>>(),
             "the history's keys are " + quoted_list(history.names()));
  if (stopping) {
    check.that(stopping->stopped_epoch == described.at("stopped_epoch").get<int>(),
               "stopped in epoch " + std::to_string(stopping->stopped_epoch));
    check.that(stopping->best_epoch == described.at("best_epoch").get<int>(),
               "the best epoch is " + std::to_string(stopping->best_epoch));
  }
  for (const std::string& name : golden.names_under("history/")) {
    const std::vector<double> values =
        history.contains(name) ? history[name] : std::vector<double>();
    check.group("history", "history/" + name, {Shape{static_cast<Dim>(values.size())}, values});
  }
  const auto columns = described.at("batch_log_names").size();
  const Numbers batch_logs = golden.numbers("batch_logs");
  check.that(recorder->batch_logs.size() == batch_logs.values.size(), "another number of batches");
  for (std::size_t column = 0;
       column < columns && recorder->batch_logs.size() == batch_logs.values.size(); ++column) {
    std::vector<double> got;
    std::vector<double> expected;
    for (std::size_t i = column; i < batch_logs.values.size(); i += columns) {
      got.push_back(recorder->batch_logs[i]);
      expected.push_back(batch_logs.values[i]);
    }
    check.values("batch logs of " + described.at("batch_log_names")[column].get<std::string>(), got,
                 expected, check.group_tolerance("batch_logs", expected));
  }
  const std::vector<double> rates = golden.numbers("learning_rate").values;
  check.values("learning_rate", recorder->rates, rates, {1e-7, 0});

  EvaluateOptions evaluation;
  evaluation.batch_size = options.batch_size;
  evaluation.sample_weight = options.sample_weight;
  const Logs judged = model.evaluate(x, y, evaluation);
  for (const std::string& name : golden.names_under("evaluate/")) {
    check.group("evaluate", "evaluate/" + name,
                {Shape{}, {judged.contains(name) ? judged[name] : -1}});
  }
  const TensorDict predictions = model.predict(x, {.batch_size = options.batch_size});
  for (const std::string& name : golden.names_under("predict/")) {
    check.group("predict", "predict/" + name, to_numbers(predictions.at(name)));
  }
  const TensorDict weights = model.get_weights();
  for (const std::string& name : golden.names_under("weight_final/")) {
    check.group("weight_final", "weight_final/" + name, to_numbers(weights.at(name)));
  }
  check.require_all_compared({"history/", "evaluate/", "predict/", "weight_final/"});
}

}  // namespace braid::golden
