// What befalls a program on a device: too little memory, a kernel that fails. The error is typed,
// what was learnt is still there, and the next step goes on.
#include <braid/braid.hpp>
#include <cstring>
#include <functional>

#include "kernels/simt/emulated_faults.hpp"
#include "tests/support/scratch_folder.hpp"

namespace braid {
namespace {

// Ends the limits and faults of a test, whatever becomes of it.
class OnEmulatedDevice {
 public:
  OnEmulatedDevice() : before_(default_device()) { set_default_device(Device::emulated()); }
  ~OnEmulatedDevice() {
    simt::limit_device_memory(0);
    simt::fail_after_launches(-1);
    set_default_device(before_);
  }
  OnEmulatedDevice(const OnEmulatedDevice&) = delete;
  OnEmulatedDevice& operator=(const OnEmulatedDevice&) = delete;

 private:
  Device before_;
};

Model classifier() {
  set_random_seed(3);
  auto in = Input({.shape = {6}, .name = "in"});
  auto hidden = layers::Dense({.units = 8, .activation = "relu"})(in);
  Model model({in}, {layers::Dense({.units = 3, .activation = "softmax", .name = "kind"})(hidden)});
  model.compile(
      {.optimizer = "adam", .loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"}});
  return model;
}

struct Data {
  TensorDict x;
  TensorDict y;
};
Data random_data(std::int64_t rows) {
  Random random(4);
  std::vector<float> in;
  std::vector<std::int32_t> kinds;
  for (std::int64_t row = 0; row < rows; ++row) {
    for (int column = 0; column < 6; ++column) in.push_back(static_cast<float>(random.normal()));
    kinds.push_back(static_cast<std::int32_t>(random.below(3)));
  }
  return {{{"in", Tensor::from(in, {rows, 6})}}, {{"kind", Tensor::from(kinds, {rows, 1})}}};
}

bool same_bits(const TensorDict& a, const TensorDict& b) {
  for (const auto& [name, tensor] : a) {
    const Tensor& other = b.at(name);
    if (tensor.bytes() != other.bytes() ||
        std::memcmp(tensor.raw(), other.raw(), tensor.bytes()) != 0)
      return false;
  }
  return a.names() == b.names();
}

// Bits of everything that training changes.
struct State {
  TensorDict weights;
  TensorDict optimizer;
  explicit State(Model& model) : weights(model.get_weights()), optimizer(model.optimizer_state()) {}
  bool operator==(const State& other) const {
    return same_bits(weights, other.weights) && same_bits(optimizer, other.optimizer);
  }
};

}  // namespace

TEST_CASE("device faults: a tensor that does not fit the device is refused with both sizes") {
  const OnEmulatedDevice here;
  const Tensor big = Tensor::zeros({1000, 1000});
  simt::limit_device_memory(1000000);
  CHECK_THROWS_AS(big.to(Device::emulated()), OutOfMemory);
  CHECK_THROWS_WITH(big.to(Device::emulated()), ContainsSubstring("4000000 bytes") &&
                                                    ContainsSubstring("\"emulated\"") &&
                                                    ContainsSubstring("are free"));
  simt::limit_device_memory(0);
  CHECK_NOTHROW(big.to(Device::emulated()));
}

TEST_CASE(
    "device faults: weights that do not fit the device are named, and fit when there is room") {
  const OnEmulatedDevice here;
  simt::limit_device_memory(simt::used_device_memory() + 1000);
  CHECK_THROWS_WITH(classifier(), ContainsSubstring("the weights"));
  simt::limit_device_memory(0);
  Model model = classifier();
  const Data data = random_data(8);
  simt::limit_device_memory(simt::used_device_memory() + 100);
  CHECK_THROWS_AS(model.train_on_batch(data.x, data.y), OutOfMemory);
  simt::limit_device_memory(0);
  CHECK_NOTHROW(model.train_on_batch(data.x, data.y));
}

TEST_CASE("device faults: a model file is not blamed for a device that has no room for its model") {
  const OnEmulatedDevice here;
  const testing::ScratchFolder folder;
  const std::string path = folder.file("model");
  Model saved = classifier();
  saved.save(path);
  simt::limit_device_memory(simt::used_device_memory() + 100);
  CHECK_THROWS_AS(Model::load(path), OutOfMemory);
  CHECK_THROWS_WITH(Model::load(path), Catch::Matchers::StartsWith("the weights of "));
  simt::limit_device_memory(0);
  Model loaded = Model::load(path);
  CHECK(State(loaded) == State(saved));
}

TEST_CASE("device faults: whoever finds no memory is told what was called") {
  const OnEmulatedDevice here;
  Model model = classifier();
  const Data data = random_data(5000);
  const FitOptions in_one{.batch_size = 5000, .verbose = 0};
  const std::vector<std::pair<std::string, std::function<void()>>> calls{
      {"model.train_on_batch", [&] { model.train_on_batch(data.x, data.y); }},
      {"model.test_on_batch", [&] { model.test_on_batch(data.x, data.y); }},
      {"model.predict_on_batch", [&] { model.predict_on_batch(data.x); }},
      {"model.predict", [&] { model.predict(data.x, {.batch_size = 5000}); }},
      {"model.evaluate", [&] { model.evaluate(data.x, data.y, {.batch_size = 2500}); }},
      {"model.fit", [&] { model.fit(data.x, data.y, in_one); }},
  };
  const State before(model);
  simt::limit_device_memory(simt::used_device_memory() + 10000);
  for (const auto& [name, call] : calls) {
    CHECK_THROWS_AS(call(), OutOfMemory);
    CHECK_THROWS_WITH(call(), Catch::Matchers::StartsWith(name + ": a batch of ") &&
                                  ContainsSubstring(" rows asks for ") &&
                                  ContainsSubstring(" bytes on device \"emulated\"") &&
                                  ContainsSubstring(" bytes are free. The largest parts: ") &&
                                  ContainsSubstring("input \"in\" "));
  }
  simt::limit_device_memory(simt::used_device_memory() + 10);
  CHECK_THROWS_WITH(model.compile({.optimizer = "adam", .loss = "sparse_categorical_crossentropy"}),
                    Catch::Matchers::StartsWith("compile: the state of the optimizer of "));
  simt::limit_device_memory(0);
  CHECK(State(model) == before);
}

TEST_CASE("device faults: a batch that does not fit the device leaves the model as it was") {
  const OnEmulatedDevice here;
  Model model = classifier();
  Model undisturbed = classifier();
  const Data few = random_data(8);
  const Data many = random_data(5000);
  model.train_on_batch(few.x, few.y);
  undisturbed.train_on_batch(few.x, few.y);
  const State before(model);
  simt::limit_device_memory(60000);
  CHECK_THROWS_AS(model.train_on_batch(many.x, many.y), OutOfMemory);
  CHECK_THROWS_WITH(model.train_on_batch(many.x, many.y),
                    ContainsSubstring("5000 rows") && ContainsSubstring("bytes are free"));
  CHECK(State(model) == before);
  // The same model goes on with what fits.
  model.train_on_batch(few.x, few.y);
  simt::limit_device_memory(0);
  undisturbed.train_on_batch(few.x, few.y);
  CHECK(State(model) == State(undisturbed));
}

TEST_CASE("device faults: a kernel that fails is named, and weights stay whole") {
  const OnEmulatedDevice here;
  const Data data = random_data(16);
  // Plain launches, recordings being made, and replays.
  for (const int steps_before : {0, 1, 2}) {
    for (std::int64_t launch = 0;; ++launch) {
      INFO("after " << steps_before << " steps and " << launch << " launches");
      Model model = classifier();
      for (int step = 0; step < steps_before; ++step) model.train_on_batch(data.x, data.y);
      const State before(model);
      simt::fail_after_launches(launch);
      std::string failure;
      try {
        model.train_on_batch(data.x, data.y);
      } catch (const DeviceError& error) {
        failure = error.what();
      }
      simt::fail_after_launches(-1);
      if (failure.empty()) {
        CHECK(launch == 2);  // of the step, all have failed once
        break;
      }
      CHECK_THAT(failure, ContainsSubstring("kernel ") && ContainsSubstring("a fault on purpose"));
      // Before the first update nothing has changed.
      if (failure.find("adam") == std::string::npos) CHECK(State(model) == before);
      // The device is there for the next step.
      CHECK_NOTHROW(model.train_on_batch(data.x, data.y));
      for (const auto& [name, tensor] : model.get_weights()) {
        for (const float value : tensor.to_vector<float>()) CHECK(std::isfinite(value));
      }
    }
  }
}

TEST_CASE("device faults: a kernel that fails within a fit ends it, and the next fit goes on") {
  const OnEmulatedDevice here;
  const Data data = random_data(50);
  // Plain launches, recordings being made, and replays, of one step and of three at a time.
  for (const int steps : {1, 3}) {
    for (const std::int64_t launch : {0, 3, 20, 100, 200, 330}) {
      INFO(steps << " steps an execution, after " << launch << " launches");
      Model model = classifier();
      model.compile({.optimizer = "adam",
                     .loss = "sparse_categorical_crossentropy",
                     .steps_per_execution = steps});
      const FitOptions options{.batch_size = 8, .epochs = 24, .verbose = 0, .seed = 2};
      simt::fail_after_launches(launch);
      CHECK_THROWS_AS(model.fit(data.x, data.y, options), DeviceError);
      simt::fail_after_launches(-1);
      // Whole executions are counted.
      const auto done = model.optimizer_state()["iteration"].to_vector<std::int64_t>()[0];
      CHECK(done % 7 % steps == 0);
      const History history = model.fit(data.x, data.y, options);
      CHECK(history["loss"].back() < history["loss"].front());
    }
  }
}

}  // namespace braid
