// Weights of rows over losses and metrics that have a value for every step, against numbers that
// were worked out by hand. Predictions are the inputs themselves.
#include "tests/support/on_device.hpp"
#include "tests/support/refusals.hpp"
#include "tests/support/sample_models.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

struct Identity {
  // `steps` may be None; masked: steps of 0 do not count.
  Identity(Dim steps, bool masked, const Loss& loss, const Metrics& weighted, double rate = 0)
      : model(make(steps, masked)) {
    model.compile({.optimizer = optimizers::SGD({.learning_rate = rate}),
                   .loss = loss,
                   .weighted_metrics = weighted});
  }
  static Model make(Dim steps, bool masked) {
    auto x = Input({.shape = {steps, 1}, .name = "x"});
    auto h = masked ? layers::Masking()(x) : x;
    return {{x}, {layers::Dense({.units = 1, .kernel_initializer = "ones", .name = "y"})(h)}};
  }
  Model model;
  TensorDict x{{"x", Tensor::from({1.0F, 2.0F, 3.0F, 4.0F, 0.0F, 6.0F}, {2, 3, 1})}};
  TensorDict y{{"y", Tensor::zeros({2, 3, 1})}};
};

// The squared errors are 1, 4, 9 and 16, 0, 36; the rows weigh 2 and 0.5.
Tensor weights_of_rows() { return Tensor::from({2.0F, 0.5F}, {2, 1}); }
constexpr double kSum = 2 * (1 + 4 + 9) + 0.5 * (16 + 0 + 36);

std::vector<Device> devices() {
  std::vector<Device> all = gpus();
  all.push_back(Device::cpu());
  return all;
}

}  // namespace

TEST_CASE("weights of rows [batch, 1] weigh every step of their rows, in every call") {
  for (const Device& device : devices()) {
    const OnDevice here(device);
    for (const Dim steps : {Dim{3}, None}) {
      INFO(to_string(Shape{steps}));
      Identity s(steps, false, "mse", {"mae", "mse"});
      const Tensor w = weights_of_rows();
      const auto judged = [](const Logs& logs) {
        CHECK(near(logs["loss"], kSum / 6));
        CHECK(near(logs["mae"], (2 * (1 + 2 + 3) + 0.5 * (4 + 0 + 6)) / (3 * 2.5)));
        CHECK(near(logs["mse"], kSum / (3 * 2.5)));
      };
      judged(s.model.evaluate(s.x, s.y, {.sample_weight = w}));
      judged(s.model.test_on_batch(s.x, s.y, {.sample_weight = w}));
      judged(s.model.train_on_batch(s.x, s.y, {.sample_weight = {{"y", w}}}));
      const History history = s.model.fit(s.x, s.y, {.verbose = 0, .sample_weight = w});
      CHECK(near(history["loss"][0], kSum / 6));
      CHECK(near(history["mse"][0], kSum / (3 * 2.5)));
      // As if every step had come with the weight of its row.
      const Tensor all = Tensor::from({2.0F, 2.0F, 2.0F, 0.5F, 0.5F, 0.5F}, {2, 3});
      judged(s.model.evaluate(s.x, s.y, {.sample_weight = all}));
      judged(s.model.evaluate(s.x, s.y, {.sample_weight = all.reshape({2, 3, 1})}));
    }
  }
}

TEST_CASE("the gradient of a step is that of its loss times the weight of its row") {
  for (const Device& device : devices()) {
    const OnDevice here(device);
    Identity s(3, false, "mse", {}, 0.01);
    s.model.train_on_batch(s.x, s.y, {.sample_weight = weights_of_rows()});
    // d/dk of the mean of w (k x + b)^2 at k = 1, b = 0.
    const double kernel_gradient = 2 * kSum / 6;
    const double bias_gradient = 2 * (2 * (1 + 2 + 3) + 0.5 * (4 + 0 + 6)) / 6;
    const TensorDict weights = s.model.get_weights();
    CHECK(near(weights["y/kernel"].to_vector<float>()[0], 1 - 0.01 * kernel_gradient));
    CHECK(near(weights["y/bias"].to_vector<float>()[0], -0.01 * bias_gradient));
  }
}

TEST_CASE("each reduction of losses of steps divides weights of rows as Keras does") {
  const auto loss = [](bool masked, const char* reduction) {
    Identity s(3, masked, losses::MeanSquaredError({.reduction = reduction}), {});
    return s.model.evaluate(s.x, s.y, {.sample_weight = weights_of_rows()})["loss"];
  };
  CHECK(near(loss(false, "sum_over_batch_size"), kSum / 6));
  CHECK(near(loss(false, "sum"), kSum));
  // The weights are added up as they came, one a row ...
  CHECK(near(loss(false, "mean_with_sample_weight"), kSum / 2.5));
  // ... but a mask has a weight for every step: five of the six count.
  CHECK(near(loss(true, "sum_over_batch_size"), kSum / 5));
  CHECK(near(loss(true, "sum"), kSum));
  CHECK(near(loss(true, "mean_with_sample_weight"), kSum / (3 * 2 + 2 * 0.5)));
}

TEST_CASE("weighted metrics of masked steps count a step with the weight of its row") {
  for (const Device& device : devices()) {
    const OnDevice here(device);
    Identity s(3, true, "mse", {"mae"});
    const Logs logs = s.model.evaluate(s.x, s.y, {.sample_weight = weights_of_rows()});
    CHECK(near(logs["mae"], (2 * 6 + 0.5 * 10) / (3 * 2 + 2 * 0.5)));
  }
}

TEST_CASE("counts of hits take the weight of a row for each of its steps and classes") {
  for (const Device& device : devices()) {
    const OnDevice here(device);
    const Metrics counts{metrics::Precision(), metrics::Recall()};
    const auto judged = [&](Shape shape) {
      auto x = Input({.shape = shape.slice(1, shape.rank()), .name = "x"});
      Model model({x}, {layers::Activation({.activation = "linear", .name = "y"})(x)});
      model.compile({.loss = "mse", .weighted_metrics = counts});
      const TensorDict data{{"x", Tensor::from({0.2F, 0.8F, 0.9F, 0.7F, 0.1F, 0.6F}, shape)}};
      const TensorDict truth{{"y", Tensor::from({1.0F, 0.0F, 1.0F, 0.0F, 1.0F, 0.0F}, shape)}};
      const Logs logs = model.evaluate(data, truth, {.sample_weight = weights_of_rows()});
      // Hits: the third of row 0. False alarms: the second of row 0, the first and third of row 1.
      CHECK(near(logs["precision"], 2.0 / (2 + 2 + 0.5 + 0.5)));
      // Misses: the first of row 0, the second of row 1.
      CHECK(near(logs["recall"], 2.0 / (2 + 2 + 0.5)));
    };
    judged({2, 3});
    judged({2, 3, 1});
    judged({2, 1, 3});
  }
}

TEST_CASE("a metric alone takes one weight a row [batch] for values of every step") {
  for (const Device& device : devices()) {
    const OnDevice here(device);
    const Tensor w = Tensor::from({2.0F, 0.5F}, {2});
    for (const Dim steps : {Dim{3}, None}) {
      INFO(to_string(Shape{steps}));
      auto x = Input({.shape = {steps, 1}, .name = "x"});
      Model model({x}, {layers::Activation({.activation = "linear", .name = "y"})(x)});
      model.compile({.weighted_metrics = {"mae", "mse"}});
      const Identity s(steps, false, "mse", {});
      const Logs logs = model.evaluate(s.x, s.y, {.sample_weight = w});
      // The mean of a row's values, times its weight.
      CHECK(near(logs["mae"], (2 * (1 + 2 + 3) / 3.0 + 0.5 * (4 + 0 + 6) / 3.0) / 2.5));
      CHECK(near(logs["mse"], kSum / (3 * 2.5)));
    }
  }
}

TEST_CASE("a loss or a mask over steps refuses one weight a row, and says what to give") {
  const Tensor w = Tensor::from({2.0F, 0.5F}, {2});
  Identity s(3, false, "mse", {"mae"});
  check_refused<ShapeError>([&] { s.model.evaluate(s.x, s.y, {.sample_weight = w}); },
                            {"\"y\"", "give them as [batch, 1] to weigh whole rows"});
  auto x = Input({.shape = {3, 1}, .name = "x"});
  const auto masked = layers::Masking()(x);
  Model model({x}, {layers::Activation({.activation = "linear", .name = "y"})(masked)});
  model.compile({.weighted_metrics = {"mae"}});
  check_refused<ShapeError>([&] { model.evaluate(s.x, s.y, {.sample_weight = w}); },
                            {"\"y\"", "give them as [batch, 1] to weigh whole rows"});
}

TEST_CASE("a batch of one step takes weights of rows of either shape") {
  Identity s(None, false, "mse", {"mae"});
  const TensorDict x{{"x", Tensor::from({3.0F, 4.0F}, {2, 1, 1})}};
  const TensorDict y{{"y", Tensor::zeros({2, 1, 1})}};
  CHECK(near(s.model.evaluate(x, y, {.sample_weight = weights_of_rows()})["loss"], 13));
  CHECK(near(s.model.evaluate(s.x, s.y, {.sample_weight = weights_of_rows()})["loss"], kSum / 6));
  // A model whose outputs have one step knows so: [batch] is as good as [batch, 1].
  Identity one(1, false, "mse", {"mae"});
  const Tensor w = Tensor::from({2.0F, 0.5F}, {2});
  CHECK(near(one.model.evaluate(x, y, {.sample_weight = w})["loss"], 13));
  CHECK(near(one.model.evaluate(x, y, {.sample_weight = w})["mae"], (2 * 3 + 0.5 * 4) / 2.5));
}

TEST_CASE("rows of a fit's parts keep their own weights over steps") {
  Identity s(3, false, "mse", {"mae"});
  const TensorDict x{
      {"x", Tensor::from({1.0F, 1.0F, 1.0F, 2.0F, 2.0F, 2.0F, 3.0F, 3.0F, 3.0F}, {3, 3, 1})}};
  const TensorDict y{{"y", Tensor::zeros({3, 3, 1})}};
  const Tensor w = Tensor::from({1.0F, 10.0F, 100.0F}, {3, 1});
  const History history = s.model.fit(x, y,
                                      {.batch_size = 1,
                                       .verbose = 0,
                                       .validation_split = 0.33,
                                       .shuffle = true,
                                       .sample_weight = w});
  CHECK(near(history["loss"][0], (1 * 1 + 10 * 4) / 2.0));
  CHECK(near(history["val_loss"][0], 900));
  CHECK(near(history["mae"][0], (1 * 1 + 10 * 2) / 11.0));
}
