#pragma once
// Models whose data come in every form, and what a fit of them leaves.
#include <functional>

#include "tests/support/on_device.hpp"
#include "tests/support/sample_models.hpp"

namespace braid::testing {

inline constexpr std::int64_t kRows = 43;

inline std::vector<std::int64_t> whole_numbers(std::int64_t count, std::int64_t limit, int seed) {
  Random random(static_cast<std::uint64_t>(seed));
  std::vector<std::int64_t> numbers;
  for (std::int64_t i = 0; i < count; ++i)
    numbers.push_back(static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(limit))));
  return numbers;
}

// Rows of 0 .. 29 steps, so that batches have 8, 16, 24 or 32.
inline std::vector<std::int64_t> splits_of_rows(std::int64_t rows) {
  std::vector<std::int64_t> splits{0};
  for (const std::int64_t length : whole_numbers(rows, 30, 4))
    splits.push_back(splits.back() + (length % 4 == 0 ? length : length / 4));
  return splits;
}

// Ragged ids, ragged vectors and numbers; a probability.
inline Sample ragged(int steps_per_execution = 1) {
  set_random_seed(5);
  auto ids = Input({.shape = {None}, .name = "ids", .dtype = DType::int32});
  auto vectors = Input({.shape = {None, 2}, .name = "vectors"});
  auto features = Input({.shape = {3}, .name = "features"});
  auto h = layers::LSTM({.units = 3})(
      layers::Embedding({.input_dim = 9, .output_dim = 2, .mask_zero = true})(ids));
  auto v = layers::GlobalAveragePooling1D()(layers::Dense({.units = 2})(vectors));
  auto label = layers::Dense({.units = 1, .activation = "sigmoid", .name = "label"})(
      layers::Dropout(0.2)(layers::concatenate({h, v, features})));
  Model model({ids, vectors, features}, {label});
  model.compile({.optimizer = optimizers::Adam({.learning_rate = 0.01, .global_clipnorm = 0.5}),
                 .loss = "binary_crossentropy",
                 .metrics = {"accuracy", "AUC"},
                 .steps_per_execution = steps_per_execution});
  const std::vector<std::int64_t> splits = splits_of_rows(kRows);
  std::vector<std::int64_t> longer = splits;
  for (std::size_t row = 0; row < longer.size(); ++row)
    longer[row] += static_cast<std::int64_t>(row);
  return {model,
          {{"ids", Tensor::ragged(whole_numbers(splits.back(), 9, 6), splits)},
           {"vectors", Tensor::ragged(uniform({longer.back(), 2}, 7), longer)},
           {"features", uniform({kRows, 3}, 8)}},
          {{"label", coins({kRows, 1}, 9)}}};
}

// Images of bytes, int64 ids and bools; a class given as int64, and a number. More columns than one
// gather takes.
inline Sample many_types(int steps_per_execution = 1) {
  set_random_seed(6);
  auto image = Input({.shape = {4, 4, 1}, .name = "image"});
  auto ids = Input({.shape = {3}, .name = "ids", .dtype = DType::int32});
  auto flags = Input({.shape = {2}, .name = "flags"});
  auto count = Input({.shape = {1}, .name = "count"});
  auto f = layers::Dense({.units = 5, .activation = "relu"})(layers::Flatten()(image));
  auto h = layers::Flatten()(layers::Embedding({.input_dim = 7, .output_dim = 2})(ids));
  auto all = layers::concatenate({f, h, flags, count});
  auto kind = layers::Dense({.units = 3, .activation = "softmax", .name = "kind"})(all);
  auto size = layers::Dense({.units = 1, .name = "size"})(all);
  auto other = layers::Dense({.units = 1, .name = "other"})(all);
  Model model({image, ids, flags, count}, {kind, size, other});
  model.compile({.optimizer = optimizers::RMSprop({.learning_rate = 1e-3, .momentum = 0.5}),
                 .loss = {"sparse_categorical_crossentropy", "mse", "mae"},
                 .metrics = {{"kind", {"accuracy"}}, {"size", {"mae"}}},
                 .steps_per_execution = steps_per_execution});
  std::vector<std::uint8_t> pixels;
  for (const std::int64_t pixel : whole_numbers(kRows * 16, 256, 1))
    pixels.push_back(static_cast<std::uint8_t>(pixel));
  std::vector<bool> bits;
  for (const std::int64_t bit : whole_numbers(kRows * 2, 2, 2)) bits.push_back(bit != 0);
  return {model,
          {{"image", Tensor::from(pixels, {kRows, 4, 4, 1})},
           {"ids", Tensor::from(whole_numbers(kRows * 3, 7, 3), {kRows, 3})},
           {"flags", Tensor::from(bits, {kRows, 2})},
           {"count", Tensor::from(whole_numbers(kRows, 50, 4), {kRows, 1})}},
          {{"kind", Tensor::from(whole_numbers(kRows, 3, 5), {kRows})},
           {"size", uniform({kRows, 1}, 6)},
           {"other", uniform({kRows, 1}, 7)}}};
}

using MakeSample = std::function<Sample(int steps_per_execution)>;

// What a fit leaves: all state, all numbers of the history.
struct Outcome {
  State state;
  std::vector<std::vector<double>> history;
  bool operator==(const Outcome&) const = default;
};

inline Outcome outcome_of(const Model& model, const History& history) {
  Outcome outcome{state_of(model), {}};
  for (const std::string& name : history.names()) outcome.history.push_back(history[name]);
  return outcome;
}

inline Outcome trained(Device device, const MakeSample& make, int steps_per_execution,
                       const FitOptions& options) {
  const OnDevice here(device);
  Sample s = make(steps_per_execution);
  return outcome_of(s.model, s.model.fit(s.x, s.y, options));
}

inline Outcome fed_by_the_host(Device device, const MakeSample& make, const FitOptions& options) {
  const FedByTheHost feeding;
  return trained(device, make, 1, options);
}

inline FitOptions quiet(std::int64_t batch_size, int epochs) {
  return {.batch_size = batch_size, .epochs = epochs, .verbose = 0, .seed = 9};
}

}  // namespace braid::testing
