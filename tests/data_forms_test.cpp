// What may enter a model: dtypes, ragged rows, lengths that change, any number of rows.
#include "tests/support/refusals.hpp"
#include "tests/support/sample_models.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

Model doubling(DType dtype) {
  auto x = Input({.shape = {3}, .name = "x", .dtype = dtype});
  return Model({x}, {{"y", 2.0 * x}});
}

std::vector<float> doubled(const Model& model, const Tensor& x) {
  return model.predict({{"x", x}})["y"].to_vector<float>();
}

}  // namespace

TEST_CASE("integers and bools enter a float32 input exactly") {
  const Model model = doubling(DType::float32);
  const std::vector<float> twice{2, 4, 510};
  CHECK(doubled(model, Tensor::from(std::vector<std::uint8_t>{1, 2, 255}, {1, 3})) == twice);
  CHECK(doubled(model, Tensor::from({1, 2, 255}, {1, 3})) == twice);
  CHECK(doubled(model, Tensor::from(std::vector<std::int64_t>{1, 2, 255}, {1, 3})) == twice);
  CHECK(doubled(model, Tensor::from({1.0, 2.0, 255.0}, {1, 3})) == twice);
  CHECK(doubled(model, Tensor::from({true, false, true}, {1, 3})) == std::vector<float>{2, 0, 2});
  CHECK(doubled(model, Tensor::from({1 << 30, -16777216, 0}, {1, 3}))[0] == 2147483648.0F);
  check_refused<RangeError>(
      [&] {
        doubled(model, Tensor::from({0, 1, 2, 3, 16777217, 5}, {2, 3}));
      },
      {"model.predict", "input \"x\"", "row 1, column 1", "16777217", "float32"});
  check_refused<RangeError>(
      [&] {
        doubled(model, Tensor::from(std::vector<std::int64_t>{0, 0, (1LL << 40) + 1}, {1, 3}));
      },
      {"row 0, column 2", "1099511627777"});
}

TEST_CASE("integers enter an integer input that holds them, and nothing else does") {
  const Model ids = doubling(DType::int32);
  CHECK(doubled(ids, Tensor::from(std::vector<std::int64_t>{1, -2, 3}, {1, 3})) ==
        std::vector<float>{2, -4, 6});
  CHECK(doubled(ids, Tensor::from(std::vector<std::uint8_t>{1, 2, 3}, {1, 3})) ==
        std::vector<float>{2, 4, 6});
  check_refused<RangeError>(
      [&] {
        doubled(ids, Tensor::from(std::vector<std::int64_t>{0, 0, 0, 0, 1LL << 31, 0}, {2, 3}));
      },
      {"input \"x\"", "row 1, column 1", "2147483648", "int32"});
  for (const DType dtype : {DType::int32, DType::int64, DType::uint8, DType::bool_}) {
    check_refused<DTypeError>(
        [&] {
          doubled(doubling(dtype), Tensor::zeros({1, 3}));
        },
        {"\"x\" " + std::string(name_of(dtype)), "float32 [1, 3] came"});
  }
  const Model bytes = doubling(DType::uint8);
  CHECK(doubled(bytes, Tensor::from({0, 255, 7}, {1, 3})) == std::vector<float>{0, 510, 14});
  check_refused<RangeError>(
      [&] {
        doubled(bytes, Tensor::from({0, 256, 7}, {1, 3}));
      },
      {"row 0, column 1", "256", "uint8"});
  check_refused<RangeError>([&] { doubled(bytes, Tensor::from({0, 7, -1}, {1, 3})); }, {"-1"});
  const Model flags = doubling(DType::bool_);
  CHECK(doubled(flags, Tensor::from({true, false, true}, {1, 3})) == std::vector<float>{2, 0, 2});
  check_refused<DTypeError>(
      [&] {
        doubled(flags, Tensor::from({0, 1, 1}, {1, 3}));
      },
      {"takes bool", "int32"});
}

TEST_CASE("a sequence may have another length in every batch") {
  Sample s = sequences();
  for (const std::int64_t steps : {1, 3, 9, 40}) {
    const Tensor ids =
        Tensor::from(std::vector<std::int32_t>(static_cast<std::size_t>(2 * steps), 3), {2, steps});
    const TensorDict x{{"sequence", ids}, {"features", uniform({2, 3}, 1)}};
    CHECK(s.model.predict(x)["label"].shape() == Shape{2, 4});
    CHECK_NOTHROW(s.model.train_on_batch(x, {{"label", Tensor::zeros({2}, DType::int32)}}));
  }
}

TEST_CASE("no rows and one row are predicted; no rows are neither trained nor judged") {
  Sample s = two_inputs();
  const TensorDict none{{"text", Tensor::zeros({0, 8})}, {"numeric", Tensor::zeros({0, 5})}};
  const TensorDict no_labels{{"label", Tensor::zeros({0, 1})}};
  CHECK(s.model.predict(none)["label"].shape() == Shape{0, 1});
  CHECK(s.model.predict_on_batch(none)["label"].shape() == Shape{0, 1});
  const State before = state_of(s.model);
  check_refused<ShapeError>([&] { s.model.fit(none, no_labels); }, {"model.fit", "no rows"});
  check_refused<ShapeError>([&] { s.model.evaluate(none, no_labels); }, {"no rows"});
  check_refused<ShapeError>([&] { s.model.train_on_batch(none, no_labels); }, {"no rows"});
  check_refused<ShapeError>([&] { s.model.test_on_batch(none, no_labels); }, {"no rows"});
  CHECK(state_of(s.model) == before);
  const TensorDict one{{"text", s.x["text"].slice(0, 1)}, {"numeric", s.x["numeric"].slice(0, 1)}};
  const auto score = s.model.predict(one)["label"].to_vector<float>();
  CHECK(near(score.at(0), s.model.predict(s.x)["label"].to_vector<float>()[0]));
  const TensorDict label{{"label", s.y["label"].slice(0, 1)}};
  CHECK(s.model.fit(one, label, {.batch_size = 1, .verbose = 0})["loss"].size() == 1);
  CHECK(s.model.fit(s.x, s.y, {.batch_size = 1, .verbose = 0})["loss"].size() == 1);
  Sample ragged = sequences();
  const TensorDict no_rows{{"sequence", Tensor::ragged(std::vector<std::int32_t>{}, {0})},
                           {"features", Tensor::zeros({0, 3})}};
  CHECK(ragged.model.predict(no_rows)["label"].shape() == Shape{0, 4});
}

TEST_CASE("outputs with a value for each step of ragged rows come back ragged") {
  auto x = Input({.shape = {None, 2}, .name = "x"});
  auto steps = layers::LSTM({.units = 3, .return_sequences = true})(x);
  Model model({x}, {{"classes", layers::Dense({.units = 4, .activation = "softmax"})(steps)},
                    {"number", layers::Dense({.units = 1})(steps)},
                    {"whole", layers::GlobalAveragePooling1D()(steps)}});
  const Tensor values = uniform({6, 2}, 1);
  const Tensor ragged = Tensor::ragged(values, {0, 2, 2, 5, 6});
  const TensorDict p = model.predict({{"x", ragged}}, {.batch_size = 3});
  CHECK(p["classes"].shape() == Shape{4, None, 4});
  CHECK(p["number"].shape() == Shape{4, None, 1});
  CHECK(p["whole"].shape() == Shape{4, 3});
  const auto splits = p["classes"].row_splits();
  CHECK(std::vector<std::int64_t>(splits.begin(), splits.end()) ==
        std::vector<std::int64_t>{0, 2, 2, 5, 6});
  CHECK(p["classes"].values().shape() == Shape{6, 4});
  // A row alone gives the same.
  const Tensor alone = values.slice(2, 5).reshape({1, 3, 2});
  const auto whole = p["number"].values().to_vector<float>();
  const auto single = model.predict({{"x", alone}})["number"].to_vector<float>();
  for (std::size_t t = 0; t < 3; ++t) CHECK(near(single[t], whole[2 + t]));
}

TEST_CASE("targets and weights of ragged steps are ragged like their input") {
  auto x = Input({.shape = {None, 2}, .name = "x"});
  Model model({x}, {layers::Dense({.units = 1, .name = "y"})(x)});
  model.compile({.optimizer = "sgd", .loss = "mse"});
  const TensorDict data{{"x", Tensor::ragged(uniform({4, 2}, 1), {0, 1, 4})}};
  const Tensor steps = Tensor::ragged(uniform({4, 1}, 2), {0, 1, 4});
  CHECK_NOTHROW(model.fit(data, {{"y", steps}}, {.batch_size = 1, .verbose = 0}));
  const double mean = model.test_on_batch(data, {{"y", steps}})["loss"];
  // The mean over the four steps there are.
  const auto guesses = model.predict(data)["y"].values().to_vector<float>();
  const auto truth = steps.values().to_vector<float>();
  double sum = 0;
  for (std::size_t i = 0; i < 4; ++i) sum += std::pow(guesses[i] - truth[i], 2);
  CHECK(near(mean, sum / 4));
  const State before = state_of(model);
  check_refused<ShapeError>(
      [&] {
        model.fit(data, {{"y", Tensor::ragged(uniform({4, 1}, 2), {0, 2, 4})}});
      },
      {"output \"y\"", "row 0", "2 targets", "1 steps", "\"x\""});
  check_refused<ShapeError>(
      [&] {
        model.fit(data, {{"y", Tensor::zeros({2, 3, 1})}});
      },
      {"output \"y\"", "ragged"});
  CHECK(state_of(model) == before);
}

TEST_CASE("a layer that drops masks refuses ragged rows by name") {
  auto x = Input({.shape = {None, 2}, .name = "x"});
  const Tensor ragged = Tensor::ragged(uniform({3, 2}, 1), {0, 1, 3});
  const auto refused = [&](const SymbolicTensor& y, const std::vector<std::string>& words) {
    Model model({x}, {y});
    check_refused<ShapeError>([&] { model.predict({{"x", ragged}}); }, words);
  };
  refused(layers::Flatten({.name = "flat"})(x), {"Flatten layer \"flat\"", "ragged"});
  refused(layers::Reshape({.target_shape = {None, 1}})(x), {"Reshape layer \"reshape\""});
  refused(x + x, {"ragged"});
  auto fixed = Input({.shape = {2, 2}, .name = "fixed"});
  Model whole({fixed}, {layers::Activation({.activation = "relu"})(fixed)});
  check_refused<ShapeError>(
      [&] {
        whole.predict({{"fixed", ragged}});
      },
      {"\"fixed\"", "fixed number of steps", "ragged"});
}

TEST_CASE("ragged inputs that are joined must have rows of the same lengths") {
  auto a = Input({.shape = {None, 2}, .name = "a"});
  auto b = Input({.shape = {None, 2}, .name = "b"});
  const Tensor two = Tensor::ragged(uniform({5, 2}, 1), {0, 2, 5});
  const Tensor same = Tensor::ragged(uniform({5, 2}, 2), {0, 2, 5});
  const Tensor other = Tensor::ragged(uniform({5, 2}, 2), {0, 3, 5});
  for (const auto& joined :
       {layers::add({a, b}), layers::concatenate({a, b}), layers::maximum({a, b})}) {
    for (const auto& y : {joined, layers::LSTM({.units = 3})(joined)}) {
      Model model({a, b}, {{"y", y}});
      CHECK(model.predict({{"a", two}, {"b", same}}).size() == 1);
      check_refused<ShapeError>(
          [&] {
            model.predict({{"a", two}, {"b", other}});
          },
          {"model.predict", "\"a\"", "\"b\"", "row 0", "2", "3"});
    }
  }
  // Behind each other in time, ragged rows have holes: an LSTM takes them, an output does not.
  auto chain = layers::concatenate({a, b}, {.axis = 1});
  CHECK(Model({a, b}, {{"y", layers::LSTM({.units = 3})(chain)}})
            .predict({{"a", two}, {"b", other}})
            .size() == 1);
  check_refused<ShapeError>(
      [&] {
        Model({a, b}, {{"y", chain}}).predict({{"a", two}, {"b", other}});
      },
      {"output \"y\"", "steps"});
}
