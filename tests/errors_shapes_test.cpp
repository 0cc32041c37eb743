// Ranks, axes, rows and dtypes that do not fit, in every place where data enter: refused with what
// was expected and what came, and nothing has changed.
#include "tests/support/refusals.hpp"
#include "tests/support/sample_models.hpp"

using namespace braid;
using namespace braid::testing;
using Words = std::vector<std::string>;

namespace {

TensorDict replaced(TensorDict tensors, const std::string& name, Tensor tensor) {
  tensors.set(name, std::move(tensor));
  return tensors;
}

}  // namespace

TEST_CASE("an input of another rank, width or dtype is refused") {
  Sample s = two_inputs(6);
  s.model.train_on_batch(s.x, s.y);
  const State before = state_of(s.model);
  const auto refused = [&](auto error, const Tensor& tensor, const Words& words) {
    using Expected = decltype(error);
    const TensorDict x = replaced(s.x, "numeric", tensor);
    check_refused<Expected>([&] { s.model.predict(x); }, words);
    check_refused<Expected>([&] { s.model.predict_on_batch(x); }, words);
    check_refused<Expected>([&] { s.model.fit(x, s.y); }, words);
    check_refused<Expected>([&] { s.model.evaluate(x, s.y); }, words);
    check_refused<Expected>([&] { s.model.train_on_batch(x, s.y); }, words);
    check_refused<Expected>([&] { s.model.test_on_batch(x, s.y); }, words);
  };
  const std::string numeric = "\"numeric\" float32 [batch, 5]";
  refused(ShapeError(""), Tensor::zeros({6, 4}), {numeric, "float32 [6, 4] came"});
  refused(ShapeError(""), Tensor::zeros({6}), {numeric, "2 axes", "float32 [6] came"});
  // No axis of 1 is put in or left out for an input.
  refused(ShapeError(""), Tensor::zeros({6, 5, 1}), {numeric, "float32 [6, 5, 1] came"});
  refused(ShapeError(""), Tensor::zeros({}), {numeric, "float32 [] came"});
  refused(ShapeError(""), Tensor::zeros({7, 5}), {"\"numeric\" has 7 rows", "\"text\" has 6"});
  refused(ShapeError(""), Tensor::ragged(std::vector<float>(30), {0, 5, 10, 15, 20, 25, 30}),
          {numeric, "ragged"});
  CHECK(state_of(s.model) == before);
}

TEST_CASE("a target whose shape does not follow from its output is refused") {
  Sample s = two_outputs(4);
  const State before = state_of(s.model);
  const auto refused = [&](const std::string& name, const Tensor& tensor, const Words& words) {
    const TensorDict y = replaced(s.y, name, tensor);
    Words all = words;
    all.push_back("the target \"" + name + "\"");
    check_refused<ShapeError>([&] { s.model.fit(s.x, y); }, all);
    check_refused<ShapeError>([&] { s.model.evaluate(s.x, y); }, all);
    check_refused<ShapeError>([&] { s.model.train_on_batch(s.x, y); }, all);
    check_refused<ShapeError>([&] { s.model.test_on_batch(s.x, y); }, all);
  };
  refused("b", Tensor::zeros({4, 2}), {"float32 [4, 2]", "[batch, 1]"});
  refused("b", Tensor::zeros({4, 1, 2}), {"float32 [4, 1, 2]", "[batch, 1]"});
  refused("b", Tensor::zeros({}), {"float32 []"});
  refused("b", Tensor::zeros({5, 1}), {"has 5 rows", "the inputs have 4"});
  refused("a", Tensor::zeros({4, 2}), {"one class number for each distribution"});
  refused("a", Tensor::zeros({3}, DType::int32), {"has 3 rows", "the inputs have 4"});
  CHECK(state_of(s.model) == before);
}

TEST_CASE("sample weights that do not fit their output are refused") {
  Sample s = two_outputs(4);
  const State before = state_of(s.model);
  const auto refused = [&](const Tensor& weights, const Words& words) {
    check_refused<ShapeError>([&] { s.model.fit(s.x, s.y, {.sample_weight = weights}); }, words);
    check_refused<ShapeError>([&] { s.model.evaluate(s.x, s.y, {.sample_weight = weights}); },
                              words);
    check_refused<ShapeError>(
        [&] {
          s.model.train_on_batch(s.x, s.y, {.sample_weight = {{"b", weights}}});
        },
        words);
  };
  refused(Tensor::zeros({3}), {"sample weights of output", "3 rows", "the inputs have 4"});
  refused(Tensor::zeros({4, 2, 2}), {"sample weights of output", "float32 [4, 2, 2]"});
  refused(Tensor::zeros({}), {"sample weights of output", "float32 []"});
  CHECK(state_of(s.model) == before);
}

TEST_CASE("weights of rows are not taken for weights of steps") {
  auto x = Input({.shape = {3, 2}, .name = "x"});
  Model model({x}, {layers::Dense({.units = 1, .name = "y"})(x)});
  model.compile({.optimizer = "sgd", .loss = "mse"});
  const TensorDict data{{"x", uniform({3, 3, 2}, 1)}};
  const TensorDict targets{{"y", uniform({3, 3, 1}, 2)}};
  // As many rows as steps: numbers that would fit by chance.
  check_refused<ShapeError>(
      [&] { model.fit(data, targets, {.sample_weight = Tensor::zeros({3})}); },
      {"model.fit", "output \"y\"", "[batch, 1]"});
  // Given as [batch, 1] they weigh all steps of their rows.
  const auto loss = [&](const std::vector<float>& weights, Shape shape) {
    const Tensor tensor = Tensor::from(weights, std::move(shape));
    return model.evaluate(data, targets, {.sample_weight = tensor})["loss"];
  };
  CHECK(near(loss({1, 0, 2}, {3, 1}), loss({1, 1, 1, 0, 0, 0, 2, 2, 2}, {3, 3})));
  CHECK_NOTHROW(model.fit(data, targets, {.verbose = 0, .sample_weight = Tensor::zeros({3, 3})}));
  check_refused<ShapeError>(
      [&] {
        model.fit(data, targets, {.class_weight = {{0, 1.0}}});
      },
      {"class_weight of output \"y\"", "float32 [3, 3, 1]"});
}

TEST_CASE("a target under a mask needs the axes of its prediction") {
  auto x = Input({.shape = {3, 2}, .name = "x"});
  Model model({x}, {layers::Dense({.units = 1, .name = "y"})(layers::Masking()(x))});
  model.compile({.optimizer = "sgd", .loss = "mse"});
  const State before = state_of(model);
  check_refused<ShapeError>(
      [&] {
        model.fit({{"x", uniform({4, 3, 2}, 1)}}, {{"y", uniform({4, 3}, 2)}});
      },
      {"model.fit", "output \"y\"", "under a mask", "last axis of 1"});
  CHECK(state_of(model) == before);
}

TEST_CASE("shapes that only the data tell are refused before anything runs") {
  auto a = Input({.shape = {None, 2}, .name = "a"});
  auto b = Input({.shape = {None, 2}, .name = "b"});
  Model sum({a, b}, {layers::Add({.name = "sum"})({a, b})});
  const Tensor three = Tensor::zeros({2, 3, 2});
  check_refused<ShapeError>(
      [&] {
        sum.predict({{"a", three}, {"b", Tensor::zeros({2, 4, 2})}});
      },
      {"model.predict", "Add layer \"sum\"", "[2, 3, 2]", "[2, 4, 2]"});
  auto mask = Input({.shape = {None}, .name = "mask", .dtype = DType::bool_});
  auto last = layers::LSTM({.units = 2, .name = "lstm"})(a, {.mask = mask});
  Model masked({a, mask}, {layers::Dense({.units = 1, .name = "y"})(last)});
  masked.compile({.optimizer = "adam", .loss = "mse"});
  const TensorDict x{{"a", three}, {"mask", Tensor::zeros({2, 4}, DType::bool_)}};
  const TensorDict y{{"y", Tensor::zeros({2, 1})}};
  const State before = state_of(masked);
  const Words words{"LSTM layer \"lstm\"", "mask [2, 4]", "[2, 3, 2]"};
  check_refused<ShapeError>([&] { masked.predict(x); }, words);
  check_refused<ShapeError>([&] { masked.fit(x, y); }, words);
  check_refused<ShapeError>([&] { masked.train_on_batch(x, y); }, words);
  CHECK(state_of(masked) == before);
}

TEST_CASE("counts that no fit can have are refused") {
  Sample s = two_inputs(6);
  const State before = state_of(s.model);
  const auto refused = [&](FitOptions options, const Words& words) {
    check_refused<RangeError>([&] { s.model.fit(s.x, s.y, options); }, words);
  };
  refused({.batch_size = 0}, {"model.fit", "batch_size is 0"});
  refused({.batch_size = -3}, {"batch_size is -3"});
  refused({.epochs = -1}, {"epochs is -1"});
  refused({.initial_epoch = -1}, {"initial_epoch is -1"});
  refused({.validation_split = 1.0}, {"validation_split is 1"});
  refused({.validation_split = -0.1}, {"validation_split is -0.1"});
  refused({.validation_split = std::nan("")}, {"validation_split is nan"});
  refused({.validation_split = 0.99}, {"validation_split 0.99", "6 rows", "empty"});
  const TensorDict none{{"text", Tensor::zeros({0, 8})}, {"numeric", Tensor::zeros({0, 5})}};
  check_refused<ShapeError>(
      [&] {
        s.model.fit(s.x, s.y, {.validation_data = {none, {{"label", Tensor::zeros({0, 1})}}}});
      },
      {"model.fit, validation data", "no rows"});
  check_refused<RangeError>([&] { s.model.evaluate(s.x, s.y, {.batch_size = 0}); },
                            {"model.evaluate", "batch_size is 0"});
  check_refused<RangeError>([&] { s.model.predict(s.x, {.batch_size = 0}); },
                            {"model.predict", "batch_size is 0"});
  CHECK(state_of(s.model) == before);
}

TEST_CASE("a Sequential that learns its shape from data refuses data that tell of none") {
  Sequential model({layers::LSTM({.units = 2}), layers::Dense({.units = 1, .name = "y"})});
  model.compile({.optimizer = "sgd", .loss = "mse"});
  const TensorDict y{{"y", Tensor::zeros({4, 1})}};
  const auto refused = [&](auto error, const TensorDict& x, const Words& words) {
    using Expected = decltype(error);
    const auto of_call = [&](const std::string& call) {
      Words all = words;
      all.push_back("model." + call + ": ");
      return all;
    };
    check_refused<Expected>([&] { model.predict(x); }, of_call("predict"));
    check_refused<Expected>([&] { model.predict_on_batch(x); }, of_call("predict_on_batch"));
    check_refused<Expected>([&] { model.fit(x, y); }, of_call("fit"));
    check_refused<Expected>([&] { model.evaluate(x, y); }, of_call("evaluate"));
    check_refused<Expected>([&] { model.train_on_batch(x, y); }, of_call("train_on_batch"));
    check_refused<Expected>([&] { model.test_on_batch(x, y); }, of_call("test_on_batch"));
  };
  refused(ShapeError(""), {{"input", Tensor::zeros({})}},
          {"the input \"input\"", "the batch first", "float32 [] came"});
  refused(ShapeError(""), {{"input", Tensor::zeros({4, 3})}},
          {"LSTM layer \"lstm\"", "[batch, 3]"});
  refused(NameError(""), {{"x", Tensor::zeros({4, 5, 3})}}, {"named \"input\"", "\"x\""});
  CHECK(model.predict({{"input", Tensor::zeros({4, 5, 3})}})["y"].shape() == Shape{4, 1});
}

TEST_CASE("a tensor is overwritten by one of its dtype, shape and rows alone") {
  Tensor dense = Tensor::from({1.0F, 2.0F}, {2});
  const Words words{"assign", "does not fit float32 [2]"};
  check_refused<ShapeError>([&] { dense.assign(Tensor::zeros({1, 2})); }, words);
  check_refused<DTypeError>([&] { dense.assign(Tensor::zeros({2}, DType::int32)); }, words);
  check_refused<DTypeError>([&] { dense.assign(Tensor::zeros({3}, DType::int32)); }, words);
  CHECK(dense.to_vector<float>() == std::vector<float>{1, 2});

  Tensor ragged = Tensor::ragged(std::vector<int>{1, 2, 3, 4}, {0, 2, 4});
  for (const std::vector<std::int64_t>& splits :
       std::vector<std::vector<std::int64_t>>{{0, 1, 1}, {0, 1, 4}, {0, 4, 9}}) {
    const Tensor other = Tensor::ragged(std::vector<int>(splits.back(), 7), splits);
    check_refused<ShapeError>([&] { ragged.assign(other); },
                              {"assign", "int32 ragged [2, none]", "rows differ in length"});
  }
  CHECK(ragged.values().to_vector<int>() == std::vector<int>{1, 2, 3, 4});
  ragged.assign(Tensor::ragged(std::vector<int>{0, 5, 6, 7, 8}, {0, 1, 3, 5}).slice(1, 3));
  CHECK(ragged.values().to_vector<int>() == std::vector<int>{5, 6, 7, 8});
}

TEST_CASE("tensors that cannot be are refused") {
  check_refused<ShapeError>(
      [] {
        Tensor::from({1.0F, 2.0F}, {3});
      },
      {"Tensor::from", "[3] holds 3", "2 values"});
  check_refused<ShapeError>([] { Tensor::zeros({2, None}); }, {"known axes"});
  check_refused<ShapeError>(
      [] {
        Tensor::ragged(std::vector<int>{1, 2}, {0, 3});
      },
      {"row splits", "2 values", "0 to 3"});
  check_refused<ShapeError>(
      [] {
        Tensor::ragged(std::vector<int>{1, 2}, {0, 2, 1, 2});
      },
      {"never fall"});
  check_refused<ShapeError>([] { Tensor::ragged(std::vector<int>{}, {}); }, {"none were given"});
  check_refused<RangeError>([] { Tensor::zeros({3}).slice(1, 4); }, {"1 .. 4", "[3]"});
  check_refused<RangeError>([] { Tensor::zeros({3}).gather(std::vector<std::int64_t>{3}); },
                            {"row 3"});
  check_refused<RangeError>([] { Tensor::zeros({}).gather({}); }, {"float32 []", "no rows"});
  check_refused<ShapeError>([] { Tensor::zeros({3}).reshape({2, 2}); }, {"[3]", "[2, 2]"});
  check_refused<ShapeError>([] { Tensor::zeros({4}).reshape({-2, -2}); }, {"[4]", "[-2, -2]"});
  check_refused<ShapeError>([] { Tensor::zeros({4}).reshape({2, None}); }, {"[4]", "[2, none]"});
  check_refused<OutOfMemory>([] { Tensor::zeros({1LL << 40, 1LL << 40}); }, {"1099511627776"});
}
