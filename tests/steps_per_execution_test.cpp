// Several steps an execution: the numbers of single ones.
#include <memory>
#include <string>
#include <vector>

#include "tests/support/catch.hpp"
#include "tests/support/data_forms.hpp"

using namespace braid;
using namespace braid::testing;

TEST_CASE("steps per execution: the CPU learns the same with any number") {
  for (const MakeSample& make : {MakeSample(ragged), MakeSample(many_types)}) {
    const Outcome one = trained(Device::cpu(), make, 1, quiet(4, 3));
    for (const int steps : {2, 7, 100})
      CHECK(trained(Device::cpu(), make, steps, quiet(4, 3)) == one);
  }
}

TEST_CASE("steps per execution: callbacks read the running means once an execution") {
  const Device device = GENERATE(from_range(gpus()));
  INFO(to_string(device));
  class Watcher : public callbacks::Callback {
   public:
    void on_train_batch_end(std::int64_t batch, const Logs& logs) override {
      batches.push_back(batch);
      losses.push_back(logs["loss"]);
    }
    std::vector<std::int64_t> batches;
    std::vector<double> losses;
  };
  const auto watched = [](Device place, int steps) {
    const auto watcher = std::make_shared<Watcher>();
    FitOptions options = quiet(4, 1);
    options.callbacks = {watcher};
    trained(place, many_types, steps, options);
    return watcher;
  };
  const auto each = watched(device, 1);
  const auto third = watched(device, 3);
  REQUIRE(each->losses.size() == 11);
  CHECK(third->batches == std::vector<std::int64_t>{2, 5, 8, 10});
  CHECK(third->losses ==
        std::vector<double>{each->losses[2], each->losses[5], each->losses[8], each->losses[10]});
  CHECK(watched(Device::cpu(), 3)->batches == third->batches);
}

TEST_CASE("steps per execution: more columns and more sums than one launch takes") {
  const Device device = GENERATE(from_range(gpus()));
  INFO(to_string(device));
  const MakeSample many_outputs = [](int steps) {
    set_random_seed(4);
    auto in = Input({.shape = {3}, .name = "in"});
    std::vector<SymbolicTensor> outputs;
    TensorDict targets;
    for (int i = 0; i < 9; ++i) {
      const std::string name = "out" + std::to_string(i);
      outputs.push_back(layers::Dense({.units = 1, .name = name})(in));
      targets.set(name, uniform({kRows, 1}, static_cast<std::uint64_t>(i)));
    }
    Model model({in}, outputs);
    model.compile({.loss = "mse", .metrics = {"mae"}, .steps_per_execution = steps});
    return Sample{model, {{"in", uniform({kRows, 3}, 1)}}, targets};
  };
  const Outcome fed = fed_by_the_host(device, many_outputs, quiet(8, 2));
  CHECK(fed.history.size() == 1 + 9 + 9);
  CHECK(trained(device, many_outputs, 1, quiet(8, 2)) == fed);
  CHECK(trained(device, many_outputs, 4, quiet(8, 2)) == fed);
}
