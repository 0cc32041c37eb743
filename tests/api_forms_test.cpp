// The forms in which the public API takes what a user writes: they compile without a warning, and
// mean what they say.
#include <span>

#include "tests/support/catch.hpp"
#include "tests/support/sample_models.hpp"

using namespace braid;
using namespace braid::testing;

TEST_CASE("counts and axes take any integer type") {
  const std::size_t units = 3;
  const unsigned short features = 2;
  const long long rows = 4;
  const std::vector<float> values(8);
  auto x = Input({.shape = {features}, .name = "x"});
  auto y = layers::Dense({.units = units, .name = "y"})(x);
  CHECK(y.shape() == Shape{units});
  Model model({x}, {y});
  model.compile({.loss = "mse", .steps_per_execution = units});
  FitOptions options;
  options.batch_size = values.size();
  options.epochs = features;
  options.verbose = 0;
  const History history = model.fit({{"x", Tensor::from(values, {rows, features})}},
                                    {{"y", Tensor::zeros({rows, units})}}, options);
  CHECK(history.epochs() == std::vector<int>{0, 1});
}

TEST_CASE("tensors are made of vectors, lists and spans of any constness and extent") {
  std::vector<float> values{1, 2, 3, 4};
  const std::span<float> open(values);
  const std::span<const float> constant(values);
  const std::span<float, 4> fixed(values.data(), 4);
  for (const Tensor& tensor :
       {Tensor::from(values, {2, 2}), Tensor::from(open, {2, 2}), Tensor::from(constant, {2, 2}),
        Tensor::from(fixed, {2, 2}), Tensor::from({1.0F, 2.0F, 3.0F, 4.0F}, {2, 2})}) {
    CHECK(tensor.to_vector<float>() == values);
    CHECK(tensor.shape() == Shape{2, 2});
  }
  CHECK(Tensor::from(std::vector<double>{0.1}, {1}).to_vector<float>() == std::vector<float>{0.1F});
  const Tensor ids = Tensor::ragged(std::vector<std::int64_t>{5, 6, 7}, {0, 2, 3});
  const Tensor vectors = Tensor::ragged(Tensor::from(values, {2, 2}), {0, 0, 2});
  CHECK(ids.shape() == Shape{2, None});
  CHECK(vectors.shape() == Shape{2, None, 2});
  CHECK(Tensor::zeros({2, 3}).to_vector<float>() == std::vector<float>(6));
  CHECK(Tensor::zeros({2}, DType::bool_).dtype() == DType::bool_);
}

TEST_CASE("tensors share their storage when copied and keep the device that they are on") {
  Tensor a = Tensor::zeros({2});
  const Tensor copy = a;
  a.data<float>()[1] = 5;
  CHECK(copy.to_vector<float>() == std::vector<float>{0, 5});
  CHECK(a.clone().data<float>() != a.data<float>());
  CHECK(a.device() == Device::cpu());
  CHECK(a.to(Device::cpu()).data<float>() == a.data<float>());
  CHECK_THROWS_AS(a.to_vector<std::int32_t>(), DTypeError);
  CHECK_THROWS_AS(a.data<std::int64_t>(), DTypeError);
}

TEST_CASE("a dictionary of tensors keeps the order of insertion and looks up by name") {
  TensorDict dict{{"b", Tensor::zeros({1})}, {"a", Tensor::zeros({2})}};
  dict.set("c", Tensor::zeros({3}));
  dict.set("b", Tensor::zeros({4}));
  std::string order;
  for (const auto& [name, tensor] : dict) order += name + std::to_string(tensor.elements());
  CHECK(order == "b4a2c3");
  CHECK(dict.size() == 3);
  CHECK(dict.contains("a"));
  CHECK_FALSE(dict.contains("d"));
  CHECK(dict["a"].rows() == 2);
  CHECK_THROWS_WITH(dict.at("cc"), ContainsSubstring("known are \"b\", \"a\" and \"c\"") &&
                                       ContainsSubstring("Did you mean \"c\"?"));
  CHECK_THROWS_AS((TensorDict{{"a", Tensor()}, {"a", Tensor()}}), NameError);
}

TEST_CASE("a model is made of single tensors, lists, vectors or keyed tensors") {
  auto x = Input({.shape = {2}, .name = "x"});
  auto y = layers::Dense({.units = 1, .name = "y"})(x);
  const std::vector<SymbolicTensor> inputs{x};
  const std::vector<SymbolicTensor> outputs{y};
  const std::vector<std::pair<std::string, SymbolicTensor>> keyed{{"in", x}};
  for (const Model& model : {Model(x, y), Model({x}, {y}), Model(inputs, outputs)}) {
    CHECK(model.input_names() == std::vector<std::string>{"x"});
    CHECK(model.output_names() == std::vector<std::string>{"y"});
  }
  for (const Model& model : {Model({{"in", x}}, {{"out", y}}), Model(keyed, {{"out", y}})}) {
    CHECK(model.input_names() == std::vector<std::string>{"in"});
    CHECK(model.output_names() == std::vector<std::string>{"out"});
  }
}

TEST_CASE("losses, weights and metrics are one, a list or a dictionary of one or more") {
  Sample s = two_outputs();
  const auto names = [&](CompileOptions options) {
    s.model.compile(std::move(options));
    std::string all;
    for (const auto& [name, value] : s.model.test_on_batch(s.x, s.y)) all += name + " ";
    return all;
  };
  const Loss sparse = losses::SparseCategoricalCrossentropy();
  const std::string chosen = "mae";
  const CompileOptions of_text{.loss = chosen};
  CHECK(of_text.loss.resolve({"a", "b"})[1]->kind == Loss::Kind::mean_absolute_error);
  CHECK(names({.loss = {sparse, chosen}}) == "a_loss b_loss loss ");
  CHECK(names({.loss = {sparse, "mse"}}) == "a_loss b_loss loss ");
  CHECK(names({.loss = {{"b", "mse"}}}) == "loss ");
  CHECK(names({.loss = {{"b", losses::Huber({.delta = 2})}, {"a", sparse}},
               .loss_weights = {{"b", 0.5}}}) == "a_loss b_loss loss ");
  CHECK(names({.loss = {{"b", "mse"}}, .metrics = {{"b", {"mae", "mse"}}}}) == "b_mae b_mse loss ");
  CHECK(names({.loss = {{"b", "mse"}}, .metrics = {{"b", "mae"}, {"a", {"accuracy"}}}}) ==
        "a_accuracy b_mae loss ");
  CHECK(names({.loss = {{"b", "mse"}},
               .weighted_metrics = {{"b", metrics::MeanAbsoluteError({.name = "off"})}}}) ==
        "b_off loss ");
  CHECK(names({.optimizer = optimizers::SGD({.learning_rate = 1}),
               .loss = {sparse, "mse"},
               .loss_weights = {1, 0.25},
               .metrics = {"accuracy"}}) == "a_accuracy a_loss b_accuracy b_loss loss ");
  s.model.compile({.loss = {sparse, "mse"}, .loss_weights = {0.5, 0.25}});
  const Logs logs = s.model.test_on_batch(s.x, s.y);
  CHECK(near(logs["loss"], 0.5 * logs["a_loss"] + 0.25 * logs["b_loss"]));
}

TEST_CASE("one loss for several outputs holds for each of them") {
  auto x = Input({.shape = {2}, .name = "x"});
  Model model({x}, {layers::Dense({.units = 1, .name = "p"})(x),
                    layers::Dense({.units = 2, .name = "q"})(x)});
  const TensorDict data{{"x", uniform({3, 2}, 1)}};
  const TensorDict targets{{"p", uniform({3, 1}, 2)}, {"q", uniform({3, 2}, 3)}};
  for (const Losses& loss : {Losses("mae"), Losses(losses::MeanAbsoluteError())}) {
    model.compile({.loss = loss});
    const Logs logs = model.test_on_batch(data, targets);
    CHECK(near(logs["loss"], logs["p_loss"] + logs["q_loss"]));
  }
  CompileOptions options;
  options.optimizer = "sgd";
  options.loss = {"mse", "mae"};
  options.metrics = {"mse", "mae"};
  model.compile(options);
  CHECK(model.test_on_batch(data, targets).size() == 7);
}

TEST_CASE("logs and histories hold doubles by name, and iterate in the order of their names") {
  Sample s = two_inputs();
  const History history =
      s.model.fit(s.x, s.y, {.batch_size = 5, .epochs = 3, .verbose = 0, .validation_split = 0.25});
  CHECK(history.names() ==
        std::vector<std::string>{"accuracy", "loss", "val_accuracy", "val_loss"});
  CHECK(history["val_loss"].size() == 3);
  CHECK(history.epochs() == std::vector<int>{0, 1, 2});
  CHECK_THROWS_WITH(history["val_los"], ContainsSubstring("Did you mean \"val_loss\"?"));
  const Logs logs = s.model.evaluate(s.x, s.y, {.batch_size = 7});
  const double loss = logs["loss"];
  CHECK(loss == logs.at("loss"));
  CHECK_THROWS_AS(logs["los"], NameError);
  CHECK(s.model.fit(s.x, s.y, {.epochs = 0, .verbose = 0}).epochs().empty());
}

TEST_CASE("a merging layer takes a braced list, and its function form joins the last axis") {
  auto a = Input({.shape = {2, 3}, .name = "a"});
  auto b = Input({.shape = {2, 3}, .name = "b"});
  CHECK(layers::concatenate({a, b}).shape() == Shape{2, 6});
  CHECK(layers::Concatenate({.axis = 1})({a, b}).shape() == Shape{4, 3});
  CHECK(layers::add({a, b}, {.name = "sum"}).name() == "sum");
  CHECK(layers::Multiply()({a, b}).shape() == Shape{2, 3});
  const std::vector<SymbolicTensor> list{a, b, a};
  CHECK(layers::average(list).shape() == Shape{2, 3});
  const auto mixed = 2.0 * a - b / 4.0 + 1.0 - 16.0 / b + 2;
  Model model({a, b}, {{"mixed", mixed}});
  const auto result =
      model.predict_on_batch({{"a", Tensor::from(std::vector<float>(6, 3), {1, 2, 3})},
                              {"b", Tensor::from(std::vector<float>(6, 8), {1, 2, 3})}});
  CHECK(result["mixed"].to_vector<float>() == std::vector<float>(6, 5));
}

TEST_CASE("the results of a recurrent layer that returns its state come apart by name") {
  auto x = Input({.shape = {None, 2}, .name = "x"});
  auto [sequence, h, c] =
      layers::LSTM({.units = 4, .return_sequences = true, .return_state = true}).states(x);
  CHECK(sequence.shape() == Shape{None, 4});
  CHECK(h.shape() == Shape{4});
  CHECK(c.shape() == Shape{4});
  auto decoded = layers::LSTM({.units = 4})(sequence, {.initial_state = {h, c}});
  Model model({x}, {{"sequence", sequence}, {"h", h}, {"decoded", decoded}});
  const TensorDict p = model.predict_on_batch({{"x", uniform({2, 3, 2}, 1)}});
  const auto steps = p["sequence"].to_vector<float>();
  const auto last = p["h"].to_vector<float>();
  CHECK(std::vector<float>(steps.begin() + 8, steps.begin() + 12) ==
        std::vector<float>(last.begin(), last.begin() + 4));
  CHECK_THROWS_AS(layers::LSTM({.units = 4}).states(x), NameError);
}
