// How many launches a recorded training step of the reference models takes on a device. Each costs
// a small model more than its arithmetic does.
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "bench/reference_models.hpp"
#include "kernels/simt/launch_records.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/kernel_table.hpp"
#include "tests/support/on_device.hpp"
#include "tests/support/replayed_step.hpp"

namespace braid {
namespace {

using testing::ReplayedStep;

// For `make kernels`.
void write_table(const std::map<std::string, ReplayedStep>& steps) {
  std::vector<std::string> columns{"launched"};
  ReplayedStep all;
  for (const auto& [model, step] : steps) {
    columns.push_back(model);
    all.insert(step.begin(), step.end());
  }
  std::vector<std::string> rows;
  for (const auto& [kernel, of_any] : all) {
    std::vector<std::string> cells{kernel};
    for (const auto& [model, step] : steps) {
      const auto found = step.find(kernel);
      cells.push_back(found == step.end() ? "" : std::to_string(found->second.launches));
    }
    rows.push_back(testing::table_row(cells));
  }
  std::vector<std::string> sums{"all"};
  for (const auto& [model, step] : steps)
    sums.push_back(std::to_string(testing::total_of(step).launches));
  rows.push_back(testing::table_row(sums));
  testing::write_section("launches.md", columns, rows);
}

// Of a recorded step of a model of so many Dense layers, each of which has two weights.
std::size_t launches_of_step(std::int64_t count, const optimizers::SGDOptions& options) {
  const testing::OnDevice here(Device::emulated());
  auto x = Input({.shape = {3}, .name = "x"});
  auto h = x;
  for (std::int64_t layer = 1; layer < count; ++layer) h = layers::Dense({.units = 3})(h);
  Model model({x}, {layers::Dense({.units = 3, .name = "y"})(h)});
  model.compile({.optimizer = optimizers::SGD(options), .loss = "mse"});
  const Tensor rows = Tensor::from(std::vector<float>(6, 0.5F), Shape{2, 3});
  for (int step = 0; step < 3; ++step) model.train_on_batch({{"x", rows}}, {{"y", rows}});
  return simt::launches_of_last_replay();
}

}  // namespace

TEST_CASE("launches: clipping to a norm adds two, of however many weights the norms are") {
  for (const std::int64_t layers : {1, 12, 40}) {
    INFO(2 * layers << " weights");
    const std::size_t plain = launches_of_step(layers, {});
    REQUIRE(plain > 0);
    CHECK(launches_of_step(layers, {.clipnorm = 0.5}) <= plain + 2);
    CHECK(launches_of_step(layers, {.global_clipnorm = 0.5}) <= plain + 2);
  }
  // One more where they fill more than a list.
  CHECK(launches_of_step(41, {.clipnorm = 0.5}) <= launches_of_step(41, {}) + 3);
}

TEST_CASE("launches: steps of the batches that small models have are within the budget, too") {
  const std::map<std::string, std::pair<std::int64_t, std::vector<std::int64_t>>> cases{
      {"m1", {3, {32, 256, 1024}}}, {"m2", {9, {32}}}, {"m3", {3, {32, 256}}}};
  for (const auto& [name, budget_and_rows] : cases) {
    for (const std::int64_t rows : budget_and_rows.second) {
      INFO(name << ", " << rows << " rows");
      CHECK(testing::total_of(testing::replayed_step(name, rows)).launches <=
            budget_and_rows.first);
    }
  }
}

TEST_CASE("launches: masks of sequences side by side take no more the more features these have") {
  const testing::OnDevice here(Device::emulated());
  const auto launches_with = [](std::int64_t features, int axis) {
    auto words = Input({.shape = {6}, .name = "words", .dtype = DType::int32});
    auto tags = Input({.shape = {6}, .name = "tags", .dtype = DType::int32});
    const auto embedded = [&](SymbolicTensor ids, bool masked) {
      return layers::Embedding({.input_dim = 9, .output_dim = features, .mask_zero = masked})(ids);
    };
    auto h = layers::concatenate({embedded(words, true), embedded(tags, false)}, {.axis = axis});
    h = layers::LSTM({.units = 3})(h);
    Model model({words, tags}, {layers::Dense({.units = 1, .name = "y"})(h)});
    model.compile({.optimizer = "sgd", .loss = "mse"});
    const Tensor ids = Tensor::from(std::vector<std::int32_t>(24, 3), Shape{4, 6});
    const Tensor y = Tensor::from(std::vector<float>(4, 0.5F), Shape{4, 1});
    for (int step = 0; step < 3; ++step)
      model.train_on_batch({{"words", ids}, {"tags", ids}}, {{"y", y}});
    return simt::launches_of_last_replay();
  };
  for (const int axis : {1, 2}) CHECK(launches_with(5, axis) == launches_with(50, axis));
}

TEST_CASE("launches: a step on resident data has no more: it gathers, ends and updates in them") {
  const testing::OnDevice here(Device::emulated());
  const std::map<std::string, std::size_t> most{{"m1", 2}, {"m2", 9}, {"m3", 2}};
  for (const auto& [name, budget] : most) {
    const bench::ReferenceModel& reference = bench::ReferenceModel::named(name);
    const bench::Rows rows = reference.training().slice(0, 12);
    Model model = reference.make();
    // Of one length, so that all steps are one program.
    FitOptions options{.batch_size = 4, .epochs = 3, .verbose = 0, .shuffle = false};
    model.fit(rows.x, rows.y, options);
    INFO(name);
    CHECK(simt::launches_of_last_replay() <= budget);
  }
}

TEST_CASE("launches: losses and metrics of many rows are one, with the sums of their slices") {
  const auto trained = [](const Device& device, std::size_t* launches) {
    const testing::OnDevice here(device);
    set_random_seed(4);
    auto x = Input({.shape = {5}, .name = "x"});
    auto h = layers::Dense({.units = 20, .activation = "relu"})(x);
    Model model({x}, {layers::Dense({.units = 3, .activation = "softmax", .name = "y"})(h)});
    model.compile({.optimizer = optimizers::SGD({.learning_rate = 0.5}),
                   .loss = "categorical_crossentropy",
                   .metrics = {"accuracy"}});
    constexpr std::int64_t kRows = 2001;  // 16 a block
    std::vector<float> numbers;
    std::vector<float> classes(3 * kRows, 0.0F);
    for (std::int64_t i = 0; i < 5 * kRows; ++i)
      numbers.push_back(static_cast<float>(i * 37 % 101) / 101.0F - 0.5F);
    for (std::int64_t row = 0; row < kRows; ++row)
      classes[static_cast<std::size_t>(3 * row) +
              (numbers[static_cast<std::size_t>(5 * row)] > 0)] = 1;
    Logs logs;
    for (int step = 0; step < 3; ++step) {
      logs = model.train_on_batch({{"x", Tensor::from(numbers, Shape{kRows, 5})}},
                                  {{"y", Tensor::from(classes, Shape{kRows, 3})}});
      if (launches != nullptr) *launches = simt::launches_of_last_replay();
    }
    return logs;
  };
  std::size_t launches = 0;
  Logs got = trained(Device::emulated(), &launches);
  Logs expected = trained(Device::cpu(), nullptr);
  CHECK(launches <= 10);  // each by itself they would make it 15
  CHECK(got["loss"] == Approx(expected["loss"]).epsilon(1e-5));
  CHECK(got["accuracy"] == Approx(expected["accuracy"]).epsilon(1e-3));
}

TEST_CASE("launches: small layers of thousands of rows are one with their losses, and an update") {
  constexpr std::int64_t kRows = 8100;  // up to 64 a block
  const auto trained = [](const Device& device) {
    const testing::OnDevice here(device);
    set_random_seed(6);
    auto x = Input({.shape = {100}, .name = "x"});
    auto h = layers::Dense({.units = 64, .activation = "relu"})(x);
    h = layers::Dense({.units = 9, .activation = "tanh"})(h);
    Model model({x}, {layers::Dense({.units = 1, .name = "y"})(h)});
    model.compile({.optimizer = optimizers::SGD({.learning_rate = 0.1}), .loss = "mse"});
    std::vector<float> numbers;
    std::vector<float> truth;
    for (std::int64_t i = 0; i < 100 * kRows; ++i)
      numbers.push_back(static_cast<float>(i * 37 % 1009) / 1009.0F - 0.5F);
    for (std::int64_t row = 0; row < kRows; ++row)
      truth.push_back(numbers[static_cast<std::size_t>(100 * row)]);
    std::vector<double> losses;
    for (int step = 0; step < 4; ++step) {
      losses.push_back(model.train_on_batch({{"x", Tensor::from(numbers, Shape{kRows, 100})}},
                                            {{"y", Tensor::from(truth, Shape{kRows, 1})}})["loss"]);
    }
    return losses;
  };
  const std::vector<double> got = trained(Device::emulated());
  CHECK(simt::launches_of_last_replay() <= 2);
  const std::vector<double> expected = trained(Device::cpu());
  for (std::size_t step = 0; step < expected.size(); ++step) {
    INFO("step " << step);
    CHECK(got[step] == Approx(expected[step]).epsilon(1e-5));
  }
  CHECK(expected.back() < 0.9 * expected.front());
}

TEST_CASE("launches: an LSTM that sums gradients by the ids of its words takes one more") {
  const testing::OnDevice here(Device::emulated());
  // Of a batch of 24 words.
  const auto launches_with = [](std::int64_t vocabulary) {
    auto ids = Input({.shape = {6}, .name = "ids", .dtype = DType::int32});
    auto h = layers::Embedding({.input_dim = vocabulary, .output_dim = 3, .mask_zero = true})(ids);
    h = layers::LSTM({.units = 4})(h);
    Model model({ids}, {layers::Dense({.units = 1, .name = "y"})(h)});
    model.compile({.optimizer = optimizers::Adam({}), .loss = "mse"});
    const Tensor words = Tensor::from(std::vector<std::int32_t>(24, 3), Shape{4, 6});
    const Tensor y = Tensor::from(std::vector<float>(4, 0.5F), Shape{4, 1});
    for (int step = 0; step < 3; ++step) model.train_on_batch({{"ids", words}}, {{"y", y}});
    return simt::launches_of_last_replay();
  };
  CHECK(launches_with(11) == launches_with(12) + 1);
}

TEST_CASE("launches: a step of a reference model is replayed within its budget") {
  const std::map<std::string, std::int64_t> most{{"m1", 2}, {"m2", 8}, {"m3", 2}};
  std::map<std::string, ReplayedStep> steps;
  for (const auto& [name, budget] : most) {
    steps[name] = testing::replayed_step(name, 4);
    INFO(name);
    CHECK(testing::total_of(steps[name]).launches <= budget);
  }
  write_table(steps);
}

}  // namespace braid
