#include <braid/braid.hpp>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "engine/core/device_access.hpp"
#include "engine/core/error.hpp"
#include "kernels/simt/emulated_traffic.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/on_device.hpp"

namespace braid {
namespace {

using testing::gpus;
using testing::OnDevice;
using testing::WithoutRecordings;

struct Data {
  TensorDict x;
  TensorDict y;
};

Data sequences_and_features(std::int64_t rows) {
  Random random(11);
  std::vector<std::int32_t> ids;
  std::vector<std::int64_t> row_splits{0};
  std::vector<float> features;
  std::vector<float> labels;
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto length = static_cast<std::int64_t>(random.below(6));
    for (std::int64_t step = 0; step < length; ++step)
      ids.push_back(static_cast<std::int32_t>(random.below(9)));
    row_splits.push_back(static_cast<std::int64_t>(ids.size()));
    for (int column = 0; column < 3; ++column)
      features.push_back(static_cast<float>(random.normal()));
    labels.push_back(random.uniform() < 0.5F ? 0.0F : 1.0F);
  }
  return {
      {{"ids", Tensor::ragged(ids, row_splits)}, {"features", Tensor::from(features, {rows, 3})}},
      {{"label", Tensor::from(labels, {rows, 1})}}};
}

Model sequence_model(std::int64_t units = 7) {
  set_random_seed(5);
  auto ids = Input({.shape = {None}, .name = "ids", .dtype = DType::int32});
  auto features = Input({.shape = {3}, .name = "features"});
  auto h = layers::Embedding({.input_dim = 9, .output_dim = 5, .mask_zero = true})(ids);
  h = layers::Dropout(0.2)(layers::LSTM({.units = units})(h));
  auto f = layers::Dense({.units = 4, .activation = "relu"})(features);
  auto label = layers::Dense({.units = 1, .activation = "sigmoid", .name = "label"})(
      layers::concatenate({h, f}));
  Model model({ids, features}, {label});
  model.compile({.optimizer = optimizers::Adam({.learning_rate = 0.01, .global_clipnorm = 0.5}),
                 .loss = "binary_crossentropy",
                 .metrics = {"accuracy", "AUC"}});
  return model;
}

struct Trained {
  TensorDict weights;
  TensorDict state;
  std::vector<float> predictions;
  double loss;
};

Trained train_on(Device device, std::int64_t units = 7) {
  const OnDevice here(device);
  const Data data = sequences_and_features(37);
  Model model = sequence_model(units);
  const History history =
      model.fit(data.x, data.y, {.batch_size = 8, .epochs = 3, .verbose = 0, .seed = 9});
  return {model.get_weights(), model.optimizer_state(),
          model.predict(data.x)["label"].to_vector<float>(), history["loss"].back()};
}

void check_near(const TensorDict& a, const TensorDict& b) {
  REQUIRE(a.names() == b.names());
  for (const auto& [name, tensor] : a) {
    if (tensor.dtype() != DType::float32) continue;
    INFO(name);
    const auto one = tensor.to_vector<float>();
    const auto other = b.at(name).to_vector<float>();
    for (std::size_t i = 0; i < one.size(); ++i) CHECK(std::abs(one[i] - other[i]) < 2e-5F);
  }
}

void check_same_bits(const TensorDict& a, const TensorDict& b) {
  REQUIRE(a.names() == b.names());
  for (const auto& [name, tensor] : a) {
    INFO(name);
    REQUIRE(tensor.bytes() == b.at(name).bytes());
    CHECK(std::memcmp(tensor.raw(), b.at(name).raw(), tensor.bytes()) == 0);
  }
}

}  // namespace

TEST_CASE("a tensor goes to a device and comes back as it was") {
  const Device device = GENERATE(from_range(gpus()));
  INFO(to_string(device));
  const Tensor here = Tensor::from({1.0F, 2.0F, 3.0F, 4.0F}, {2, 2});
  const Tensor there = here.to(device);
  CHECK(there.device() == device);
  CHECK(there.raw() != here.raw());
  CHECK(there.to_vector<float>() == here.to_vector<float>());
  CHECK(there.clone().to(Device::cpu()).to_vector<float>() == here.to_vector<float>());
  CHECK(there.slice(1, 2).to_vector<float>() == std::vector<float>{3, 4});
  CHECK(there.gather(std::vector<std::int64_t>{1, 0}).to_vector<float>() ==
        std::vector<float>{3, 4, 1, 2});
  CHECK_THROWS_AS(there.data<float>(), DeviceError);
  CHECK_THROWS_WITH(there.data<float>(), ContainsSubstring("float32 [2, 2]") &&
                                             ContainsSubstring("\"" + to_string(device) + "\""));
}

TEST_CASE("tensors that move together lie side by side in one block of a device's memory") {
  const Device device = GENERATE(from_range(gpus()));
  INFO(to_string(device));
  Tensor first = Tensor::from({1.0F, 2.0F, 3.0F}, {3});
  Tensor empty = Tensor::zeros({0, 4});
  Tensor settled = Tensor::from({7.0F}, {1}).to(device);
  const std::byte* const place = settled.raw();
  Tensor large = Tensor::zeros({65});
  large.data<float>()[64] = 5;
  Tensor last = Tensor::from({9.0F}, {1});
  move_together({&first, &empty, &settled, &large, &last}, device, "tensors of a test");
  for (const Tensor* tensor : {&first, &empty, &settled, &large, &last})
    CHECK(tensor->device() == device);
  CHECK(settled.raw() == place);
  CHECK(reinterpret_cast<std::uintptr_t>(first.raw()) % 256 == 0);
  CHECK(large.raw() == first.raw() + 256);
  CHECK(last.raw() == large.raw() + 512);
  CHECK(first.to_vector<float>() == std::vector<float>{1, 2, 3});
  CHECK(large.to_vector<float>()[64] == 5);
  CHECK(last.to_vector<float>() == std::vector<float>{9});
  // The block stays as long as one of them does.
  first = Tensor();
  large = Tensor();
  CHECK(last.to_vector<float>() == std::vector<float>{9});
  move_together({&last, &empty}, Device::cpu(), "tensors of a test");
  CHECK(last.data<float>()[0] == 9);
}

TEST_CASE("a batch of many rows teaches a device what it teaches the CPU") {
  const auto train = [](Device device) {
    const OnDevice here(device);
    set_random_seed(8);
    auto x = Input({.shape = {3}, .name = "x"});
    Model model(x, layers::Dense({.units = 2, .name = "y"})(
                       layers::Dense({.units = 5, .activation = "tanh"})(x)));
    model.compile({.optimizer = "sgd", .loss = "mse"});
    Random random(4);
    std::vector<float> numbers;
    for (int i = 0; i < 3 * 1300; ++i) numbers.push_back(static_cast<float>(random.normal()));
    const Tensor rows = Tensor::from(numbers, {1300, 3});
    numbers.resize(2 * 1300);
    const Tensor targets = Tensor::from(numbers, {1300, 2});
    for (int step = 0; step < 3; ++step) model.train_on_batch({{"x", rows}}, {{"y", targets}});
    return model.get_weights();
  };
  const Device device = GENERATE(from_range(gpus()));
  INFO(to_string(device));
  check_near(train(Device::cpu()), train(device));
}

TEST_CASE("a loss of many rows, and penalties of many weights, are the same on a device") {
  constexpr std::int64_t kRows = 40000;
  constexpr std::int64_t kIds = 9000;
  Random random(6);
  std::vector<std::int32_t> ids;
  std::vector<float> targets;
  for (std::int64_t row = 0; row < kRows; ++row) {
    ids.push_back(static_cast<std::int32_t>(random.below(kIds)));
    targets.push_back(static_cast<float>(random.normal()));
  }
  const TensorDict x{{"ids", Tensor::from(ids, {kRows, 1})}};
  const TensorDict y{{"y", Tensor::from(targets, {kRows, 1})}};
  const auto loss_on = [&](Device device) {
    const OnDevice here(device);
    set_random_seed(8);
    auto in = Input({.shape = {1}, .name = "ids", .dtype = DType::int32});
    auto vectors = layers::Embedding({.input_dim = kIds,
                                      .output_dim = 4,
                                      .embeddings_regularizer = regularizers::L1L2(1e-4, 1e-3)});
    Model model(in, layers::Dense({.units = 1, .name = "y"})(layers::Flatten()(vectors(in))));
    model.compile({.optimizer = "sgd", .loss = "mse"});
    return model.test_on_batch(x, y)["loss"];
  };
  const Device device = GENERATE(from_range(gpus()));
  INFO(to_string(device));
  CHECK(std::abs(loss_on(device) / loss_on(Device::cpu()) - 1) < 1e-6);
}

TEST_CASE("a model learns the same on a device as on the CPU") {
  const Device device = GENERATE(from_range(gpus()));
  const std::int64_t units = GENERATE(7, 130);  // the latter by teams of blocks
  INFO(to_string(device) << ", " << units << " units");
  const Trained on_cpu = train_on(Device::cpu(), units);
  const Trained there = train_on(device, units);
  check_near(on_cpu.weights, there.weights);
  check_near(on_cpu.state, there.state);
  CHECK(std::abs(on_cpu.loss - there.loss) < 1e-5);
  for (std::size_t row = 0; row < on_cpu.predictions.size(); ++row)
    CHECK(std::abs(on_cpu.predictions[row] - there.predictions[row]) < 2e-5F);
}

TEST_CASE("a replayed step gives the bits of plain launches") {
  const Device device = GENERATE(from_range(gpus()));
  const std::int64_t units = GENERATE(7, 130);
  INFO(to_string(device) << ", " << units << " units");
  const Trained replayed = train_on(device, units);
  const WithoutRecordings here;
  const Trained plain = train_on(device, units);
  check_same_bits(replayed.weights, plain.weights);
  check_same_bits(replayed.state, plain.state);
  CHECK(replayed.predictions == plain.predictions);
}

TEST_CASE("recordings of small batches outlive a larger one, for which memory had to move") {
  const Device device = GENERATE(from_range(gpus()));
  INFO(to_string(device));
  const auto grown = [&] {
    const OnDevice here(device);
    Model model = sequence_model();
    for (const std::int64_t rows : {2, 2, 2, 20, 2, 2}) {
      const Data data = sequences_and_features(rows);
      model.train_on_batch(data.x, data.y);
    }
    return model.get_weights();
  };
  const TensorDict replayed = grown();
  const WithoutRecordings plain;
  check_same_bits(replayed, grown());
}

TEST_CASE("a device without memory for a recording is given every launch by itself") {
  const auto trained = [](std::size_t spare) {
    const OnDevice here(Device::emulated());
    Model model = sequence_model();
    const Data data = sequences_and_features(5);
    const auto step = [&] { model.train_on_batch(data.x, data.y); };
    step();
    std::optional<testing::MemoryLeft> limit;
    if (spare > 0) limit.emplace(spare);
    const std::int64_t before = simt::emulated_traffic().replays;
    for (int i = 0; i < 4; ++i) step();
    return std::pair(model.get_weights(), simt::emulated_traffic().replays - before);
  };
  const auto [replayed, replays] = trained(0);
  CHECK(replays > 0);
  const auto [plain, none] = trained(1000);
  CHECK(none == 0);
  check_same_bits(replayed, plain);
}

TEST_CASE("a device that cannot be is refused by name, whatever its number") {
  for (const int number : {-1, -1000000000, 99}) {
    const std::string named = "device \"cuda:" + std::to_string(number) + "\" was demanded";
    CHECK_THROWS_WITH(set_default_device(Device::cuda(number)), ContainsSubstring(named));
    CHECK_THROWS_AS(Tensor::zeros({1}).to(Device::cuda(number)), DeviceError);
  }
}

TEST_CASE("weights of a model on a device are read, set and saved as on the CPU") {
  const OnDevice here(GENERATE(from_range(gpus())));
  Model model = sequence_model();
  TensorDict weights = model.get_weights();
  CHECK(weights["dense/bias"].device() == Device::cpu());
  weights.set("dense/bias", Tensor::from({1.0F, 2.0F, 3.0F, 4.0F}, {4}));
  model.set_weights(weights);
  CHECK(model.get_weights()["dense/bias"].to_vector<float>() == std::vector<float>{1, 2, 3, 4});
}

}  // namespace braid
