// A whole model whose products the device's library makes.
#include <braid/braid.hpp>
#include <vector>

#include "tests/support/catch.hpp"
#include "tests/support/on_device.hpp"
#include "tests/support/stand_in_library.hpp"

using namespace braid;
using namespace braid::testing;

TEST_CASE("large products: a model learns the same with it, in replayed steps and in plain ones") {
  const auto learned = [] {
    set_random_seed(5);
    auto in = Input({.shape = {10}, .name = "in"});
    auto hidden = layers::Dense({.units = 300, .activation = "relu"})(in);
    hidden = layers::Dense({.units = 290, .activation = "tanh"})(hidden);
    Model model({in},
                {layers::Dense({.units = 3, .activation = "softmax", .name = "kind"})(hidden)});
    model.compile({.optimizer = "adam", .loss = "sparse_categorical_crossentropy"});
    Random random(4);
    std::vector<float> numbers;
    std::vector<std::int32_t> kinds;
    for (int row = 0; row < 24; ++row) {
      for (int column = 0; column < 10; ++column)
        numbers.push_back(static_cast<float>(random.normal()));
      kinds.push_back(static_cast<std::int32_t>(random.below(3)));
    }
    const History history = model.fit({{"in", Tensor::from(numbers, {24, 10})}},
                                      {{"kind", Tensor::from(kinds, {24, 1})}},
                                      {.batch_size = 8, .epochs = 3, .verbose = 0});
    return history["loss"];
  };
  const auto on_the_host = learned();
  const OnDevice device(Device::emulated());
  const StandInLibrary library(8);
  if (!library.is_there()) return;
  const auto replayed = learned();
  // Two forward, three backward; in the first step and where the second is recorded.
  CHECK(library.controls().products == 10);
  const WithoutRecordings plain;
  CHECK(learned() == replayed);
  for (std::size_t epoch = 0; epoch < replayed.size(); ++epoch)
    CHECK(replayed[epoch] == Approx(on_the_host[epoch]).epsilon(1e-5));
}
