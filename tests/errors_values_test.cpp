// Ids, labels and numbers that are out of range or not finite: found in every position, told with
// input, row, column, value and limit, before anything has changed.
#include <cmath>
#include <limits>

#include "tests/support/on_device.hpp"
#include "tests/support/refusals.hpp"
#include "tests/support/sample_models.hpp"

using namespace braid;
using namespace braid::testing;
using Words = std::vector<std::string>;

namespace {

const float kNaN = std::numeric_limits<float>::quiet_NaN();
const float kInfinity = std::numeric_limits<float>::infinity();

// The tensor with another number at a place, in its own dtype.
Tensor with_number(const Tensor& tensor, std::int64_t place, double number) {
  Tensor changed = tensor.clone();
  switch (tensor.dtype()) {
    case DType::float32: changed.data<float>()[place] = static_cast<float>(number); break;
    case DType::int32:
      changed.data<std::int32_t>()[place] = static_cast<std::int32_t>(number);
      break;
    case DType::int64:
      changed.data<std::int64_t>()[place] = static_cast<std::int64_t>(number);
      break;
    default: break;
  }
  return changed;
}

Tensor as_int64(const Tensor& tensor) {
  std::vector<std::int64_t> values;
  for (std::int32_t value : tensor.to_vector<std::int32_t>()) values.push_back(value);
  return Tensor::from(values, tensor.shape());
}

Words place_words(const std::string& what, std::int64_t place, std::int64_t width) {
  return {what,
          "row " + std::to_string(place / width) + ", column " + std::to_string(place % width)};
}

}  // namespace

TEST_CASE("an id outside the table is found in every position and integer type") {
  Sample s = sequences(4, 3);
  s.model.train_on_batch(s.x, s.y);
  const State before = state_of(s.model);
  for (const Tensor& ids : {s.x["sequence"], as_int64(s.x["sequence"])}) {
    for (std::int64_t place = 0; place < ids.elements(); ++place) {
      for (const int id : {-1, 20, 1 << 30}) {
        TensorDict x = s.x;
        x.set("sequence", with_number(ids, place, id));
        Words words = place_words("input \"sequence\"", place, 3);
        words.push_back(std::to_string(id) + " is not in 0 .. 19");
        check_refused<RangeError>([&] { s.model.predict(x); }, words);
        check_refused<RangeError>([&] { s.model.train_on_batch(x, s.y); }, words);
        if (place % 5 != 0) continue;
        check_refused<RangeError>([&] { s.model.fit(x, s.y); }, words);
        check_refused<RangeError>([&] { s.model.evaluate(x, s.y); }, words);
        check_refused<RangeError>([&] { s.model.test_on_batch(x, s.y); }, words);
      }
    }
  }
  TensorDict x = s.x;
  x.set("sequence", Tensor::ragged(std::vector<std::int32_t>{1, 2, 3, 4, 25}, {0, 2, 2, 3, 5}));
  check_refused<RangeError>([&] { s.model.predict(x); },
                            {"input \"sequence\"", "row 3, column 1", "25 is not in 0 .. 19"});
  // In rows that are judged by: counted within their own data, or as the user counts them.
  x.set("sequence", with_number(s.x["sequence"], 10, 20));
  check_refused<RangeError>(
      [&] {
        s.model.fit(s.x, s.y, {.validation_data = {x, s.y}});
      },
      {"model.fit, validation data", "row 3, column 1", "20 is not in 0 .. 19"});
  check_refused<RangeError>([&] { s.model.fit(x, s.y, {.validation_split = 0.5}); },
                            {"model.fit: input \"sequence\"", "row 3, column 1"});
  CHECK(state_of(s.model) == before);
}

TEST_CASE("ids are found behind nested models, reshapes and float inputs") {
  auto x = Input({.shape = {4}, .name = "x"});
  auto pairs = layers::Reshape({.target_shape = {2, 2}})(x);
  Sequential inner({layers::Embedding({.input_dim = 5, .output_dim = 2})}, "inner");
  Model model({x}, {{"y", inner(pairs)}});
  const auto refused = [&](const Tensor& ids, const Words& words) {
    check_refused<RangeError>([&] { model.predict({{"x", ids}}); }, words);
  };
  refused(Tensor::from({0, 1, 2, 3, 4, 5, 0, 0}, {2, 4}),
          {"input \"x\"", "row 1, column 1", "5 is not in 0 .. 4"});
  refused(Tensor::from({0.0F, 1.0F, -1.0F, 3.0F}, {1, 4}), {"column 2", "-1"});
  refused(Tensor::from({0.0F, 1.0F, kNaN, 3.0F}, {1, 4}), {"column 2", "nan"});
  // Cut towards zero, as Keras casts them.
  CHECK_NOTHROW(model.predict({{"x", Tensor::from({-0.5F, 4.9F, 0.0F, 0.0F}, {1, 4})}}));
}

namespace {

// Looks up what comes in plus 1.
Model working_out_ids() {
  auto x = Input({.shape = {2}, .name = "x", .dtype = DType::int32});
  auto vectors = layers::Embedding({.input_dim = 5, .output_dim = 2, .name = "words"})(x + 1.0);
  Model model({x}, {layers::Dense({.units = 1, .name = "y"})(layers::Flatten()(vectors))});
  model.compile({.optimizer = "adam", .loss = "mse"});
  return model;
}
TensorDict with_5_in_row_1() { return {{"x", Tensor::from({0, 1, 2, 4, 0, 0}, {3, 2})}}; }

}  // namespace

TEST_CASE("ids that the model itself works out are checked when they are looked up") {
  const OnDevice here(Device::cpu());
  Model model = working_out_ids();
  // What comes in is no id yet.
  CHECK_NOTHROW(model.predict({{"x", Tensor::from({-1, 3}, {1, 2})}}));
  const State before = state_of(model);
  const Words words{"Embedding layer \"words\"", "row 1, column 1", "5 is not in 0 .. 4"};
  check_refused<RangeError>([&] { model.predict(with_5_in_row_1()); }, words);
  check_refused<RangeError>(
      [&] {
        model.train_on_batch(with_5_in_row_1(), {{"y", Tensor::zeros({3, 1})}});
      },
      words);
  CHECK(state_of(model) == before);
}

TEST_CASE("ids that the model itself works out, where the host cannot see them, give NaN") {
  const Device device = GENERATE(from_range(gpus()));
  INFO(to_string(device));
  const OnDevice here(device);
  const auto y = working_out_ids().predict(with_5_in_row_1())["y"].to_vector<float>();
  CHECK(std::isfinite(y[0]));
  CHECK(std::isnan(y[1]));
  CHECK(std::isfinite(y[2]));
}

TEST_CASE("a label outside the classes is found in every position and type") {
  Sample s = sequences(5, 3);
  s.model.train_on_batch(s.x, s.y);
  const State before = state_of(s.model);
  const Tensor floats = Tensor::from({0.0F, 1.0F, 2.0F, 3.0F, 0.0F}, {5, 1});
  for (const Tensor& labels : {s.y["label"], as_int64(s.y["label"]), floats}) {
    for (std::int64_t place = 0; place < 5; ++place) {
      for (const int label : {-1, 4, 100000}) {
        const TensorDict y{{"label", with_number(labels, place, label)}};
        Words words = place_words("target \"label\"", place, 1);
        words.insert(words.end(), {std::to_string(label), "is not in 0 .. 3"});
        check_refused<RangeError>([&] { s.model.fit(s.x, y); }, words);
        check_refused<RangeError>([&] { s.model.evaluate(s.x, y); }, words);
        check_refused<RangeError>([&] { s.model.train_on_batch(s.x, y); }, words);
        check_refused<RangeError>([&] { s.model.test_on_batch(s.x, y); }, words);
      }
    }
  }
  check_refused<RangeError>(
      [&] {
        s.model.fit(s.x, s.y,
                    {.validation_data = {s.x, {{"label", Tensor::from({0, 1, 2, 9, 0}, {5})}}}});
      },
      {"model.fit, validation data", "row 3", "9 is not in 0 .. 3"});
  CHECK(state_of(s.model) == before);
}

TEST_CASE("labels that only a metric looks up, or that a loss ignores, have their limits too") {
  auto x = Input({.shape = {2}, .name = "x"});
  Model model({x}, {layers::Dense({.units = 3, .activation = "softmax", .name = "y"})(x)});
  const TensorDict data{{"x", uniform({2, 2}, 1)}};
  const auto judged = [&](const Tensor& labels) { model.evaluate(data, {{"y", labels}}); };
  model.compile({.metrics = {metrics::SparseCategoricalCrossentropy()}});
  check_refused<RangeError>(
      [&] {
        judged(Tensor::from({0, 3}, {2}));
      },
      {"target \"y\"", "row 1", "3 is not in 0 .. 2"});
  model.compile({.loss = losses::SparseCategoricalCrossentropy({.ignore_class = -1})});
  CHECK_NOTHROW(judged(Tensor::from({-1, 2}, {2})));
  check_refused<RangeError>([&] { judged(Tensor::from({-2, 2}, {2})); }, {"-2 is not in 0 .. 2"});
}

TEST_CASE("NaN and infinity are found in inputs, targets and weights, with the user's row") {
  Sample s = two_inputs(8);
  s.model.train_on_batch(s.x, s.y);
  const State before = state_of(s.model);
  for (const float number : {kNaN, kInfinity, -kInfinity}) {
    const std::string called = std::isnan(number) ? "NaN" : "infinity";
    for (const auto& [name, width] : {std::pair("text", 8), std::pair("numeric", 5)}) {
      for (const std::int64_t place : {0, 13, 39}) {
        TensorDict x = s.x;
        x.set(name, with_number(s.x[name], place, static_cast<double>(number)));
        Words words = place_words("input \"" + std::string(name) + "\"", place, width);
        words.push_back(called);
        check_refused<NumericError>([&] { s.model.fit(x, s.y); }, words);
        check_refused<NumericError>([&] { s.model.evaluate(x, s.y); }, words);
        check_refused<NumericError>([&] { s.model.train_on_batch(x, s.y); }, words);
        check_refused<NumericError>([&] { s.model.test_on_batch(x, s.y); }, words);
        // The rows that are held back are counted as the user counts them.
        check_refused<NumericError>([&] { s.model.fit(x, s.y, {.validation_split = 0.5}); }, words);
      }
    }
    const TensorDict y{{"label", with_number(s.y["label"], 5, static_cast<double>(number))}};
    check_refused<NumericError>([&] { s.model.fit(s.x, y); },
                                {"target \"label\"", "row 5", called});
    check_refused<NumericError>([&] { s.model.train_on_batch(s.x, y); },
                                {"target \"label\"", "row 5"});
    const Tensor weights = with_number(Tensor::zeros({8}), 7, static_cast<double>(number));
    check_refused<NumericError>([&] { s.model.fit(s.x, s.y, {.sample_weight = weights}); },
                                {"sample weights of \"label\"", "row 7", called});
    check_refused<NumericError>(
        [&] { s.model.train_on_batch(s.x, s.y, {.sample_weight = weights}); },
        {"sample weights of \"label\"", "row 7"});
    check_refused<NumericError>(
        [&] {
          s.model.fit(s.x, s.y, {.class_weight = {{1, static_cast<double>(number)}}});
        },
        {"sample weights of \"label\"", called});
    check_refused<NumericError>(
        [&] {
          s.model.fit(s.x, s.y, {.validation_data = {s.x, y}});
        },
        {"model.fit, validation data", "target \"label\"", "row 5"});
  }
  CHECK(state_of(s.model) == before);
}

TEST_CASE("NaN in ragged rows is told with the row and the place within it") {
  auto x = Input({.shape = {None, 2}, .name = "x"});
  Model model({x}, {layers::Dense({.units = 1, .name = "y"})(layers::LSTM({.units = 2})(x))});
  model.compile({.optimizer = "adam", .loss = "mse"});
  const State before = state_of(model);
  const Tensor values = with_number(uniform({5, 2}, 1), 7, static_cast<double>(kNaN));
  const TensorDict data{{"x", Tensor::ragged(values, {0, 2, 2, 5})}};
  check_refused<NumericError>(
      [&] {
        model.fit(data, {{"y", Tensor::zeros({3, 1})}});
      },
      {"model.fit", "input \"x\"", "row 2, column 3", "NaN"});
  CHECK(state_of(model) == before);
}

TEST_CASE("NaN behind any activation is found by the loss, before anything is updated") {
  for (const char* activation :
       {"relu", "relu6", "leaky_relu", "elu", "selu", "sigmoid", "tanh", "softplus", "softsign",
        "gelu", "silu", "hard_sigmoid", "linear"}) {
    INFO(activation);
    auto x = Input({.shape = {3}, .name = "x"});
    auto h = layers::Dense({.units = 4, .activation = activation})(x);
    Model model({x}, {layers::Dense({.units = 1, .name = "y"})(h)});
    model.compile({.optimizer = "adam", .loss = "mse"});
    const State before = state_of(model);
    const TensorDict broken{{"x", with_number(uniform({2, 3}, 1), 4, static_cast<double>(kNaN))}};
    const TensorDict targets{{"y", Tensor::zeros({2, 1})}};
    check_refused<NumericError>([&] { model.train_on_batch(broken, targets); },
                                {"model.train_on_batch", "input \"x\"", "row 1, column 1", "NaN"});
    CHECK(state_of(model) == before);
  }
}

TEST_CASE("a loss that is not finite though the data are goes on, as in Keras") {
  auto x = Input({.shape = {1}, .name = "x"});
  Model model({x}, {layers::Dense({.units = 1, .kernel_initializer = "ones", .name = "y"})(x)});
  model.compile({.optimizer = "sgd", .loss = "mse"});
  const TensorDict huge{{"x", Tensor::from({3e38F}, {1, 1})}};
  const TensorDict targets{{"y", Tensor::from({-3e38F}, {1, 1})}};
  CHECK_FALSE(std::isfinite(model.train_on_batch(huge, targets)["loss"]));
  const History history = model.fit(huge, targets, {.epochs = 3, .verbose = 0});
  CHECK(history["loss"].size() == 3);
  const History stopped = model.fit(
      huge, targets, {.epochs = 3, .verbose = 0, .callbacks = {callbacks::TerminateOnNaN()}});
  CHECK(stopped["loss"].size() == 1);
}
