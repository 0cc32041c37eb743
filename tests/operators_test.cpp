// Operators on symbolic tensors and numbers: values, gradients, and models of them in files.
#include <functional>

#include "tests/support/on_device.hpp"
#include "tests/support/sample_models.hpp"
#include "tests/support/scratch_folder.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

struct Case {
  const char* name;
  std::function<SymbolicTensor(const SymbolicTensor&)> symbolic;
  std::function<double(double)> plain;
  std::function<double(double)> slope;
};

// The number on either side.
const std::vector<Case>& cases() {
  static const std::vector<Case> all{
      {"x + 3", [](const auto& x) { return x + 3.0; }, [](double x) { return x + 3; },
       [](double) { return 1.0; }},
      {"3 + x", [](const auto& x) { return 3.0 + x; }, [](double x) { return 3 + x; },
       [](double) { return 1.0; }},
      {"x - 3", [](const auto& x) { return x - 3.0; }, [](double x) { return x - 3; },
       [](double) { return 1.0; }},
      {"3 - x", [](const auto& x) { return 3.0 - x; }, [](double x) { return 3 - x; },
       [](double) { return -1.0; }},
      {"x * 3", [](const auto& x) { return x * 3.0; }, [](double x) { return x * 3; },
       [](double) { return 3.0; }},
      {"3 * x", [](const auto& x) { return 3.0 * x; }, [](double x) { return 3 * x; },
       [](double) { return 3.0; }},
      {"x / 3", [](const auto& x) { return x / 3.0; }, [](double x) { return x / 3; },
       [](double) { return 1.0 / 3; }},
      {"3 / x", [](const auto& x) { return 3.0 / x; }, [](double x) { return 3 / x; },
       [](double x) { return -3 / (x * x); }},
  };
  return all;
}

}  // namespace

TEST_CASE("operators: a number may stand on either side, and the gradient passes by it") {
  std::vector<Device> devices = gpus();
  devices.push_back(Device::cpu());
  const Device device = GENERATE_COPY(from_range(devices));
  const OnDevice here(device);
  constexpr double kWeight = 2;
  const std::vector<double> numbers{0.5, -0.25, 1.5};
  for (const Case& operation : cases()) {
    INFO(operation.name << " on " << to_string(device));
    const auto in = Input({.shape = {1}, .name = "in"});
    const auto scaled = layers::Dense({.units = 1, .use_bias = false, .name = "weight"})(in);
    Model model({{"in", in}}, {{"out", operation.symbolic(scaled)}});
    model.compile({.optimizer = optimizers::SGD({.learning_rate = 1}), .loss = "mse"});
    model.set_weights({{"weight/kernel", Tensor::from({kWeight}, {1, 1})}});
    const TensorDict x{{"in", Tensor::from(numbers, {3, 1})}};

    const ScratchFolder folder;
    model.save(folder.file("model"));
    const Model loaded = Model::load(folder.file("model"));
    const auto predicted = model.predict(x)["out"].to_vector<float>();
    CHECK(loaded.predict(x)["out"].to_vector<float>() == predicted);
    // Of the mean of squares, against targets of 0.
    double gradient = 0;
    for (std::size_t row = 0; row < numbers.size(); ++row) {
      const double value = kWeight * numbers[row];
      CHECK(near(static_cast<double>(predicted[row]), operation.plain(value)));
      gradient += 2 * operation.plain(value) * operation.slope(value) * numbers[row] / 3;
    }
    model.train_on_batch(x, {{"out", Tensor::zeros({3, 1})}});
    const auto weight = model.get_weights()["weight/kernel"].to_vector<float>();
    CHECK(near(static_cast<double>(weight[0]), kWeight - gradient, 1e-4));
  }
}

TEST_CASE("operators: a number divided by 0 is infinite, as everywhere") {
  const auto in = Input({.shape = {2}, .name = "in"});
  const Model model({{"in", in}}, {{"out", 1.0 / in}});
  const auto out = model.predict({{"in", Tensor::from({0.0F, -0.0F}, {1, 2})}})["out"];
  CHECK(out.to_vector<float>() == std::vector<float>{INFINITY, -INFINITY});
}
