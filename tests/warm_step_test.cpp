// What a step asks of the heap once its program is planned.
#include <braid/braid.hpp>
#include <cstdint>
#include <vector>

#include "tests/support/catch.hpp"
#include "tests/support/heap_counter.hpp"

#if !defined(__SANITIZE_ADDRESS__)

using namespace braid;
using braid::testing::heap_requests;

namespace {

constexpr std::int64_t kDozen = 12;
constexpr std::int64_t kPerTensor = 4;  // what a returned tensor is stored in: values, shape, name

// Ragged ids, a masked LSTM, a concatenation, and two outputs: what allocates if anything does.
Model make_model() {
  auto words = Input({.shape = {None}, .name = "words", .dtype = DType::int32});
  auto numbers = Input({.shape = {10}, .name = "numbers"});
  auto h = layers::Embedding({.input_dim = 50, .output_dim = 8, .mask_zero = true})(words);
  h = layers::LSTM({.units = 8})(h);
  auto f = layers::Dense({.units = 16, .activation = "relu"})(numbers);
  auto merged = layers::concatenate({h, f});
  auto label = layers::Dense({.units = 1, .activation = "sigmoid", .name = "label"})(merged);
  auto kind = layers::Dense({.units = 3, .activation = "softmax", .name = "kind"})(merged);
  Model model({words, numbers}, {label, kind});
  model.compile({.optimizer = "adam",
                 .loss = {"binary_crossentropy", "categorical_crossentropy"},
                 .metrics = {"accuracy"}});
  return model;
}

struct Batch {
  explicit Batch(std::int64_t rows) {
    std::vector<std::int32_t> ids;
    std::vector<std::int64_t> splits{0};
    for (std::int64_t row = 0; row < rows; ++row) {
      for (std::int64_t step = 0; step < 1 + row % 7; ++step)
        ids.push_back(static_cast<std::int32_t>(1 + (row + step) % 49));
      splits.push_back(static_cast<std::int64_t>(ids.size()));
    }
    x = {{"words", Tensor::ragged(ids, splits)}, {"numbers", Tensor::zeros({rows, 10})}};
    y = {{"label", Tensor::zeros({rows, 1})}, {"kind", Tensor::zeros({rows, 3})}};
  }
  TensorDict x;
  TensorDict y;
};

template <class Step>
std::vector<std::int64_t> requests_of_warm_steps(const Step& step) {
  for (int i = 0; i < 5; ++i) step();
  std::vector<std::int64_t> requests;
  for (int i = 0; i < 20; ++i) {
    const std::int64_t before = heap_requests();
    step();
    requests.push_back(heap_requests() - before);
  }
  return requests;
}

}  // namespace

TEST_CASE("a warm training step asks the heap for a dozen things at most, however many its rows") {
  const std::int64_t rows = GENERATE(1, 32, 1000);
  CAPTURE(rows);
  Model model = make_model();
  const Batch batch(rows);
  for (const std::int64_t requests :
       requests_of_warm_steps([&] { model.train_on_batch(batch.x, batch.y); }))
    CHECK(requests <= kDozen);
}

TEST_CASE("a warm prediction asks the heap for its results and a dozen things at most") {
  const std::int64_t rows = GENERATE(1, 32, 1000);
  CAPTURE(rows);
  const Model model = make_model();
  const Batch batch(rows);
  for (const std::int64_t requests :
       requests_of_warm_steps([&] { model.predict_on_batch(batch.x); }))
    CHECK(requests <= kDozen + 2 * kPerTensor);
}

#endif
