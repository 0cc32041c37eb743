// Optimizers, schedules, regularizers and initializers.
#include <cmath>

#include "engine/core/device_access.hpp"
#include "engine/graph/config.hpp"
#include "engine/graph/ops/elementwise.hpp"
#include "engine/runtime/device_array.hpp"
#include "engine/runtime/workspace.hpp"
#include "engine/train/object_config.hpp"
#include "engine/train/optimizer_state.hpp"
#include "tests/golden_runner/graph_run.hpp"
#include "tests/golden_runner/runner.hpp"

namespace braid::golden {
namespace {

using nlohmann::json;

Shape shape_of(const json& dims) { return Shape(dims.get<std::vector<Dim>>()); }

Initializer initializer_of(const json& described) {
  return known([&] {
    Initializer initializer;
    from_config(described, initializer);
    return initializer;
  });
}

double mean_of(const std::vector<double>& values) {
  double sum = 0;
  for (double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

double deviation_of(const std::vector<double>& values) {
  const double mean = mean_of(values);
  double sum = 0;
  for (double value : values) sum += (value - mean) * (value - mean);
  return std::sqrt(sum / static_cast<double>(values.size()));
}

// Rows (or columns) of the matrix are orthogonal, each of length `gain`.
void check_orthonormal(Check& check, const Numbers& matrix, bool rows, double gain,
                       double tolerance) {
  const auto columns = static_cast<std::size_t>(matrix.shape.back());
  const std::size_t height = matrix.values.size() / columns;
  const std::size_t vectors = rows ? height : columns;
  const std::size_t length = rows ? columns : height;
  const auto element = [&](std::size_t vector, std::size_t i) {
    return rows ? matrix.values[vector * columns + i] : matrix.values[i * columns + vector];
  };
  double worst = 0;
  for (std::size_t a = 0; a < vectors; ++a) {
    for (std::size_t b = 0; b < vectors; ++b) {
      double dot = 0;
      for (std::size_t i = 0; i < length; ++i) dot += element(a, i) * element(b, i);
      worst = std::max(worst, std::abs(dot - (a == b ? gain * gain : 0)));
    }
  }
  check.that(worst <= tolerance, "not orthogonal: off by " + std::to_string(worst));
}

}  // namespace

void run_optimizer(const Case& golden, Check& check) {
  const json& described = golden.description();
  Optimizer rule = known([&] { return optimizer_from_config(described.at("optimizer")); });
  const json& extras = described.at("optimizer");
  if (extras.contains("constraints") && !extras.at("constraints").is_null())
    throw NotThere("constraints of weights");
  if (extras.contains("exclude_from_weight_decay") &&
      !extras.at("exclude_from_weight_decay").is_null()) {
    rule.exclude_from_weight_decay(
        extras.at("exclude_from_weight_decay").get<std::vector<std::string>>());
  }
  const auto names = described.at("variables").get<std::vector<std::string>>();
  const Device device = default_device();
  std::vector<Tensor> values;
  std::vector<ParameterUpdate> parameters;
  for (const std::string& name : names) {
    values.push_back(copy_on_host(golden.tensor("weight/" + name)).to(device));
    parameters.push_back(
        {name, reinterpret_cast<float*>(values.back().raw()), values.back().shape(), {}});
  }
  OptimizerState state(rule, parameters, device);
  const Workspace workspace(device);
  const DeviceArray<kernels::UpdateRates> rates_there(device, 1, "the rates of a step");
  std::vector<double> rates;
  std::map<std::string, std::vector<double>> trace;
  const auto steps = described.at("steps").get<std::size_t>();
  for (std::size_t step = 0; step < steps; ++step) {
    std::vector<Tensor> gradients;
    for (std::size_t i = 0; i < names.size(); ++i) {
      const auto row = static_cast<std::int64_t>(step);
      gradients.push_back(golden.tensor("input/grad_" + names[i]).slice(row, row + 1).to(device));
      parameters[i].gradient.data = reinterpret_cast<const float*>(gradients.back().raw());
    }
    rates.push_back(state.learning_rate());
    const kernels::UpdateRates of_step = state.rates_at(state.iterations());
    rates_there.upload({&of_step, 1}, 0, workspace.stream().native);
    state.launch(workspace.stream(), parameters, rates_there.data());
    access_to(device).synchronize(workspace.stream().native);
    state.end_steps(1);
    for (std::size_t i = 0; i < names.size(); ++i) {
      const Numbers now = to_numbers(values[i].to(Device::cpu()));
      trace[names[i]].insert(trace[names[i]].end(), now.values.begin(), now.values.end());
    }
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    check.unit("output/" + names[i],
               {values[i].shape().prepend(static_cast<Dim>(steps)), trace[names[i]]});
  }
  check.unit("output/learning_rate", {Shape{static_cast<Dim>(steps)}, rates});
  const TensorDict saved = state.save();
  for (const json& slot : described.at("slots")) {
    const std::string name = slot.at("name").get<std::string>();
    std::string own = name;
    for (const std::string& variable : names) {
      if (name.starts_with(variable + "_")) own = variable + "/" + name.substr(variable.size() + 1);
    }
    const std::string role = "slot/" + name;
    if (name == "learning_rate" && !saved.contains(own)) {
      check.unit(role, {Shape{}, {rates.back()}});
      continue;
    }
    check.that(saved.contains(own), "the state has no \"" + own + "\"");
    if (saved.contains(own)) {
      Numbers got = to_numbers(saved.at(own));
      got.shape = golden.numbers(role).shape;
      check.unit(role, got);
    }
  }
  check.require_all_compared({"output/", "slot/"});
}

void run_schedule(const Case& golden, Check& check) {
  const LearningRate rate =
      known([&] { return learning_rate_from_config(golden.description().at("schedule")); });
  Numbers got = golden.numbers("input/step");
  for (double& value : got.values) value = rate.at(static_cast<std::int64_t>(value));
  check.unit("output/value", got);
}

void run_regularizer(const Case& golden, Check& check) {
  const Regularizer rule = known([&] {
    Regularizer regularizer;
    from_config(golden.description().at("regularizer"), regularizer);
    return regularizer;
  });
  auto variable = std::make_shared<Variable>();
  variable->name = variable->path = "w";
  variable->value = golden.tensor("input/w").to(default_device());
  variable->shape = variable->value.shape();
  GraphRun run;
  const Value weight = run.graph().weight(variable);
  const Value value = ops::penalty(run.graph(), weight, rule.l1, rule.l2);
  std::vector<Numbers> results = run.run({value}, {{value, run.graph().scalar(1)}}, {weight});
  results[0].shape = Shape{};
  check.unit("output/value", results[0]);
  check.unit("grad_input/w", results[1]);
}

void run_initializer_value(const Case& golden, Check& check) {
  json described = golden.description().at("initializer");
  // Keras's own config of Identity leaves out the gain; it stands on the diagonal.
  if (described.at("class") == "Identity" && !described.at("config").contains("gain")) {
    described["config"]["gain"] = golden.numbers("output/value").values.at(0);
  }
  const Initializer rule = initializer_of(described);
  check.unit("output/value",
             to_numbers(initial_value(rule, shape_of(golden.description().at("shape")), 1, 2)));
}

void run_fans(const Case& golden, Check& check) {
  const json& described = golden.description();
  const Shape shape = shape_of(described.at("shape"));
  const Fans fans = fans_of(shape);
  check.that(fans.in == described.at("fan_in").get<std::int64_t>(),
             "fan_in is " + std::to_string(fans.in));
  check.that(fans.out == described.at("fan_out").get<std::int64_t>(),
             "fan_out is " + std::to_string(fans.out));
  const Tolerance tolerance{described.at("tolerance").at("rtol").get<double>(), 0};
  for (const auto& [name, expected] : described.at("initializers").items()) {
    const Initializer rule = initializer_of({{"class", name}, {"config", json::object()}});
    const bool uniform = expected.at("distribution") == "uniform";
    check.that(rule.uniform == uniform, name + " has another distribution");
    const double spread = spread_of(rule, shape);
    const double wanted = expected.at(uniform ? "limit" : "stddev_before_truncation").get<double>();
    check.values(name + " spread", {spread}, {wanted}, tolerance);
    const double bound = uniform ? wanted : expected.at("cut_at").get<double>();
    for (double value : to_numbers(initial_value(rule, shape, 3, 4)).values) {
      check.that(std::abs(value) <= bound * (1 + 1e-6), name + " drew " + std::to_string(value));
    }
  }
}

void run_orthogonal(const Case& golden, Check& check) {
  const json& described = golden.description();
  const Initializer rule = initializer_of(described.at("initializer"));
  const double gain = described.at("initializer").at("config").value("gain", 1.0);
  Numbers drawn = to_numbers(initial_value(rule, shape_of(described.at("shape")), 5, 6));
  drawn.shape = shape_of(described.at("flattened"));
  const bool rows = described.at("property") == "rows";
  check_orthonormal(check, drawn, rows, gain, described.at("tolerance").at("atol").get<double>());
}

void run_statistics(const Case& golden, Check& check) {
  const json& described = golden.description();
  const Initializer rule = initializer_of(described.at("initializer"));
  const std::vector<double> drawn =
      to_numbers(initial_value(rule, shape_of(described.at("shape")), 7, 8)).values;
  const json& observed = described.at("observed");
  const Tolerance tolerance{described.at("tolerance").at("rtol").get<double>(),
                            described.at("tolerance").at("atol").get<double>()};
  check.values("mean", {mean_of(drawn)}, {observed.at("mean").get<double>()}, tolerance);
  check.values("stddev", {deviation_of(drawn)}, {observed.at("stddev").get<double>()}, tolerance);
}

void run_layer_initial(const Case& golden, Check& check) {
  const json& described = golden.description();
  const auto layer = known([&] {
    return make_layer(described.at("layer").at("class").get<std::string>(),
                      described.at("layer").at("config"));
  });
  layer->ensure_built({{.shape = shape_of(described.at("input_shape")), .batched = true}});
  const double atol = described.at("tolerance").at("atol").get<double>();
  for (const auto& variable : layer->variables()) {
    Tensor value = initial_value(variable->initializer, variable->shape, 9, 10);
    for (Dim i = variable->ones.first; i < variable->ones.second; ++i) value.data<float>()[i] = 1;
    const Numbers drawn = to_numbers(value);
    if (variable->name == "bias") check.unit("output/bias", drawn);
    if (variable->name == "kernel") {
      const double limit = described.at("kernel_limit").get<double>();
      for (double number : drawn.values)
        check.that(std::abs(number) <= limit * (1 + 1e-6), "the kernel exceeds its limit");
      check.that(std::abs(spread_of(variable->initializer, variable->shape) - limit) <= atol,
                 "another limit");
    }
    if (variable->name == "recurrent_kernel") {
      check_orthonormal(check, drawn, described.at("recurrent_kernel_property") == "rows", 1, atol);
    }
  }
}

}  // namespace braid::golden
