// Layers of several models: their weights lie on one device.
#include <braid/braid.hpp>

#include "tests/support/catch.hpp"
#include "tests/support/on_device.hpp"

namespace braid {
namespace {

std::vector<float> answers(const Model& model) {
  const Tensor x = Tensor::from({1.0F, -2.0F, 0.5F, 3.0F, 1.0F, 0.0F}, {2, 3});
  return model.predict_on_batch({{"in", x}}).begin()->second.to_vector<float>();
}

TEST_CASE(
    "device shared weights: a model on another device is refused, and the first one is as before") {
  const auto hidden = layers::Dense({.units = 4, .activation = "relu", .name = "hidden"});
  const auto features = Input({.shape = {3}, .name = "in"});
  const auto on_top = hidden(features);
  const testing::OnDevice emulated(Device::emulated());
  const Model first({features}, {layers::Dense({.units = 1})(on_top)});
  const std::vector<float> before = answers(first);
  {
    const testing::OnDevice cpu(Device::cpu());
    const auto second = [&] { return Model({features}, {on_top}); };
    CHECK_THROWS_AS(second(), DeviceError);
    CHECK_THROWS_WITH(second(),
                      ContainsSubstring("the weight \"hidden/kernel\" belongs to a model on device "
                                        "\"emulated\"; a model on \"cpu\" cannot share it"));
  }
  CHECK(answers(first) == before);
  // On the same device they share them.
  Model second({features}, {on_top});
  second.set_weights(
      {{"hidden/kernel", Tensor::zeros({3, 4})}, {"hidden/bias", Tensor::zeros({4})}});
  CHECK(answers(first) != before);
}

}  // namespace
}  // namespace braid
