// Models and layers that cannot be: each is refused while it is described, with names and numbers.
#include "tests/support/refusals.hpp"
#include "tests/support/sample_models.hpp"

using namespace braid;
using namespace braid::testing;

TEST_CASE("names that a model cannot have are refused") {
  auto x = Input({.shape = {2}, .name = "x"});
  auto y = layers::Dense({.units = 1, .name = "y"})(x);
  auto twin = layers::Dense({.units = 1, .name = "y"})(x);
  check_refused<NameError>(
      [&] {
        Model({x}, {layers::add({y, twin})}, "m");
      },
      {"model \"m\"", "two layers named \"y\""});
  auto other = Input({.shape = {2}, .name = "x"});
  check_refused<NameError>(
      [&] {
        Model({x, other}, {layers::add({x, other})});
      },
      {"two layers named \"x\""});
  auto slash = layers::Dense({.units = 1, .name = "a/b"})(x);
  check_refused<NameError>([&] { Model({x}, {slash}); }, {"\"a/b\"", "\"/\""});
  auto z = Input({.shape = {2}, .name = "z"});
  check_refused<NameError>(
      [&] {
        Model({{"k", x}, {"k", z}}, {{"o", layers::add({x, z})}});
      },
      {"two inputs named \"k\""});
  check_refused<NameError>(
      [&] {
        Model({{"x", x}}, {{"o", y}, {"o", x}});
      },
      {"two outputs named \"o\""});
  check_refused<NameError>([&] { Model({x, x}, {y}); }, {"the input \"x\" twice"});
}

TEST_CASE("a model whose inputs and outputs do not hang together is refused") {
  auto x = Input({.shape = {2}, .name = "x"});
  auto z = Input({.shape = {2}, .name = "zeta"});
  auto y = layers::Dense({.units = 1, .name = "y"})(x);
  auto both = layers::add({x, z});
  check_refused<NameError>([&] { Model({x}, {both}, "m"); },
                           {"model \"m\"", "depends on the input \"zeta\"", "\"x\""});
  check_refused<NameError>(
      [&] {
        Model({x, z}, {y}, "m");
      },
      {"model \"m\"", "the input \"zeta\" leads to no output"});
  check_refused<NameError>(
      [&] {
        Model({{"a", x}, {"b", z}}, {{"y", y}});
      },
      {"the input \"b\" leads to no output"});
  // A tensor in the middle may be an input; what lies before it then is not.
  CHECK(Model({y}, {layers::Activation({.activation = "relu"})(y)}).input_names() ==
        std::vector<std::string>{"y"});
  check_refused<NameError>(
      [&] {
        Model({x, y}, {layers::Activation({.activation = "tanh"})(y)});
      },
      {"the input \"x\" leads to no output"});
  check_refused<ShapeError>([&] { Model(std::vector<SymbolicTensor>{}, {y}); },
                            {"needs an input and an output"});
  check_refused<ShapeError>([&] { Sequential(std::vector<Sequential::Item>{}); },
                            {"needs a layer"});
  check_refused<ShapeError>(
      [&] {
        Sequential({layers::Flatten(), x});
      },
      {"only the first item may be an Input"});
}

TEST_CASE("options that no layer can have are refused") {
  check_refused<RangeError>([] { layers::Dense({.units = 0, .name = "d"}); },
                            {"Dense layer \"d\"", "units must be positive, not 0"});
  check_refused<RangeError>([] { layers::LSTM({.units = -1}); }, {"LSTM", "units", "-1"});
  check_refused<RangeError>([] { layers::Embedding({.input_dim = 0, .output_dim = 2}); },
                            {"input_dim"});
  check_refused<RangeError>([] { layers::Dropout({.rate = 1.5}); }, {"rate", "0 .. 1", "1.5"});
  check_refused<NameError>([] { layers::Dense({.units = 1, .activation = "rleu"}); },
                           {"\"rleu\"", "Did you mean \"relu\"?"});
  check_refused<NameError>([] { layers::Dense({.units = 1, .kernel_initializer = "glorot"}); },
                           {"\"glorot\""});
  check_refused<NameError>([] { layers::Dense({.units = 1, .kernel_regularizer = "l3"}); },
                           {"\"l3\""});
  check_refused<NameError>([] { layers::Flatten({.data_format = "channel_first"}); },
                           {"Flatten", "data_format", "\"channel_first\"", "\"channels_first\""});
  check_refused<NameError>([] { layers::GlobalAveragePooling1D({.data_format = "last"}); },
                           {"GlobalAveragePooling1D", "data_format", "\"last\""});
  check_refused<ShapeError>(
      [] {
        layers::Reshape({.target_shape = {None, None}, .name = "r"});
      },
      {"Reshape layer \"r\"", "one axis at most"});
  check_refused<ShapeError>([] { layers::Reshape({.target_shape = {-4}}); }, {"-4"});
  check_refused<ShapeError>([] { Input({.shape = {3, -2}, .name = "x"}); }, {"Input \"x\"", "-2"});
}

TEST_CASE("layers refuse inputs of a shape that they cannot take") {
  auto flat = Input({.shape = {4}, .name = "flat"});
  auto steps = Input({.shape = {None, 3}, .name = "steps"});
  auto unknown = Input({.shape = {None}, .name = "unknown"});
  check_refused<ShapeError>([&] { layers::LSTM({.units = 2, .name = "l"})(flat); },
                            {"LSTM layer \"l\"", "[batch, steps, features]", "[batch, 4]"});
  check_refused<ShapeError>([&] { layers::Dense({.units = 2, .name = "d"})(unknown); },
                            {"Dense layer \"d\"", "[batch, none]", "known last axis"});
  const layers::Dense built({.units = 2, .name = "d"});
  built(flat);
  check_refused<ShapeError>([&] { built(steps); },
                            {"Dense layer \"d\"", "built for 4 features", "[batch, none, 3]"});
  check_refused<ShapeError>([&] { layers::Add({.name = "sum"})({flat}); },
                            {"Add layer \"sum\"", "2 or more", "1 came"});
  check_refused<ShapeError>(
      [&] {
        layers::Subtract()({flat, flat, flat});
      },
      {"Subtract", "exactly 2", "3 came"});
  auto wide = Input({.shape = {5}, .name = "wide"});
  check_refused<ShapeError>(
      [&] {
        layers::Add({.name = "sum"})({flat, wide});
      },
      {"Add layer \"sum\"", "4", "5"});
  check_refused<ShapeError>(
      [&] {
        layers::Concatenate({.axis = 1, .name = "c"})({steps, flat});
      },
      {"Concatenate layer \"c\""});
  check_refused<ShapeError>([&] { layers::Concatenate({.axis = 7})({flat, wide}); }, {"7"});
  check_refused<ShapeError>([&] { layers::Reshape({.target_shape = {3}, .name = "r"})(flat); },
                            {"Reshape layer \"r\"", "4", "[batch, 3]"});
  check_refused<ShapeError>([&] { layers::GlobalAveragePooling1D()(flat); }, {"[batch, 4]"});
  check_refused<ShapeError>([&] { layers::concatenate({}); }, {"Concatenate", "input"});
}

TEST_CASE("states and masks of a recurrent call must fit its sequence") {
  auto x = Input({.shape = {5, 3}, .name = "x"});
  auto state = Input({.shape = {4}, .name = "state"});
  auto narrow = Input({.shape = {2}, .name = "narrow"});
  const layers::LSTM lstm({.units = 4, .name = "l"});
  check_refused<ShapeError>([&] { lstm(x, {.initial_state = {state}}); },
                            {"LSTM layer \"l\"", "h and c", "1 came"});
  check_refused<ShapeError>(
      [&] {
        lstm(x, {.initial_state = {state, narrow}});
      },
      {"[batch, 4]", "[batch, 2]"});
  const auto mask_of = [&](Shape shape, DType dtype) {
    return RecurrentCall{.mask = Input({.shape = std::move(shape), .name = "m", .dtype = dtype})};
  };
  check_refused<ShapeError>([&] { lstm(x, mask_of({4}, DType::bool_)); },
                            {"LSTM layer \"l\"", "mask", "[batch, 5]", "[batch, 4]"});
  check_refused<ShapeError>(
      [&] {
        lstm(x, mask_of({5, 1}, DType::bool_));
      },
      {"mask", "[batch, 5, 1]"});
  check_refused<ShapeError>([&] { lstm(x, mask_of({}, DType::bool_)); }, {"mask", "[batch]"});
  check_refused<DTypeError>([&] { lstm(x, mask_of({5}, DType::float32)); },
                            {"LSTM layer \"l\"", "bool", "float32"});
  CHECK_NOTHROW(lstm(x, mask_of({None}, DType::bool_)));
  check_refused<NameError>([&] { x.mask(); }, {"\"x\"", "no mask"});
}

TEST_CASE("a nested model refuses calls that do not fit its inputs") {
  auto a = Input({.shape = {3}, .name = "a"});
  auto b = Input({.shape = {2}, .name = "b"});
  Model inner({a, b}, {layers::concatenate({a, b})}, "inner");
  auto x = Input({.shape = {3}, .name = "x"});
  auto wide = Input({.shape = {4}, .name = "wide"});
  auto deep = Input({.shape = {2, 3}, .name = "deep"});
  check_refused<ShapeError>([&] { inner(x); },
                            {"\"inner\"", "2 inputs", "\"a\" and \"b\"", "1 came"});
  check_refused<ShapeError>(
      [&] {
        inner({wide, x});
      },
      {"\"inner\"", "input \"a\"", "[batch, 3]", "[batch, 4]"});
  check_refused<ShapeError>(
      [&] {
        inner({deep, x});
      },
      {"\"inner\"", "input \"a\"", "[batch, 2, 3]"});
}

TEST_CASE("compile refuses what it cannot resolve, and keeps what was compiled before") {
  Sample s = two_outputs();
  s.model.train_on_batch(s.x, s.y);
  const State before = state_of(s.model);
  const auto refused = [&](auto error, CompileOptions options,
                           const std::vector<std::string>& words) {
    check_refused<decltype(error)>([&] { s.model.compile(std::move(options)); }, words);
  };
  refused(NameError(""), {.loss = {{"c", "mse"}}}, {"compile", "\"c\"", "\"a\" and \"b\""});
  refused(ShapeError(""), {.loss = {"mse", "mse", "mse"}}, {"3 losses", "2 outputs"});
  refused(ShapeError(""), {.loss = "mse", .loss_weights = {1}}, {"1 loss weights", "2 outputs"});
  refused(NameError(""), {.loss = "mse", .loss_weights = {{"bb", 1}}}, {"Did you mean \"b\"?"});
  refused(NameError(""), {.loss = "mse", .metrics = {{"z", "mae"}}}, {"metrics", "\"z\""});
  refused(RangeError(""), {.loss = "mse", .steps_per_execution = 0}, {"steps_per_execution", "0"});
  refused(NameError(""), {.loss = losses::MeanSquaredError({.reduction = "none"})},
          {"\"a\"", "\"none\""});
  CHECK(state_of(s.model) == before);
  CHECK_NOTHROW(s.model.train_on_batch(s.x, s.y));

  check_refused<NameError>([] { Loss("msee"); }, {"\"msee\"", "Did you mean \"mse\"?"});
  check_refused<NameError>([] { losses::Huber({.reduction = "avg"}); }, {"\"avg\""});
  check_refused<NameError>([] { Metric("acuracy"); }, {"Did you mean \"accuracy\"?"});
  check_refused<NameError>([] { Optimizer("adamm"); }, {"Did you mean \"adam\"?"});
  check_refused<RangeError>([] { optimizers::SGD({.clipnorm = 1.0, .clipvalue = 1.0}); },
                            {"\"sgd\"", "only one"});
  check_refused<NameError>([] { metrics::AUC({.curve = "roc"}); }, {"\"roc\""});
  check_refused<NameError>([] { callbacks::EarlyStopping({.mode = "up"}); }, {"\"up\""});
  check_refused<RangeError>([] { callbacks::ReduceLROnPlateau({.factor = 1}); }, {"factor"});
  check_refused<RangeError>([] { callbacks::LearningRateScheduler(nullptr); }, {"no function"});
  check_refused<RangeError>([] { schedules::CosineDecay({.decay_steps = 0}); },
                            {"CosineDecay", "decay_steps is 0", "more than 0"});
  check_refused<RangeError>([] { schedules::ExponentialDecay({.decay_steps = -1}); },
                            {"ExponentialDecay", "decay_steps is -1"});
}

TEST_CASE("a model that is not compiled says so") {
  auto x = Input({.shape = {2}, .name = "x"});
  Model model({x}, {layers::Dense({.units = 1, .name = "y"})(x)});
  const TensorDict data{{"x", Tensor::zeros({2, 2})}};
  const TensorDict targets{{"y", Tensor::zeros({2, 1})}};
  check_refused<NameError>([&] { model.fit(data, targets); }, {"model.fit", "compile()"});
  check_refused<NameError>([&] { model.evaluate(data, targets); }, {"model.evaluate", "compile()"});
  check_refused<NameError>([&] { model.train_on_batch(data, targets); },
                           {"model.train_on_batch", "compile()"});
  CHECK(model.predict(data).size() == 1);
  model.compile({.metrics = {"mae"}});
  check_refused<NameError>([&] { model.fit(data, targets); }, {"without a loss"});
  CHECK(model.evaluate(data, targets).contains("mae"));
}

TEST_CASE("a device that is not there is refused by name") {
  CHECK(Device::named("cpu") == Device::cpu());
  check_refused<NameError>([] { Device::named("gpu"); }, {"\"gpu\"", "\"cuda\""});
  check_refused<NameError>([] { Device::named("cuda:x"); }, {"\"cuda:x\""});
  if (Device::best() != Device::cpu()) return;
  check_refused<DeviceError>([] { set_default_device(Device::cuda(1)); }, {"\"cuda:1\""});
  check_refused<DeviceError>([] { Tensor::zeros({1}).to(Device::cuda(0)); }, {"\"cuda:0\""});
  CHECK(default_device() == Device::cpu());
}
