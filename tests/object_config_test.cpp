#include "engine/train/object_config.hpp"

#include "engine/core/error.hpp"
#include "tests/support/catch.hpp"

using namespace braid;
using nlohmann::json;

TEST_CASE("every loss, metric, optimizer and schedule comes back from its config as it was") {
  for (const Loss& loss :
       {losses::MeanSquaredError({.reduction = "sum"}), losses::Huber({.delta = 2.5}),
        losses::BinaryCrossentropy({.from_logits = true, .label_smoothing = 0.1}),
        losses::CategoricalCrossentropy({.label_smoothing = 0.2}),
        losses::SparseCategoricalCrossentropy({.ignore_class = -1}), losses::LogCosh(),
        losses::Poisson(), losses::KLDivergence(), losses::MeanAbsoluteError()}) {
    const Loss read = loss_from_config(to_config(loss));
    CHECK(read.kind == loss.kind);
    CHECK(read.reduction == loss.reduction);
    CHECK(read.from_logits == loss.from_logits);
    CHECK(read.label_smoothing == loss.label_smoothing);
    CHECK(read.delta == loss.delta);
    CHECK(read.ignore_class == loss.ignore_class);
  }
  for (const Metric& metric :
       {Metric("accuracy"), Metric("acc"), metrics::BinaryAccuracy({.threshold = 0.3}),
        metrics::AUC({.curve = "PR", .summation_method = "minoring"}), metrics::Recall(),
        metrics::Precision({.thresholds = 0.7, .name = "p"}), Metric("mse")}) {
    const Metric read = metric_from_config(to_config(metric));
    CHECK(read.kind == metric.kind);
    CHECK(read.name == metric.name);
    CHECK(read.threshold == metric.threshold);
    CHECK(read.thresholds == metric.thresholds);
    CHECK(read.precision_recall_curve == metric.precision_recall_curve);
    CHECK(read.summation == metric.summation);
    CHECK(read.loss.kind == metric.loss.kind);
  }
  for (const Optimizer& optimizer :
       {optimizers::SGD({.momentum = 0.9, .nesterov = true}),
        optimizers::RMSprop({.rho = 0.8, .clipnorm = 1.5}),
        optimizers::Adam(
            {.learning_rate = schedules::CosineDecay({.decay_steps = 50}), .epsilon = 1e-6}),
        optimizers::AdamW({.beta_1 = 0.8, .name = "mine"})}) {
    const Optimizer read = optimizer_from_config(to_config(optimizer));
    CHECK(to_config(read) == to_config(optimizer));
    CHECK(read.kind == optimizer.kind);
    CHECK(read.weight_decay == optimizer.weight_decay);
    for (std::int64_t step : {0, 7, 49, 100})
      CHECK(read.learning_rate.at(step) == optimizer.learning_rate.at(step));
  }
}

TEST_CASE("a config of an unknown class or with an unknown option is refused by name") {
  CHECK_THROWS_WITH(
      loss_from_config(json{{"class", "BinaryCrossentropi"}, {"config", json::object()}}),
      ContainsSubstring(
          "unknown loss class \"BinaryCrossentropi\". Did you mean \"BinaryCrossentropy\"?"));
  CHECK_THROWS_WITH(optimizer_from_config(json{{"class", "Adam"}, {"config", {{"use_ema", true}}}}),
                    ContainsSubstring("Adam has no option \"use_ema\""));
  CHECK_THROWS_AS(metric_from_config(json{{"class", "MeanIoU"}, {"config", json::object()}}),
                  NameError);
  CHECK_NOTHROW(optimizer_from_config(
      json{{"class", "SGD"}, {"config", {{"use_ema", false}, {"loss_scale_factor", nullptr}}}}));
}
