// A sequence of any length beside fixed features: embedding, mask and LSTM. Is the sum of what a
// customer bought and sent back worth a call? Purchases have ids below 50, returns from 50 on.
#include <algorithm>
#include <cstdio>

#include "options.hpp"

using namespace braid;

namespace {

struct Data {
  TensorDict x;
  TensorDict y;
};

constexpr std::int32_t kItems = 100;  // id 0 is padding

Data make_customers(std::int64_t rows, std::uint64_t seed) {
  Random random(seed);
  std::vector<std::int32_t> items;
  std::vector<std::int64_t> row_splits{0};
  std::vector<float> features;
  std::vector<float> labels;
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto length = static_cast<std::int64_t>(random.below(30));
    float value = 0;
    for (std::int64_t step = 0; step < length; ++step) {
      const auto item = static_cast<std::int32_t>(1 + random.below(kItems - 1));
      value += item < kItems / 2 ? 1.0F : -1.0F;
      items.push_back(item);
    }
    row_splits.push_back(static_cast<std::int64_t>(items.size()));
    for (int column = 0; column < 10; ++column) {
      const auto feature = static_cast<float>(random.normal());
      if (column == 0) value += 2 * feature;
      features.push_back(feature);
    }
    labels.push_back(value > 0 ? 1.0F : 0.0F);
  }
  return {{{"sequence", Tensor::ragged(items, row_splits)},
           {"features", Tensor::from(features, {rows, 10})}},
          {{"label", Tensor::from(labels, {rows, 1})}}};
}

void run(const ExampleOptions& options) {
  auto sequence = Input({.shape = {None}, .name = "sequence", .dtype = DType::int32});
  auto features = Input({.shape = {10}, .name = "features"});
  auto h = layers::Embedding({.input_dim = kItems, .output_dim = 16, .mask_zero = true})(sequence);
  h = layers::LSTM({.units = 32})(h);
  auto f = layers::Dense({.units = 16, .activation = "relu"})(features);
  auto label = layers::Dense({.units = 1, .activation = "sigmoid", .name = "label"})(
      layers::concatenate({h, f}));
  Model model({sequence, features}, {label});
  model.compile({.optimizer = optimizers::Adam({.learning_rate = 3e-3}),
                 .loss = "binary_crossentropy",
                 .metrics = {"accuracy"}});
  std::printf("%s\n", model.summary().c_str());

  if (!options.data.empty())
    throw IoError(
        "02_sequence_and_features makes its own data; there is no file format for --data");
  const Data training = make_customers(options.limit > 0 ? options.limit : 8000, options.seed);
  const Data test = make_customers(2000, options.seed + 1);
  model.fit(training.x, training.y,
            {.batch_size = options.batch_size,
             .epochs = options.epochs,
             .callbacks = {callbacks::StopOnInterrupt()},
             .validation_split = 0.2});

  const Logs logs = model.evaluate(test.x, test.y);
  const auto truth = test.y["label"].to_vector<float>();
  const double worth = static_cast<double>(std::count(truth.begin(), truth.end(), 1.0F)) / 2000;
  const double baseline = std::max(worth, 1 - worth);
  const auto scores = model.predict(test.x)["label"].to_vector<float>();
  const auto row_splits = test.x["sequence"].row_splits();
  for (std::size_t row = 0; row < 3; ++row) {
    std::printf("a customer with %2d items is worth a call with probability %.2f, and %s\n",
                static_cast<int>(row_splits[row + 1] - row_splits[row]),
                static_cast<double>(scores[row]), truth[row] > 0.5F ? "is" : "is not");
  }
  std::printf("test accuracy %.1f %%, always the majority %.1f %%\n", 100 * logs["accuracy"],
              100 * baseline);
  std::printf("RESULT loss=%.4f accuracy=%.4f majority=%.4f\n", logs["loss"], logs["accuracy"],
              baseline);
}

}  // namespace

int main(int argc, char** argv) {
  return run_example(argc, argv, "Trains on sequences of any length beside fixed features.", {},
                     run);
}
