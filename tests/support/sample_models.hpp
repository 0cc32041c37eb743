#pragma once
// Small models with data, for tests of what the public API promises.
#include <cmath>
#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include <braid/braid.hpp>

namespace braid::testing {

inline bool near(double a, double b, double tolerance = 1e-6) {
  return std::abs(a - b) <= tolerance;
}

// Numbers in -0.5 .. 0.5, the same for the same seed.
inline std::vector<float> uniform_values(std::int64_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i) values.push_back(random.uniform() - 0.5F);
  return values;
}

inline Tensor uniform(Shape shape, std::uint64_t seed) {
  const std::int64_t count = shape.elements();
  return Tensor::from(uniform_values(count, seed), std::move(shape));
}

// Every element 0 or 1.
inline Tensor coins(Shape shape, std::uint64_t seed) {
  Tensor tensor = uniform(std::move(shape), seed);
  for (std::int64_t i = 0; i < tensor.elements(); ++i)
    tensor.data<float>()[i] = tensor.data<float>()[i] > 0 ? 1.0F : 0.0F;
  return tensor;
}

struct Sample {
  Model model;
  TensorDict x;
  TensorDict y;
};

// "text" [8] and "numeric" [5] give "label" [1], a probability.
inline Sample two_inputs(std::int64_t rows = 24) {
  set_random_seed(7);
  auto text = Input({.shape = {8}, .name = "text"});
  auto numeric = Input({.shape = {5}, .name = "numeric"});
  auto merged = layers::concatenate({layers::Dense({.units = 6, .activation = "relu"})(text),
                                     layers::Dense({.units = 4, .activation = "tanh"})(numeric)});
  auto label = layers::Dense({.units = 1, .activation = "sigmoid", .name = "label"})(merged);
  Model model({text, numeric}, {label});
  model.compile({.optimizer = optimizers::Adam({.learning_rate = 1e-2}),
                 .loss = "binary_crossentropy",
                 .metrics = {"accuracy"}});
  return {model,
          {{"text", uniform({rows, 8}, 1)}, {"numeric", uniform({rows, 5}, 2)}},
          {{"label", coins({rows, 1}, 3)}}};
}

// "sequence" [None] int32 ids below 20, 0 is padding, and "features" [3] give "label" [4], a class.
inline Sample sequences(std::int64_t rows = 10, std::int64_t steps = 6) {
  set_random_seed(8);
  auto sequence = Input({.shape = {None}, .name = "sequence", .dtype = DType::int32});
  auto features = Input({.shape = {3}, .name = "features"});
  auto h = layers::Embedding(
      {.input_dim = 20, .output_dim = 6, .mask_zero = true, .name = "words"})(sequence);
  h = layers::LSTM({.units = 5})(h);
  auto label = layers::Dense({.units = 4, .activation = "softmax", .name = "label"})(
      layers::concatenate({h, features}));
  Model model({sequence, features}, {label});
  model.compile(
      {.optimizer = "adam", .loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"}});
  std::vector<std::int32_t> ids;
  std::vector<std::int32_t> labels;
  for (std::int64_t i = 0; i < rows * steps; ++i) {
    const bool padding = i % steps > 1 + i / steps % steps;
    ids.push_back(padding ? 0 : static_cast<std::int32_t>(1 + i * 7 % 19));
  }
  for (std::int64_t i = 0; i < rows; ++i) labels.push_back(static_cast<std::int32_t>(i % 4));
  return {model,
          {{"sequence", Tensor::from(ids, {rows, steps})}, {"features", uniform({rows, 3}, 4)}},
          {{"label", Tensor::from(labels, {rows})}}};
}

// "left" [4] and "right" [3] give "a" [2] and "b" [1].
inline Sample two_outputs(std::int64_t rows = 12) {
  set_random_seed(9);
  auto left = Input({.shape = {4}, .name = "left"});
  auto right = Input({.shape = {3}, .name = "right"});
  auto a = layers::Dense({.units = 2, .activation = "softmax", .name = "a"})(left);
  auto b = layers::Dense({.units = 1, .name = "b"})(layers::concatenate({left, right}));
  Model model({left, right}, {a, b});
  model.compile(
      {.optimizer = "sgd", .loss = {{"a", "sparse_categorical_crossentropy"}, {"b", "mse"}}});
  std::vector<std::int32_t> classes;
  for (std::int64_t i = 0; i < rows; ++i) classes.push_back(static_cast<std::int32_t>(i % 2));
  return {model,
          {{"left", uniform({rows, 4}, 5)}, {"right", uniform({rows, 3}, 6)}},
          {{"a", Tensor::from(classes, {rows})}, {"b", uniform({rows, 1}, 7)}}};
}

// Names, shapes and bytes of everything.
inline std::string bytes_of(const TensorDict& tensors) {
  std::string bytes;
  for (const auto& [name, tensor] : tensors) {
    bytes += name + describe(tensor);
    bytes.append(reinterpret_cast<const char*>(tensor.raw()), tensor.bytes());
  }
  return bytes;
}

// Weights and optimizer, bit for bit.
struct State {
  std::string bytes;
  bool operator==(const State&) const = default;
  friend std::ostream& operator<<(std::ostream& out, const State&) { return out << "a state"; }
};

inline State state_of(const Model& model) {
  return {bytes_of(model.get_weights()) + bytes_of(model.optimizer_state())};
}

}  // namespace braid::testing
