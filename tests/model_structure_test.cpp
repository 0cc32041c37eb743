// Names, nesting and sharing: what a model is made of, and how its parts are found.
#include "tests/support/catch.hpp"
#include "tests/support/sample_models.hpp"

using namespace braid;
using namespace braid::testing;
using Names = std::vector<std::string>;

namespace {

Names layer_names(const Model& model) {
  Names names;
  for (const Layer& layer : model.layers()) names.push_back(layer.name());
  return names;
}

}  // namespace

TEST_CASE("layers without a name are counted within their model, whatever was built before") {
  const auto build = [] {
    auto a = Input({.shape = {2}});
    auto b = Input({.shape = {2}});
    auto h = layers::concatenate({layers::Dense({.units = 2})(a), layers::Dense({.units = 3})(b)});
    h = Sequential({layers::Dense({.units = 2}), layers::Dense({.units = 2})})(h);
    h = layers::GlobalAveragePooling1D()(layers::Reshape({.target_shape = {2, 1}})(h));
    return Model({a, b}, {layers::Dense({.units = 1, .name = "dense_1"})(h)});
  };
  const Model first = build();
  const Model second = build();
  CHECK(layer_names(first) == layer_names(second));
  CHECK(first.get_weights().names() == second.get_weights().names());
  CHECK(first.input_names() == Names{"input", "input_1"});
  CHECK(first.output_names() == Names{"dense_1"});
  // The name that a user gave is not taken again.
  CHECK(first.get_weights().names() ==
        Names{"dense/kernel", "dense/bias", "dense_2/kernel", "dense_2/bias",
              "sequential/dense/kernel", "sequential/dense/bias", "sequential/dense_1/kernel",
              "sequential/dense_1/bias", "dense_1/kernel", "dense_1/bias"});
  CHECK_NOTHROW(first.get_layer("global_average_pooling1d"));
  CHECK_THROWS_WITH(first.get_layer("dense_3"),
                    ContainsSubstring("no layer \"dense_3\"") && ContainsSubstring("Did you mean"));
}

TEST_CASE("dictionary keys are the names by which everything is bound") {
  auto image = Input({.shape = {3}, .name = "image"});
  auto text = Input({.shape = {2}, .name = "text"});
  auto digit = layers::Dense({.units = 2, .activation = "softmax"})(image);
  auto topic = layers::Dense({.units = 1})(text);
  Model model({{"image", image}, {"words", text}}, {{"digit", digit}, {"topic", topic}});
  model.compile({.loss = {{"topic", "mse"}, {"digit", "categorical_crossentropy"}},
                 .metrics = {{"topic", "mae"}}});
  const TensorDict x{{"words", uniform({4, 2}, 1)}, {"image", uniform({4, 3}, 2)}};
  const TensorDict y{{"topic", uniform({4, 1}, 3)},
                     {"digit", Tensor::from(std::vector<float>{1, 0, 0, 1, 1, 0, 0, 1}, {4, 2})}};
  Names logs;
  for (const auto& [name, value] : model.train_on_batch(x, y)) logs.push_back(name);
  CHECK(logs == Names{"digit_loss", "loss", "topic_loss", "topic_mae"});
  CHECK(model.predict(x).names() == Names{"digit", "topic"});
  TensorDict by_input_name = x;
  by_input_name.set("text", x["words"]);
  CHECK_THROWS_AS(model.predict(by_input_name), NameError);
}

TEST_CASE("a layer called twice has one set of weights, trained by both calls") {
  auto a = Input({.shape = {2}, .name = "a"});
  auto b = Input({.shape = {2}, .name = "b"});
  const layers::Dense shared({.units = 3, .name = "shared"});
  auto difference = layers::subtract({shared(a), shared(b)});
  Model model({a, b}, {layers::Dense({.units = 1, .name = "y"})(difference)});
  CHECK(model.count_params() == 9 + 4);
  CHECK(model.get_weights().names() == Names{"shared/kernel", "shared/bias", "y/kernel", "y/bias"});
  const Tensor same = uniform({3, 2}, 1);
  const auto p = model.predict({{"a", same}, {"b", same}})["y"].to_vector<float>();
  CHECK(p == std::vector<float>(3, model.get_weights()["y/bias"].to_vector<float>()[0]));
  model.compile({.optimizer = optimizers::SGD({.learning_rate = 1}), .loss = "mse"});
  // The two calls' gradients of the shared bias cancel each other.
  const auto before = model.get_weights()["shared/bias"].to_vector<float>();
  model.train_on_batch({{"a", uniform({3, 2}, 2)}, {"b", uniform({3, 2}, 3)}},
                       {{"y", uniform({3, 1}, 4)}});
  const auto after = model.get_weights()["shared/bias"].to_vector<float>();
  for (std::size_t i = 0; i < 3; ++i) CHECK(near(after[i], before[i]));
}

TEST_CASE("a model used as a layer, called twice, is one model") {
  auto x = Input({.shape = {4}, .name = "x"});
  Model encoder({x}, {layers::Dense({.units = 3, .activation = "tanh"})(x)}, "encoder");
  auto left = Input({.shape = {4}, .name = "left"});
  auto right = Input({.shape = {4}, .name = "right"});
  auto both = layers::concatenate({encoder(left), encoder(right)});
  Model model({left, right}, {layers::Dense({.units = 1, .name = "y"})(both)});
  CHECK(layer_names(model) == Names{"left", "right", "encoder", "concatenate", "y"});
  CHECK(model.count_params() == 15 + 7);
  CHECK(encoder.count_params() == 15);
  CHECK(model.get_weights().names() ==
        Names{"encoder/dense/kernel", "encoder/dense/bias", "y/kernel", "y/bias"});
  model.compile({.optimizer = "sgd", .loss = "mse"});
  const TensorDict data{{"left", uniform({3, 4}, 1)}, {"right", uniform({3, 4}, 2)}};
  const auto before = encoder.predict({{"x", data["left"]}})["dense"].to_vector<float>();
  model.train_on_batch(data, {{"y", uniform({3, 1}, 3)}});
  CHECK(encoder.predict({{"x", data["left"]}})["dense"].to_vector<float>() != before);
  CHECK(encoder.get_weights()["dense/kernel"].to_vector<float>() ==
        model.get_weights()["encoder/dense/kernel"].to_vector<float>());
}

TEST_CASE("a nested model with several outputs gives them by name and by position") {
  auto x = Input({.shape = {4}, .name = "x"});
  auto mean = layers::Dense({.units = 2, .name = "mean"})(x);
  auto spread = layers::Dense({.units = 3, .name = "spread"})(x);
  Model inner({x}, {{"mean", mean}, {"spread", spread}}, "inner");
  auto outer = Input({.shape = {4}, .name = "outer"});
  const SymbolicDict results = inner.outputs(outer);
  CHECK(results.size() == 2);
  CHECK(results["spread"].shape() == Shape{3});
  CHECK(results[0] == results["mean"]);
  CHECK(results[1] == results["spread"]);
  CHECK_THROWS_WITH(results["maen"], ContainsSubstring("Did you mean \"mean\"?"));
  CHECK_THROWS_AS(results[2], RangeError);
  Model model({outer}, {{"m", results["mean"]}, {"s", results["spread"]}});
  const Tensor data = uniform({2, 4}, 1);
  const TensorDict whole = model.predict({{"outer", data}});
  const TensorDict part = inner.predict({{"x", data}});
  CHECK(whole["m"].to_vector<float>() == part["mean"].to_vector<float>());
  CHECK(whole["s"].to_vector<float>() == part["spread"].to_vector<float>());
}

TEST_CASE("a layer that two submodels share counts once") {
  const layers::Dense shared({.units = 3});
  auto x = Input({.shape = {3}, .name = "x"});
  auto y = Sequential({shared, layers::Activation({.activation = "relu"})})(x);
  y = Sequential({shared, layers::Dense({.units = 1})})(y);
  Model model({x}, {y});
  CHECK(model.count_params() == 12 + 4);
  CHECK_THAT(model.summary(), ContainsSubstring("Total params: 16\n"));
  CHECK(model.get_weights().size() == 4);
}

TEST_CASE("a summary names many sources in lines of their own, each in its column") {
  std::vector<SymbolicTensor> inputs;
  for (const char* name : {"the_first_input", "the_second_input", "the_third_input", "last"})
    inputs.push_back(Input({.shape = {2}, .name = name}));
  const Model model(inputs, {layers::concatenate(inputs)});
  const std::string summary = model.summary();
  const auto header = summary.find("Layer (type)");
  const std::string indent(summary.find("Connected to") - header, ' ');
  CHECK_THAT(summary, ContainsSubstring("  the_first_input, the_second_input,\n" + indent +
                                        "the_third_input, last\n"));
}

TEST_CASE("a Sequential without an Input learns its shape from data or from its first call") {
  Sequential model({layers::Flatten(), layers::Dense({.units = 2, .name = "y"})}, "chain");
  CHECK_THAT(model.summary(), ContainsSubstring("unbuilt"));
  CHECK_THROWS_WITH(model.save("unused"), ContainsSubstring("Sequential layer \"chain\" does not "
                                                            "know the shape of its input yet"));
  CHECK_THROWS_AS(model.set_weights({}), ShapeError);
  CHECK(model.optimizer_state().empty());
  model.compile({.optimizer = "sgd", .loss = "mse"});
  CHECK_THROWS_WITH(model.predict({{"x", Tensor::zeros({2, 3})}}),
                    ContainsSubstring("one tensor named \"input\"") && ContainsSubstring("\"x\""));
  const Tensor images = Tensor::from(std::vector<std::uint8_t>(12, 3), {2, 3, 2});
  model.fit({{"input", images}}, {{"y", Tensor::zeros({2, 2})}}, {.verbose = 0});
  CHECK(model.count_params() == 14);
  CHECK(model.input_names() == Names{"input"});
  // Learnt from integers, it still takes numbers with fractions, as Keras's does.
  CHECK(model.predict({{"input", uniform({1, 3, 2}, 1)}})["y"].shape() == Shape{1, 2});
}

TEST_CASE("a Sequential that could not be built is as it was") {
  Sequential model({layers::Dense({.units = 4}),
                    Sequential({layers::Dense({.units = 4}), layers::LSTM({.units = 2})})});
  CHECK_THROWS_AS(model.predict({{"input", Tensor::zeros({2, 3})}}), ShapeError);
  CHECK(model.count_params() == 0);
  CHECK(model.predict({{"input", Tensor::zeros({2, 5, 6})}}).size() == 1);
  CHECK(model.count_params() == 28 + 20 + (4 + 2 + 1) * 8);
}

TEST_CASE("frozen layers keep their weights, in nested models too, and lose their penalty") {
  auto x = Input({.shape = {3}, .name = "x"});
  Sequential body({layers::Dense({.units = 4, .kernel_regularizer = regularizers::L2(10)}),
                   layers::Dense({.units = 2})},
                  "body");
  Model model({x}, {layers::Dense({.units = 1, .name = "head"})(body(x))});
  const TensorDict data{{"x", uniform({6, 3}, 1)}};
  const TensorDict targets{{"head", uniform({6, 1}, 2)}};
  model.compile({.optimizer = "sgd", .loss = "mse"});
  const double penalised = model.test_on_batch(data, targets)["loss"];
  body.set_trainable(false);
  CHECK_FALSE(model.get_layer("body").trainable());
  model.compile({.optimizer = "sgd", .loss = "mse"});
  CHECK(model.test_on_batch(data, targets)["loss"] < penalised - 1);
  CHECK_THAT(model.summary(), ContainsSubstring("Trainable params: 3\nNon-trainable params: 26"));
  CHECK(model.optimizer_state().names() == Names{"iteration", "learning_rate"});
  const TensorDict before = model.get_weights();
  model.fit(data, targets, {.epochs = 2, .verbose = 0});
  for (const auto& [name, weight] : model.get_weights()) {
    const bool same = weight.to_vector<float>() == before[name].to_vector<float>();
    CHECK(same == (name != "head/kernel" && name != "head/bias"));
  }
  model.get_layer("body").set_trainable(true);
  model.compile({.optimizer = "sgd", .loss = "mse"});
  model.fit(data, targets, {.verbose = 0});
  CHECK(model.get_weights()["body/dense/kernel"].to_vector<float>() !=
        before["body/dense/kernel"].to_vector<float>());
}

TEST_CASE("weights are read and set by name in Keras's order") {
  Sample s = sequences();
  CHECK(s.model.get_weights().names() == Names{"words/embeddings", "lstm/kernel",
                                               "lstm/recurrent_kernel", "lstm/bias", "label/kernel",
                                               "label/bias"});
  TensorDict weights = s.model.get_weights();
  weights.at("label/bias") = Tensor::from({1.0F, 2.0F, 3.0F, 4.0F}, {4});
  s.model.set_weights(weights);
  CHECK(s.model.get_weights()["label/bias"].to_vector<float>() == std::vector<float>{1, 2, 3, 4});
  // What get_weights gave is a copy.
  weights.at("label/bias").data<float>()[0] = 9;
  CHECK(s.model.get_weights()["label/bias"].to_vector<float>()[0] == 1);
}
