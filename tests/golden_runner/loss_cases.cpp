// Losses, heads (Dense, activation, loss) and metrics.
#include "engine/train/loss_graph.hpp"
#include "engine/train/object_config.hpp"
#include "tests/golden_runner/graph_run.hpp"
#include "tests/golden_runner/runner.hpp"

namespace braid::golden {
namespace {

using nlohmann::json;

// A prediction of rank 1 has no axis for the mean but the batch's: one row here.
bool is_one_row(const Shape& truth, const Shape& predicted) {
  return truth.rank() == 1 && predicted.rank() == 1;
}

Tensor as_row(const Tensor& tensor, bool one_row) {
  return one_row ? tensor.reshape(tensor.shape().prepend(1)) : tensor;
}

// One value instead of [1].
Numbers scalar(Numbers numbers) {
  numbers.shape = Shape{};
  return numbers;
}

}  // namespace

void run_loss(const Case& golden, Check& check) {
  const Loss loss = known([&] { return loss_from_config(golden.description().at("loss")); });
  const Tensor truth = golden.tensor("input/y_true");
  const Tensor predicted = golden.tensor("input/y_pred");
  const bool one_row = is_one_row(truth.shape(), predicted.shape());
  GraphRun run;
  Judged judged{.output = "y"};
  judged.prediction.value = run.input(as_row(predicted, one_row));
  judged.truth = run.input(as_row(truth, one_row));
  if (golden.has("mask/y_pred")) judged.prediction.mask = run.input(golden.tensor("mask/y_pred"));
  if (golden.has("input/sample_weight"))
    judged.weight = run.input(golden.tensor("input/sample_weight"));
  const Value in = judged.prediction.value;
  const Value value = add_loss(run.graph(), loss, judged);
  const Numbers expected = golden.numbers("output/value");
  const bool reduced = expected.shape.rank() == 0;
  Tensor cotangent = golden.tensor("cotangent/value");
  // Beside columns of labels or weights Keras keeps an axis of 1 that says nothing.
  const bool column = expected.shape.rank() == run.graph().info(value).shape.rank() + 1 &&
                      expected.shape.back() == 1;
  if (column) cotangent = cotangent.reshape(expected.shape.slice(0, expected.shape.rank() - 1));
  const Value seed = reduced && !(one_row && loss.reduction == "none")
                         ? run.graph().constant(cotangent.reshape(Shape{1}))
                         : run.input(reduced ? cotangent.reshape(Shape{1}) : cotangent);
  std::vector<Numbers> results = run.run({value}, {{value, seed}}, {in});
  if (column) results[0].shape = expected.shape;
  check.unit("output/value", reduced ? scalar(results[0]) : results[0]);
  const Numbers gradient = golden.numbers("grad_input/y_pred");
  if (one_row) results[1].shape = gradient.shape;
  if (results[1].values.empty())
    results[1] = {gradient.shape, std::vector<double>(gradient.values.size(), 0.0)};
  check.unit("grad_input/y_pred", results[1]);
  check.require_all_compared({"output/", "grad_input/"});
}

void run_head(const Case& golden, Check& check) {
  const json& described = golden.description();
  const Loss loss = known([&] { return loss_from_config(described.at("loss")); });
  const json activation = described.at("activation");
  const bool inside = described.at("activation_inside_dense").get<bool>();
  const auto dense = known([&] {
    return make_layer("Dense", {{"units", described.at("units")},
                                {"activation", inside ? activation : json("linear")}});
  });
  GraphRun run;
  Graph& graph = run.graph();
  const Value x = run.input(golden.tensor("input/x"));
  LayerCall call{.graph = graph, .inputs = {{.value = x}}};
  if (golden.has("mask/x")) call.inputs.front().mask = run.input(golden.tensor("mask/x"));
  dense->ensure_built({graph.info(x)});
  for (const auto& variable : dense->variables())
    variable->value = golden.tensor("weight/" + variable->name).to(default_device());
  Lowered probability = dense->call(call).front();
  if (!inside) {
    LayerCall next{.graph = graph, .inputs = {probability}};
    probability = known([&] {
                    return make_layer("Activation", {{"activation", activation}});
                  })
                      ->call(next)
                      .front();
  }
  const Value logits = graph.producer(probability.value)->inputs[0];
  Lowered prediction = probability;
  if (!described.at("reshape_after_activation").is_null()) {
    LayerCall next{.graph = graph, .inputs = {probability}};
    prediction = make_layer("Reshape", {{"target_shape", described.at("reshape_after_activation")}})
                     ->call(next)
                     .front();
  }
  Judged judged{.output = "y", .prediction = prediction};
  judged.truth = run.input(golden.tensor("input/y_true"));
  if (golden.has("input/sample_weight"))
    judged.weight = run.input(golden.tensor("input/sample_weight"));
  const Value value = add_loss(graph, loss, judged);
  std::vector<Value> targets{logits, x};
  std::vector<std::string> roles{"grad_input/logits", "grad_input/x"};
  for (const auto& variable : dense->variables()) {
    targets.push_back(graph.weight(variable));
    roles.push_back("grad_weight/" + variable->name);
  }
  const std::vector<Numbers> results =
      run.run({logits, probability.value, value}, {{value, graph.scalar(1)}}, targets);
  check.unit("output/logits", results[0]);
  check.unit("output/probability", results[1]);
  check.unit("output/value", scalar(results[2]));
  for (std::size_t i = 0; i < roles.size(); ++i) check.unit(roles[i], results[3 + i]);
  check.require_all_compared({"output/", "grad_input/", "grad_weight/"});
}

void run_metric(const Case& golden, Check& check) {
  const json& described = golden.description().at("metric");
  const Metric metric = known([&] {
    return described.contains("string") ? Metric(described.at("string").get<std::string>())
                                        : metric_from_config(described);
  });
  std::vector<double> sums;
  for (const json& batch : golden.description().at("batches")) {
    const auto named = [&](const char* part) { return batch.at(part).get<std::string>(); };
    const Tensor truth = golden.tensor("input/" + named("y_true"));
    const Tensor predicted = golden.tensor("input/" + named("y_pred"));
    const bool one_row = is_one_row(truth.shape(), predicted.shape());
    GraphRun run;
    Judged judged{.output = "y"};
    judged.prediction.value = run.input(as_row(predicted, one_row));
    judged.truth = run.input(as_row(truth, one_row));
    if (!batch.at("mask").is_null())
      judged.prediction.mask = run.input(golden.tensor("mask/" + named("mask")));
    if (!batch.at("sample_weight").is_null()) {
      judged.weight = run.input(golden.tensor("input/" + named("sample_weight")));
    }
    if (described.contains("string") && golden.description().contains("resolved")) {
      const Metric meant = resolve_metric(metric, truth.shape(), predicted.shape());
      const std::string class_name =
          golden.description().at("resolved").is_string()
              ? golden.description().at("resolved").get<std::string>()
              : golden.description().at("resolved").at("class").get<std::string>();
      check.that(to_config(meant).at("class") == class_name,
                 "resolved to " + to_config(meant).at("class").dump());
    }
    const Value value = add_metric(run.graph(), metric, judged, true);
    const Numbers counted = run.run({value}).front();
    sums.resize(counted.values.size());
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += counted.values[i];
    const std::string result = "output/" + named("result");
    Numbers got = golden.numbers(result);
    for (std::size_t i = 0; i < got.values.size(); ++i)
      got.values[i] = metric_result(metric, sums, i);
    check.unit(result, got);
  }
  check.require_all_compared({"output/"});
}

}  // namespace braid::golden
