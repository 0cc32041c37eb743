// Two named inputs, concatenated: is a visitor going to buy? A text as 100 word counts and five
// numbers decide.
#include <algorithm>
#include <cstdio>

#include "options.hpp"

using namespace braid;

namespace {

struct Data {
  TensorDict x;
  TensorDict y;
};

// A made-up world in which words 3 and 7 and the second number attract buyers.
Data make_visitors(std::int64_t rows, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> texts;
  std::vector<float> numbers;
  std::vector<float> labels;
  for (std::int64_t row = 0; row < rows; ++row) {
    float attraction = static_cast<float>(random.normal()) * 0.3F;
    for (int word = 0; word < 100; ++word) {
      const float count = random.uniform() < 0.1F ? 1.0F : 0.0F;
      if (word == 3 || word == 7) attraction += 2 * count;
      texts.push_back(count);
    }
    for (int column = 0; column < 5; ++column) {
      const auto number = static_cast<float>(random.normal());
      if (column == 1) attraction += number;
      numbers.push_back(number);
    }
    labels.push_back(attraction > 0.5F ? 1.0F : 0.0F);
  }
  return {
      {{"text", Tensor::from(texts, {rows, 100})}, {"numeric", Tensor::from(numbers, {rows, 5})}},
      {{"label", Tensor::from(labels, {rows, 1})}}};
}

void run(const ExampleOptions& options) {
  auto text = Input({.shape = {100}, .name = "text"});
  auto numeric = Input({.shape = {5}, .name = "numeric"});
  auto merged = layers::concatenate({layers::Dense({.units = 64, .activation = "relu"})(text),
                                     layers::Dense({.units = 32, .activation = "relu"})(numeric)});
  auto label = layers::Dense({.units = 1, .activation = "sigmoid", .name = "label"})(merged);
  Model model({text, numeric}, {label});
  model.compile({.optimizer = optimizers::Adam({.learning_rate = 1e-3}),
                 .loss = "binary_crossentropy",
                 .metrics = {"accuracy"}});
  std::printf("%s\n", model.summary().c_str());

  if (!options.data.empty())
    throw IoError("01_two_inputs makes its own data; there is no file format for --data");
  const std::int64_t rows = options.limit > 0 ? options.limit : 8000;
  const Data training = make_visitors(rows, options.seed);
  const Data test = make_visitors(2000, options.seed + 1);
  model.fit(training.x, training.y,
            {.batch_size = options.batch_size,
             .epochs = options.epochs,
             .callbacks = {callbacks::StopOnInterrupt()},
             .validation_split = 0.2});

  const Logs logs = model.evaluate(test.x, test.y);
  const auto truth = test.y["label"].to_vector<float>();
  const double buyers = static_cast<double>(std::count(truth.begin(), truth.end(), 1.0F)) / 2000;
  const double baseline = std::max(buyers, 1 - buyers);
  const auto scores = model.predict(test.x)["label"].to_vector<float>();
  for (std::size_t row = 0; row < 3; ++row) {
    std::printf("visitor %zu buys with probability %.2f, and %s\n", row,
                static_cast<double>(scores[row]), truth[row] > 0.5F ? "did" : "did not");
  }
  std::printf("test accuracy %.1f %%, always the majority %.1f %%\n", 100 * logs["accuracy"],
              100 * baseline);
  std::printf("RESULT loss=%.4f accuracy=%.4f majority=%.4f\n", logs["loss"], logs["accuracy"],
              baseline);
}

}  // namespace

int main(int argc, char** argv) {
  return run_example(argc, argv, "Trains a model with two named inputs.", {}, run);
}
