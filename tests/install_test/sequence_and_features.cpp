// Sequences of different lengths with a mask, an LSTM, and features beside them, from an installed
// package.
#include <braid/braid.hpp>
#include <cstdint>
#include <cstdio>
#include <vector>
using namespace braid;

int main() {
  const int n = 64, steps = 12;
  std::vector<std::int32_t> ids(n * steps);
  std::vector<float> feature_values(n * 10), labels(n);
  for (int row = 0; row < n; ++row) {
    labels[row] = static_cast<float>(row % 2);
    for (int t = 0; t < 1 + row % steps; ++t)
      ids[row * steps + t] = 1 + (row % 2) * 50 + (row + t) % 40;
    for (int i = 0; i < 10; ++i)
      feature_values[row * 10 + i] = 0.1F * static_cast<float>((row + i) % 7);
  }

  auto sequence = Input({.shape = {None}, .name = "sequence", .dtype = DType::int32});
  auto features = Input({.shape = {10}, .name = "features"});
  auto h = layers::Embedding({.input_dim = 10000, .output_dim = 128, .mask_zero = true})(sequence);
  h = layers::LSTM({.units = 64})(h);
  auto f = layers::Dense({.units = 32, .activation = "relu"})(features);
  auto label = layers::Dense({.units = 1, .activation = "sigmoid", .name = "label"})(
      layers::concatenate({h, f}));
  Model model({sequence, features}, {label});
  model.compile({.optimizer = optimizers::Adam({.learning_rate = 1e-3}),
                 .loss = "binary_crossentropy",
                 .metrics = {"accuracy"}});

  TensorDict x{{"sequence", Tensor::from(ids, {n, steps})},
               {"features", Tensor::from(feature_values, {n, 10})}};
  TensorDict y{{"label", Tensor::from(labels, {n, 1})}};
  History history = model.fit(x, y, {.batch_size = 16, .epochs = 3});
  Logs logs = model.evaluate(x, y);

  // Ragged rows give what padded ones give.
  std::vector<std::int32_t> values;
  std::vector<std::int64_t> row_splits{0};
  for (int row = 0; row < n; ++row) {
    for (int t = 0; t < 1 + row % steps; ++t) values.push_back(ids[row * steps + t]);
    row_splits.push_back(static_cast<std::int64_t>(values.size()));
  }
  x.set("sequence", Tensor::ragged(values, row_splits));
  Logs ragged = model.evaluate(x, y);

  std::printf("loss %.4f, from ragged rows %.4f\n", logs["loss"], ragged["loss"]);
  const double difference = logs["loss"] - ragged["loss"];
  return history["loss"][2] < history["loss"][0] && difference < 1e-5 && difference > -1e-5 ? 0 : 1;
}
