// Two named inputs and a concatenation, from an installed package. Saves the model, if told where.
#include <braid/braid.hpp>
#include <cstdio>
#include <vector>
using namespace braid;

int main(int argc, char** argv) {
  const int n = 64;
  std::vector<float> text_values(n * 100), numeric_values(n * 5), labels(n);
  for (int row = 0; row < n; ++row) {
    labels[row] = static_cast<float>(row % 2);
    for (int i = 0; i < 100; ++i)
      text_values[row * 100 + i] = 0.01F * static_cast<float>((row * 7 + i) % 13);
    for (int i = 0; i < 5; ++i)
      numeric_values[row * 5 + i] = labels[row] + 0.1F * static_cast<float>(i);
  }

  auto text = Input({.shape = {100}, .name = "text"});
  auto numeric = Input({.shape = {5}, .name = "numeric"});
  auto merged = layers::concatenate({layers::Dense({.units = 64, .activation = "relu"})(text),
                                     layers::Dense({.units = 32, .activation = "relu"})(numeric)});
  auto label = layers::Dense({.units = 1, .activation = "sigmoid", .name = "label"})(merged);

  Model model({text, numeric}, {label});
  model.compile({.optimizer = optimizers::Adam({.learning_rate = 1e-3}),
                 .loss = "binary_crossentropy",
                 .metrics = {"accuracy"}});

  TensorDict x{{"text", Tensor::from(text_values, {n, 100})},
               {"numeric", Tensor::from(numeric_values, {n, 5})}};
  TensorDict y{{"label", Tensor::from(labels, {n, 1})}};
  History history = model.fit(x, y, {.batch_size = 32, .epochs = 10, .validation_split = 0.2});
  Logs logs = model.evaluate(x, y);

  if (argc > 1) model.save(argv[1]);

  Tensor nb = Tensor::from(std::vector<float>(10, 1.0F), {2, 5});
  Tensor tb = Tensor::from(std::vector<float>(200, 0.1F), {2, 100});
  TensorDict p = model.predict({{"numeric", nb}, {"text", tb}});
  std::vector<float> scores = p["label"].to_vector<float>();

  std::printf("loss %.4f accuracy %.2f\n", logs["loss"], logs["accuracy"]);
  return scores.size() == 2 && history["val_loss"].size() == 10 &&
                 history["loss"][9] < history["loss"][0]
             ? 0
             : 1;
}
