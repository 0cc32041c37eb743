#include <cmath>
#include <cstdlib>
#include <filesystem>

#include <braid/braid.hpp>

#include "tests/support/catch.hpp"

using namespace braid;

namespace {

std::vector<float> numbers(std::int64_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i) values.push_back(random.uniform() - 0.5F);
  return values;
}

struct TwoInputs {
  TwoInputs() : model(make()) {
    const std::int64_t n = 200;
    const auto numeric = numbers(n * 5, 2);
    std::vector<float> labels;
    for (std::int64_t i = 0; i < n; ++i) {
      labels.push_back(numeric[static_cast<std::size_t>(i * 5)] +
                                   numeric[static_cast<std::size_t>(i * 5 + 1)] >
                               0
                           ? 1.0F
                           : 0.0F);
    }
    x = {{"text", Tensor::from(numbers(n * 8, 1), {n, 8})},
         {"numeric", Tensor::from(numeric, {n, 5})}};
    y = {{"label", Tensor::from(labels, {n, 1})}};
  }

  static Model make() {
    set_random_seed(7);
    auto text = Input({.shape = {8}, .name = "text"});
    auto numeric = Input({.shape = {5}, .name = "numeric"});
    auto merged =
        layers::concatenate({layers::Dense({.units = 16, .activation = "relu"})(text),
                             layers::Dense({.units = 16, .activation = "relu"})(numeric)});
    auto hidden = layers::Dropout({.rate = 0.1})(merged);
    auto label = layers::Dense({.units = 1, .activation = "sigmoid", .name = "label"})(hidden);
    Model model({text, numeric}, {label});
    model.compile({.optimizer = optimizers::Adam({.learning_rate = 1e-2}),
                   .loss = "binary_crossentropy",
                   .metrics = {"accuracy"}});
    return model;
  }

  Model model;
  TensorDict x;
  TensorDict y;
};

}  // namespace

TEST_CASE("a model with two named inputs learns, and evaluates and predicts by name in any order") {
  TwoInputs s;
  const History history = s.model.fit(
      s.x, s.y, {.batch_size = 32, .epochs = 25, .verbose = 0, .validation_split = 0.2});
  CHECK(history["loss"].back() < 0.5 * history["loss"].front());
  CHECK(history["val_accuracy"].back() > 0.85);
  CHECK(history.epochs().size() == 25);
  const Logs logs = s.model.evaluate(s.x, s.y);
  CHECK(logs["accuracy"] > 0.9);
  const TensorDict p = s.model.predict({{"numeric", s.x["numeric"]}, {"text", s.x["text"]}});
  CHECK(p["label"].shape() == Shape{200, 1});
  const auto batches = p["label"].to_vector<float>();
  const auto whole = s.model.predict_on_batch(s.x)["label"].to_vector<float>();
  for (std::size_t i = 0; i < whole.size(); ++i) CHECK(std::abs(batches[i] - whole[i]) < 1e-6F);
}

TEST_CASE(
    "the same seed gives the same training, and a fit that goes on equals one that never stopped") {
  TwoInputs a;
  TwoInputs b;
  a.model.fit(a.x, a.y, {.epochs = 4, .verbose = 0, .seed = 3});
  b.model.fit(b.x, b.y, {.epochs = 2, .verbose = 0, .seed = 3});
  b.model.fit(b.x, b.y, {.epochs = 4, .verbose = 0, .initial_epoch = 2});
  for (const auto& [name, weight] : a.model.get_weights()) {
    CHECK(weight.to_vector<float>() == b.model.get_weights()[name].to_vector<float>());
  }
}

TEST_CASE("masked sequences given as ragged rows and as padded rows are the same to a model") {
  set_random_seed(5);
  auto sequence = Input({.shape = {None}, .name = "sequence", .dtype = DType::int32});
  auto features = Input({.shape = {3}, .name = "features"});
  auto h = layers::Embedding({.input_dim = 20, .output_dim = 6, .mask_zero = true})(sequence);
  h = layers::LSTM({.units = 5})(h);
  auto label = layers::Dense({.units = 1, .activation = "sigmoid", .name = "label"})(
      layers::concatenate({h, features}));
  Model model({sequence, features}, {label});
  model.compile({.optimizer = optimizers::Adam({.learning_rate = 1e-2}),
                 .loss = "binary_crossentropy",
                 .metrics = {"accuracy"}});

  const Tensor ragged =
      Tensor::ragged(std::vector<std::int32_t>{1, 2, 3, 4, 5, 6}, {0, 3, 3, 5, 6});
  const Tensor padded =
      Tensor::from(std::vector<std::int32_t>{1, 2, 3, 0, 0, 0, 4, 5, 0, 6, 0, 0}, {4, 3});
  const Tensor rest = Tensor::from(numbers(12, 4), {4, 3});
  const auto a =
      model.predict({{"sequence", ragged}, {"features", rest}})["label"].to_vector<float>();
  const auto b =
      model.predict({{"sequence", padded}, {"features", rest}})["label"].to_vector<float>();
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(std::abs(a[i] - b[i]) < 1e-6F);

  const TensorDict y{{"label", Tensor::from(std::vector<float>{0, 1, 1, 0}, {4, 1})}};
  const double first = model.train_on_batch({{"sequence", ragged}, {"features", rest}}, y)["loss"];
  double last = first;
  for (int step = 0; step < 100; ++step)
    last = model.train_on_batch({{"sequence", padded}, {"features", rest}}, y)["loss"];
  CHECK(last < 0.8 * first);
  CHECK_THROWS_WITH(
      model.predict({{"sequence", Tensor::from(std::vector<std::int32_t>{1, 20}, {1, 2})},
                     {"features", rest.slice(0, 1)}}),
      ContainsSubstring("input \"sequence\", row 0, column 1: 20 is not in 0 .. 19"));
}

TEST_CASE("two outputs with nested Sequentials log each loss and metric under their names") {
  set_random_seed(6);
  auto image = Input({.shape = {4, 4, 1}, .name = "image"});
  auto text = Input({.shape = {10}, .name = "text"});
  auto image_class =
      Sequential({layers::Flatten(), layers::Dense({.units = 8, .activation = "relu"}),
                  layers::Dense({.units = 3, .activation = "softmax"})},
                 "image_class")(image);
  auto text_class =
      Sequential({layers::Dense({.units = 3, .activation = "softmax"})}, "text_class")(text);
  Model model({image, text}, {image_class, text_class});
  model.compile({.optimizer = "adam",
                 .loss = {"categorical_crossentropy", "categorical_crossentropy"},
                 .loss_weights = {0.5, 0.25},
                 .metrics = {"accuracy"}});
  const TensorDict x{{"image", Tensor::from(std::vector<std::uint8_t>(32, 200), {2, 4, 4, 1})},
                     {"text", Tensor::from(numbers(20, 3), {2, 10})}};
  const Tensor one_hot = Tensor::from(std::vector<float>{1, 0, 0, 0, 0, 1}, {2, 3});
  const TensorDict y{{"image_class", one_hot}, {"text_class", one_hot}};
  const Logs logs = model.test_on_batch(x, y);
  CHECK(logs.size() == 5);
  CHECK(std::abs(logs["loss"] - 0.5 * logs["image_class_loss"] - 0.25 * logs["text_class_loss"]) <
        1e-4);
  CHECK(logs.contains("text_class_accuracy"));
  CHECK(model.get_weights().contains("image_class/dense_1/kernel"));
  CHECK_THAT(model.summary(), ContainsSubstring("Trainable params: 196"));
}

TEST_CASE("data that do not fit are refused with names and numbers, and nothing has changed") {
  TwoInputs s;
  const auto before = s.model.get_weights()["label/kernel"].to_vector<float>();
  TensorDict misspelt{{"txt", s.x["text"]}, {"numeric", s.x["numeric"]}};
  CHECK_THROWS_WITH(s.model.predict(misspelt),
                    ContainsSubstring("model.predict: no input \"txt\"; this model's inputs are "
                                      "\"text\" float32 [batch, 8] and "
                                      "\"numeric\" float32 [batch, 5]. Did you mean \"text\"?"));
  CHECK_THROWS_AS(s.model.predict({{"text", s.x["text"]}}), NameError);
  CHECK_THROWS_AS(s.model.predict({{"text", s.x["text"].slice(0, 3)}, {"numeric", s.x["numeric"]}}),
                  ShapeError);
  CHECK_THROWS_AS(s.model.fit(s.x, {{"label", s.x["text"]}}, {.verbose = 0}), ShapeError);
  CHECK_THROWS_AS(s.model.fit(s.x, s.y, {.batch_size = 0, .verbose = 0}), RangeError);
  Tensor broken = s.x["numeric"].clone();
  broken.data<float>()[17] = NAN;
  CHECK_THROWS_WITH(s.model.fit({{"text", s.x["text"]}, {"numeric", broken}}, s.y, {.verbose = 0}),
                    ContainsSubstring("input \"numeric\", row 3, column 2: NaN"));
  CHECK_THROWS_AS(s.model.train_on_batch({{"text", s.x["text"]}, {"numeric", broken}}, s.y),
                  NumericError);
  CHECK(s.model.get_weights()["label/kernel"].to_vector<float>() == before);
}

TEST_CASE(
    "weights go into a file and come back by name, and a file of another model changes nothing") {
  TwoInputs a;
  TwoInputs b;
  a.model.fit(a.x, a.y, {.verbose = 0});
  std::string pattern = (std::filesystem::temp_directory_path() / "braid_test_XXXXXX").string();
  const std::filesystem::path folder = mkdtemp(pattern.data());
  const std::string path = (folder / "weights.safetensors").string();
  a.model.save_weights(path);
  b.model.load_weights(path);
  CHECK(a.model.evaluate(a.x, a.y)["loss"] == b.model.evaluate(a.x, a.y)["loss"]);

  auto other = Input({.shape = {2}, .name = "other"});
  Model stranger({other}, {layers::Dense({.units = 1})(other)});
  const auto before = stranger.get_weights()["dense/kernel"].to_vector<float>();
  CHECK_THROWS_AS(stranger.load_weights(path), NameError);
  CHECK(stranger.get_weights()["dense/kernel"].to_vector<float>() == before);
  std::filesystem::remove_all(folder);
}

TEST_CASE("a model from its file predicts the same, and its training goes on bit for bit") {
  TwoInputs a;
  TwoInputs b;
  std::string pattern = (std::filesystem::temp_directory_path() / "braid_test_XXXXXX").string();
  const std::filesystem::path folder = mkdtemp(pattern.data());
  const std::string path = (folder / "model.braid").string();
  a.model.fit(a.x, a.y, {.epochs = 4, .verbose = 0, .seed = 3});
  b.model.fit(b.x, b.y, {.epochs = 2, .verbose = 0, .seed = 3});
  b.model.save(path);
  Model loaded = Model::load(path);
  CHECK(loaded.summary() == b.model.summary());
  CHECK(loaded.predict(b.x)["label"].to_vector<float>() ==
        b.model.predict(b.x)["label"].to_vector<float>());
  loaded.fit(b.x, b.y, {.epochs = 4, .verbose = 0, .initial_epoch = 2});
  for (const auto& [name, weight] : a.model.get_weights()) {
    CHECK(weight.to_vector<float>() == loaded.get_weights()[name].to_vector<float>());
  }
  CHECK(a.model.evaluate(a.x, a.y)["accuracy"] == loaded.evaluate(a.x, a.y)["accuracy"]);

  a.model.save_weights(path);
  CHECK_THROWS_AS(Model::load(path), FormatError);
  std::filesystem::remove_all(folder);
}
