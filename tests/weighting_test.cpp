// Weights of samples and classes, and the data that judge a fit, in every form that they may take.
#include "tests/support/catch.hpp"
#include "tests/support/sample_models.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

// The mean of a loss's values, each times its weight.
double weighted_mean(const std::vector<double>& values, const std::vector<double>& weights) {
  double sum = 0;
  for (std::size_t i = 0; i < values.size(); ++i) sum += values[i] * weights[i];
  return sum / static_cast<double>(values.size());
}

// y = x, so that the squared error of a row is known.
struct Identity {
  Identity() : model(make()) {}
  static Model make() {
    auto x = Input({.shape = {1}, .name = "x"});
    const auto named = [&](const char* name) {
      return layers::Dense({.units = 1, .kernel_initializer = "ones", .name = name})(x);
    };
    Model model({x}, {named("p"), named("q")});
    model.compile({.optimizer = optimizers::SGD({.learning_rate = 0}),
                   .loss = "mse",
                   .weighted_metrics = {"mae"}});
    return model;
  }
  Model model;
  TensorDict x{{"x", Tensor::from({1.0F, 2.0F, 3.0F, 4.0F}, {4, 1})}};
  TensorDict y{{"p", Tensor::zeros({4, 1})}, {"q", Tensor::zeros({4})}};
  std::vector<double> squares{1, 4, 9, 16};
};

}  // namespace

TEST_CASE("sample weights weigh every output, or those that are named") {
  Identity s;
  const std::vector<double> weights{1, 0, 2, 0.5};
  const double weighed = weighted_mean(s.squares, weights);
  const double plain = weighted_mean(s.squares, {1, 1, 1, 1});
  for (const Shape& shape : {Shape{4}, Shape{4, 1}}) {
    const Tensor tensor = Tensor::from(weights, shape);
    const Logs all = s.model.evaluate(s.x, s.y, {.sample_weight = tensor});
    CHECK(near(all["p_loss"], weighed));
    CHECK(near(all["q_loss"], weighed));
    CHECK(near(all["q_mae"], (1 + 6 + 2) / 3.5));
    const Logs one = s.model.evaluate(s.x, s.y, {.sample_weight = {{"q", tensor}}});
    CHECK(near(one["p_loss"], plain));
    CHECK(near(one["q_loss"], weighed));
    CHECK(near(s.model.test_on_batch(s.x, s.y, {.sample_weight = tensor})["loss"], 2 * weighed));
    CHECK(near(s.model.train_on_batch(s.x, s.y, {.sample_weight = {{"p", tensor}}})["p_loss"],
               weighed));
    const History history = s.model.fit(
        s.x, s.y, {.batch_size = 4, .verbose = 0, .shuffle = false, .sample_weight = tensor});
    CHECK(near(history["p_loss"][0], weighed));
  }
}

TEST_CASE("class weights weigh rows by their label, for every output or by output") {
  Identity s;
  s.y = {{"p", Tensor::from({0, 1, 1, 2}, {4})},
         {"q", Tensor::from({1.0F, 0.0F, 0.0F, 1.0F}, {4, 1})}};
  const std::vector<double> p{1, 1, 4, 4};
  const std::vector<double> q{0, 4, 9, 9};
  const auto losses = [&](const ClassWeight& class_weight) {
    const Logs logs = s.model.train_on_batch(s.x, s.y, {.class_weight = class_weight});
    const History history = s.model.fit(
        s.x, s.y, {.batch_size = 4, .verbose = 0, .shuffle = false, .class_weight = class_weight});
    CHECK(near(history["loss"][0], logs["loss"]));
    return std::pair(logs["p_loss"], logs["q_loss"]);
  };
  // A class that is not named weighs 1.
  auto [p_loss, q_loss] = losses({{0, 2.0}, {1, 0.5}});
  CHECK(near(p_loss, weighted_mean(p, {2, 0.5, 0.5, 1})));
  CHECK(near(q_loss, weighted_mean(q, {0.5, 2, 2, 0.5})));
  std::tie(p_loss, q_loss) = losses({{"p", {{2, 5}}}});
  CHECK(near(p_loss, weighted_mean(p, {1, 1, 1, 5})));
  CHECK(near(q_loss, weighted_mean(q, {1, 1, 1, 1})));
  std::tie(p_loss, q_loss) = losses({{"p", {{0, 0}, {1, 2}}}, {"q", {{0, 3}, {1, 1}}}});
  CHECK(near(p_loss, weighted_mean(p, {0, 2, 2, 1})));
  CHECK(near(q_loss, weighted_mean(q, {1, 3, 3, 1})));
}

TEST_CASE("class weights of one-hot targets go by the place of the one") {
  auto x = Input({.shape = {2}, .name = "x"});
  Model model({x}, {layers::Dense({.units = 3, .name = "y"})(x)});
  model.compile({.optimizer = "sgd", .loss = "mse"});
  const TensorDict data{{"x", uniform({2, 2}, 1)}};
  const TensorDict hot{{"y", Tensor::from({0.0F, 0.0F, 1.0F, 1.0F, 0.0F, 0.0F}, {2, 3})}};
  const double by_class =
      model.train_on_batch(data, hot, {.class_weight = {{2, 4.0}, {0, 0.0}}})["loss"];
  set_random_seed(1);
  const auto first = Tensor::from({4.0F, 0.0F}, {2});
  Model same = model;
  CHECK(by_class > 0);
  // The weights of the model have moved a little: the same loss within that.
  CHECK(near(same.test_on_batch(data, hot, {.sample_weight = first})["loss"], by_class, 0.2));
}

TEST_CASE("validation data come as two or three things, or as a share of the rows") {
  Identity s;
  const TensorDict vx{{"x", Tensor::from({5.0F, 6.0F}, {2, 1})}};
  const TensorDict vy{{"p", Tensor::zeros({2})}, {"q", Tensor::zeros({2})}};
  const Tensor weights = Tensor::from({2.0F, 0.0F}, {2});
  const auto fit = [&](FitOptions options) {
    options.verbose = 0;
    const History history = s.model.fit(s.x, s.y, options);
    return std::pair(history["val_p_loss"][0], history["val_q_loss"][0]);
  };
  CHECK(fit({.validation_data = {vx, vy}}) == std::pair(30.5, 30.5));
  CHECK(fit({.validation_data = {vx, vy, weights}}) == std::pair(25.0, 25.0));
  CHECK(fit({.validation_data = {vx, vy, {{"q", weights}}}}) == std::pair(30.5, 25.0));
  FitOptions options;
  options.validation_data = {vx, vy};
  options.validation_split = 0.5;  // then of no account
  CHECK(fit(options) == std::pair(30.5, 30.5));
  // The last rows, floor(4 * 0.7) of them are trained on.
  CHECK(fit({.validation_split = 0.3}) == std::pair(12.5, 12.5));
  CHECK(fit({.validation_split = 0.5, .sample_weight = Tensor::from({1.0F, 1.0F, 0.0F, 1.0F}, {4})})
            .first == 8.0);
  // Class weights are for training alone.
  CHECK(fit({.validation_split = 0.25, .class_weight = {{0, 100.0}}}) == std::pair(16.0, 16.0));
}

TEST_CASE("targets may have an axis of one more or less than their outputs") {
  Identity s;
  for (const Tensor& p : {Tensor::zeros({4}), Tensor::zeros({4, 1}), Tensor::zeros({4, 1, 1}),
                          Tensor::zeros({4}, DType::int64), Tensor::zeros({4, 1}, DType::bool_)}) {
    CHECK(near(s.model.test_on_batch(s.x, {{"p", p}, {"q", Tensor::zeros({4})}})["p_loss"], 7.5));
  }
}
