// Shapes at the ends of what users have: a device learns from them what the CPU does.
// device_limits_test.cpp looks at the launches of larger ones, which nothing carries out.
#include <braid/braid.hpp>
#include <cmath>

#include "tests/support/catch.hpp"
#include "tests/support/on_device.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

struct Size {
  std::int64_t rows;
  std::int64_t steps;
  std::int64_t units;
  bool on_gpus_alone = false;  // the emulated device would take minutes
};

constexpr Size kSizes[] = {
    {1, 1, 1},           {2, 10000, 1}, {1, 10000, 64, true}, {3, 10000, 128, true},
    {2, 7, 63},          {2, 7, 64},    {2, 7, 65},           {3, 2, 1024, true},
    {65, 3, 1024, true}, {20011, 1, 3}, {5003, 2, 64, true},  {1000003, 1, 1, true}};

// All weights after two steps of a masked LSTM and a Dense layer.
std::vector<float> learnt(const Size& size, Device device) {
  const OnDevice here(device);
  set_random_seed(7);
  Random random(2);
  std::vector<float> values;
  std::vector<float> targets;
  for (std::int64_t row = 0; row < size.rows; ++row) {
    // Every third step is masked.
    for (std::int64_t step = 0; step < size.steps; ++step) {
      for (int feature = 0; feature < 2; ++feature)
        values.push_back(step % 3 == 2 ? 0.0F : static_cast<float>(random.normal()));
    }
    targets.push_back(static_cast<float>(random.normal()));
  }
  const TensorDict x{{"x", Tensor::from(values, {size.rows, size.steps, 2})}};
  const TensorDict y{{"y", Tensor::from(targets, {size.rows, 1})}};
  auto in = Input({.shape = {size.steps, 2}, .name = "x"});
  auto h = layers::LSTM({.units = size.units})(layers::Masking()(in));
  Model model(in, layers::Dense({.units = 1, .name = "y"})(h));
  model.compile({.optimizer = optimizers::SGD({.learning_rate = 0.05}), .loss = "mse"});
  for (int step = 0; step < 2; ++step) model.train_on_batch(x, y);
  std::vector<float> all;
  for (const auto& [name, weight] : model.get_weights()) {
    const std::vector<float> numbers = weight.to_vector<float>();
    all.insert(all.end(), numbers.begin(), numbers.end());
  }
  return all;
}

}  // namespace

TEST_CASE("device sizes: one row and a million, one step and ten thousand, one unit and 1024") {
  for (const Device device : gpus()) {
    for (const Size& size : kSizes) {
      if (size.on_gpus_alone && device == Device::emulated()) continue;
      INFO(to_string(device) << ": " << size.rows << " rows, " << size.steps << " steps, "
                             << size.units << " units");
      const std::vector<float> got = learnt(size, device);
      const std::vector<float> expected = learnt(size, Device::cpu());
      REQUIRE(got.size() == expected.size());
      float furthest = 0;
      for (std::size_t i = 0; i < got.size(); ++i) {
        const float distance = std::fabs(got[i] - expected[i]);
        if (!(distance <= furthest)) furthest = distance;  // also what is no number
      }
      CHECK(furthest < 2e-5F);
    }
  }
}
