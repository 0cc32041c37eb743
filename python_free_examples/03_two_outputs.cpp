// One model, two answers: which digit does the picture show, and which topic has the text? Two
// nested Sequentials with a loss each.
#include <cstdio>

#include "majority.hpp"
#include "options.hpp"

using namespace braid;

namespace {

constexpr int kClasses = 10;
constexpr int kSide = 28;
constexpr int kWords = 100;

// A picture is a bright stripe at the digit's height among noise; a text counts words, those of its
// topic more often.
Dataset make_pages(std::int64_t rows, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> pixels;
  std::vector<float> words;
  std::vector<std::int32_t> digits;
  std::vector<std::int32_t> topics;
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto digit = static_cast<int>(random.below(kClasses));
    const auto topic = static_cast<int>(random.below(kClasses));
    for (int y = 0; y < kSide; ++y) {
      for (int x = 0; x < kSide; ++x) {
        const bool stripe = y / 2 == digit + 2 && random.uniform() < 0.5;
        pixels.push_back((stripe ? 1.0F : 0.0F) + 0.6F * static_cast<float>(random.normal()));
      }
    }
    for (int word = 0; word < kWords; ++word) {
      const double expected = word / (kWords / kClasses) == topic ? 0.25 : 0.1;
      words.push_back(random.uniform() < expected ? 1.0F : 0.0F);
    }
    digits.push_back(digit);
    topics.push_back(topic);
  }
  return Dataset::from({{"image", Tensor::from(pixels, {rows, kSide, kSide, 1})},
                        {"text", Tensor::from(words, {rows, kWords})}},
                       {{"image_class", Tensor::from(digits, {rows})},
                        {"text_class", Tensor::from(topics, {rows})}});
}

void run(const ExampleOptions& options) {
  if (!options.data.empty())
    throw IoError("03_two_outputs makes its own data; there is no file format for --data");
  auto image = Input({.shape = {kSide, kSide, 1}, .name = "image"});
  auto text = Input({.shape = {kWords}, .name = "text"});
  auto image_class =
      Sequential({layers::Flatten(), layers::Dense({.units = 64, .activation = "relu"}),
                  layers::Dense({.units = kClasses, .activation = "softmax"})},
                 "image_class")(image);
  auto text_class = Sequential({layers::Dense({.units = 32, .activation = "relu"}),
                                layers::Dense({.units = kClasses, .activation = "softmax"})},
                               "text_class")(text);
  Model model({image, text}, {image_class, text_class});
  model.compile({.optimizer = "adam",
                 .loss = {{"image_class", "sparse_categorical_crossentropy"},
                          {"text_class", "sparse_categorical_crossentropy"}},
                 .loss_weights = {0.5, 0.5},
                 .metrics = {"accuracy"}});
  std::printf("%s\n", model.summary().c_str());

  const Dataset training = make_pages(options.limit > 0 ? options.limit : 6000, options.seed);
  const Dataset test = make_pages(2000, options.seed + 1);
  model.fit(training, {.batch_size = options.batch_size,
                       .epochs = options.epochs,
                       .callbacks = {callbacks::StopOnInterrupt()},
                       .validation_split = 0.2});

  const Logs logs = model.evaluate(test);
  const TensorDict answers = model.predict(test.slice(0, 3).x());
  for (int row = 0; row < 3; ++row) {
    std::printf("a page with digit %d and topic %d: the model sees digit %d, topic %d\n",
                test["image_class"].data<std::int32_t>()[row],
                test["text_class"].data<std::int32_t>()[row],
                best_class(answers["image_class"].data<float>() + row * kClasses, kClasses),
                best_class(answers["text_class"].data<float>() + row * kClasses, kClasses));
  }
  const double majority = majority_share(test["image_class"]);
  const double text_majority = majority_share(test["text_class"]);
  std::printf(
      "test accuracy: image %.1f %% (always the majority %.1f %%), text %.1f %% (%.1f %%)\n",
      100 * logs["image_class_accuracy"], 100 * majority, 100 * logs["text_class_accuracy"],
      100 * text_majority);
  std::printf(
      "RESULT loss=%.4f image_class_accuracy=%.4f image_class_majority=%.4f "
      "text_class_accuracy=%.4f text_class_majority=%.4f\n",
      logs["loss"], logs["image_class_accuracy"], majority, logs["text_class_accuracy"],
      text_majority);
}

}  // namespace

int main(int argc, char** argv) {
  return run_example(argc, argv, "Trains one model with two inputs and two outputs.", {}, run);
}
