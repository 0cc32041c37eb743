// Two outputs from nested Sequentials with a list of losses, from an installed package.
#include <braid/braid.hpp>
#include <cstdio>
#include <vector>
using namespace braid;

int main() {
  const int n = 50;
  std::vector<float> pixels(n * 28 * 28), words(n * 100), classes(n * 10);
  for (int row = 0; row < n; ++row) {
    const int digit = row % 10;
    classes[row * 10 + digit] = 1;
    for (int i = 0; i < 28; ++i) pixels[row * 784 + digit * 56 + i] = 1;
    for (int i = 0; i < 10; ++i) words[row * 100 + digit * 10 + i] = 1;
  }

  auto image = Input({.shape = {28, 28, 1}, .name = "image"});
  auto text = Input({.shape = {100}, .name = "text"});
  auto image_class =
      Sequential({layers::Flatten(), layers::Dense({.units = 64, .activation = "relu"}),
                  layers::Dense({.units = 10, .activation = "softmax"})},
                 "image_class")(image);
  auto text_class = Sequential({layers::Dense({.units = 32, .activation = "relu"}),
                                layers::Dense({.units = 10, .activation = "softmax"})},
                               "text_class")(text);
  Model model({image, text}, {image_class, text_class});
  model.compile({.optimizer = "adam",
                 .loss = {"categorical_crossentropy", "categorical_crossentropy"},
                 .loss_weights = {0.5, 0.5},
                 .metrics = {"accuracy"}});

  TensorDict x{{"image", Tensor::from(pixels, {n, 28, 28, 1})},
               {"text", Tensor::from(words, {n, 100})}};
  TensorDict y{{"image_class", Tensor::from(classes, {n, 10})},
               {"text_class", Tensor::from(classes, {n, 10})}};
  History history = model.fit(x, y, {.batch_size = 10, .epochs = 5});
  Logs logs = model.evaluate(x, y);

  // The losses by name, and a dictionary of outputs.
  Model keyed({{"image", image}, {"words", text}}, {{"digit", image_class}, {"topic", text_class}});
  keyed.compile({.loss = {{"digit", "categorical_crossentropy"},
                          {"topic", losses::CategoricalCrossentropy({.label_smoothing = 0.1})}}});
  TensorDict p = keyed.predict({{"image", x["image"]}, {"words", x["text"]}});

  std::printf("image_class_accuracy %.2f text_class_accuracy %.2f\n", logs["image_class_accuracy"],
              logs["text_class_accuracy"]);
  return history["image_class_loss"][4] < history["image_class_loss"][0] &&
                 p["topic"].shape().size() == 2
             ? 0
             : 1;
}
