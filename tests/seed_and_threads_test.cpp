// Where numbers come from: seeds, devices, threads.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <iostream>
#include <thread>

#include "engine/core/device_access.hpp"
#include "engine/core/environment.hpp"
#include "tests/support/sample_models.hpp"
#include "tests/support/scratch_folder.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

// With dropout, so that a fit depends on its seed in three ways.
Model dropping() {
  auto x = Input({.shape = {5}, .name = "x"});
  auto h = layers::Dropout(0.5)(layers::Dense({.units = 8, .activation = "relu"})(x));
  Model model({x}, {layers::Dense({.units = 1, .name = "y"})(h)});
  model.compile({.optimizer = "adam", .loss = "mse"});
  return model;
}

// Large enough for cores to share out the products of a single batch.
Sample with_large_layers() {
  set_random_seed(7);
  auto x = Input({.shape = {400}, .name = "x"});
  auto h = layers::Dense({.units = 350, .activation = "relu"})(x);
  Model model({x}, {layers::Dense({.units = 400, .name = "y"})(h)});
  model.compile({.optimizer = "adam", .loss = "mse"});
  return {model, {{"x", uniform({300, 400}, 3)}}, {{"y", uniform({300, 400}, 4)}}};
}

const TensorDict& data() {
  static const TensorDict x{{"x", uniform({40, 5}, 1)}};
  return x;
}
const TensorDict& targets() {
  static const TensorDict y{{"y", uniform({40, 1}, 2)}};
  return y;
}

State trained(Model model, FitOptions options) {
  options.verbose = 0;
  options.batch_size = 7;
  options.epochs = 2;
  model.fit(data(), targets(), options);
  return state_of(model);
}

// What a hidden test of this program prints behind `word`, run in a process with this environment.
// Of what it prints, on standard error too, the lines that begin like this.
std::string printed_by(const std::string& tag, const std::string& environment,
                       const std::string& beginning) {
  const std::string command =
      environment + " /proc/" + std::to_string(getpid()) + "/exe \"[" + tag + "]\" 2>&1";
  std::FILE* pipe = popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string text;
  std::array<char, 512> line{};
  while (std::fgets(line.data(), line.size(), pipe) != nullptr) {
    if (std::string(line.data()).starts_with(beginning)) text += line.data();
  }
  pclose(pipe);
  return text;
}
std::string printed_by(const std::string& tag, const std::string& environment) {
  return printed_by(tag, environment, tag + " ");
}

}  // namespace

TEST_CASE("set_random_seed decides initial weights, shuffles and dropout") {
  const auto from_seed = [](std::uint64_t seed) {
    set_random_seed(seed);
    return trained(dropping(), {});
  };
  const State first = from_seed(1);
  CHECK(from_seed(1) == first);
  CHECK_FALSE(from_seed(2) == first);
  set_random_seed(1);
  const Model a = dropping();
  const Model b = dropping();
  CHECK_FALSE(state_of(a) == state_of(b));
}

TEST_CASE("the seed of a fit decides its shuffles and dropout, whatever was drawn before") {
  const auto fit = [](FitOptions options) {
    set_random_seed(3);
    const Model model = dropping();
    set_random_seed(std::uint64_t{17} + options.seed.value_or(0) * (options.shuffle ? 1 : 2));
    return trained(model, options);
  };
  const State first = fit({.seed = 5});
  CHECK(fit({.seed = 5}) == first);
  CHECK_FALSE(fit({.seed = 6}) == first);
  CHECK_FALSE(fit({.shuffle = false, .seed = 5}) == first);
}

TEST_CASE("without shuffling rows are taken in their order") {
  Sample s = two_inputs(12);
  Sample twin = two_inputs(12);
  s.model.fit(s.x, s.y, {.batch_size = 5, .verbose = 0, .shuffle = false});
  for (const auto& [begin, end] : {std::pair(0, 5), {5, 10}, {10, 12}}) {
    TensorDict x;
    for (const auto& [name, tensor] : twin.x) x.set(name, tensor.slice(begin, end));
    twin.model.train_on_batch(x, {{"label", twin.y["label"].slice(begin, end)}});
  }
  CHECK(state_of(s.model) == state_of(twin.model));
}

TEST_CASE("dropout is for training alone") {
  const Model model = dropping();
  const auto once = model.predict(data())["y"].to_vector<float>();
  CHECK(model.predict(data())["y"].to_vector<float>() == once);
}

// Run by the test below, in processes of its own.
TEST_CASE("the device of a model, in words", "[.][device_in_words]") {
  std::cout << "device_in_words ";
  try {
    const Model model = dropping();
    model.predict(data());
    std::cout << to_string(default_device()) << std::endl;
  } catch (const DeviceError& error) {
    std::cout << "DeviceError: " << error.what() << std::endl;
  } catch (const NameError& error) {
    std::cout << "NameError: " << error.what() << std::endl;
  } catch (const RangeError& error) {
    std::cout << "RangeError: " << error.what() << std::endl;
  }
}

TEST_CASE("BRAID_DEVICE is the device of models, and one that is not there is an error") {
  const auto device = [](const std::string& wish) {
    return printed_by("device_in_words", "BRAID_DEVICE=" + wish);
  };
  CHECK(device("cpu") == "device_in_words cpu\n");
  CHECK_THAT(device("cuda:99"),
             ContainsSubstring("DeviceError: BRAID_DEVICE=cuda:99: device \"cuda:99\""));
  CHECK_THAT(device("gpu"),
             ContainsSubstring("NameError: BRAID_DEVICE=gpu: unknown device \"gpu\""));
  const Device before = default_device();
  set_default_device(Device::cpu());
  CHECK(default_device() == Device::cpu());
  set_default_device(before);
}

// Run by the test below, in processes of its own.
TEST_CASE("what becomes of a model file, in words", "[.][load_in_words]") {
  std::cout << "load_in_words ";
  try {
    Model::load(environment("BRAID_FILE_OF_A_TEST").value());
    std::cout << "loaded" << std::endl;
  } catch (const DeviceError& error) {
    std::cout << "DeviceError: " << error.what() << std::endl;
  } catch (const NameError& error) {
    std::cout << "NameError: " << error.what() << std::endl;
  } catch (const Error& error) {
    std::cout << "Error: " << error.what() << std::endl;
  }
}

TEST_CASE("a model file is not blamed for what the environment asks for") {
  const ScratchFolder folder;
  const std::string path = folder.file("model");
  dropping().save(path);
  const auto load = [&](const std::string& wish) {
    return printed_by("load_in_words", "BRAID_FILE_OF_A_TEST=" + path + " " + wish);
  };
  CHECK(load("BRAID_DEVICE=cpu") == "load_in_words loaded\n");
  CHECK_THAT(
      load("BRAID_DEVICE=gpu"),
      Catch::Matchers::StartsWith("load_in_words NameError: BRAID_DEVICE=gpu: unknown device"));
  CHECK_THAT(
      load("BRAID_DEVICE=cuda:99"),
      Catch::Matchers::StartsWith("load_in_words DeviceError: BRAID_DEVICE=cuda:99: device"));
  CHECK_THAT(
      load("BRAID_DEVICE=cpu BRAID_WARNINGS=none"),
      Catch::Matchers::StartsWith("load_in_words NameError: BRAID_WARNINGS=none: known are"));
}

TEST_CASE("a program that finds no GPU to use says so once, and why") {
  const auto said = [](const std::string& environment) {
    return printed_by("device_in_words", environment, "braid: ");
  };
  CHECK(said("BRAID_DEVICE=cpu").empty());
  CHECK(said("env -u BRAID_DEVICE BRAID_WARNINGS=off").empty());
  const std::string text = said("env -u BRAID_DEVICE");
  if (has_device_kind(Device::Kind::cuda) && device_count(Device::Kind::cuda) == 0) {
    CHECK_THAT(text, Catch::Matchers::StartsWith("braid: no GPU answers (cuda"));
    CHECK_THAT(text, Catch::Matchers::EndsWith("); computing on the CPU\n"));
    CHECK(std::count(text.begin(), text.end(), '\n') == 1);
  } else {
    CHECK(text.empty());
  }
}

TEST_CASE("whole fits and predictions, in words", "[.][fits_in_words]") {
  std::cout << "fits_in_words ";
  for (Sample s : {two_inputs(300), sequences(300, 9), two_outputs(300), with_large_layers()}) {
    s.model.fit(s.x, s.y, {.batch_size = 256, .epochs = 2, .verbose = 0, .seed = 1});
    std::uint64_t digest = 0xcbf29ce484222325U;
    for (const char byte : state_of(s.model).bytes + bytes_of(s.model.predict(s.x)))
      digest = (digest ^ static_cast<unsigned char>(byte)) * 0x100000001b3U;
    std::cout << digest << " ";
  }
  std::cout << std::endl;
}

TEST_CASE("one processor and several give the same bits") {
  const std::string one = printed_by("fits_in_words", "BRAID_THREADS=1");
  CHECK(one.size() > 20);
  CHECK(printed_by("fits_in_words", "BRAID_THREADS=2") == one);
  CHECK(printed_by("fits_in_words", "BRAID_THREADS=5") == one);
  CHECK(
      printed_by("device_in_words", "BRAID_THREADS=all") ==
      "device_in_words RangeError: BRAID_THREADS=all: a whole number from 1 to 1024 is expected\n");
}

TEST_CASE("two models train in two threads as they would alone") {
  const auto fit = [](Sample s) {
    s.model.fit(s.x, s.y, {.batch_size = 16, .epochs = 4, .verbose = 0, .seed = 1});
    return state_of(s.model);
  };
  const State alone_a = fit(two_inputs(100));
  const State alone_b = fit(sequences(100, 7));
  for (int round = 0; round < 3; ++round) {
    const Sample a = two_inputs(100);
    const Sample b = sequences(100, 7);
    State together_a;
    State together_b;
    std::thread first([&] { together_a = fit(a); });
    std::thread second([&] { together_b = fit(b); });
    first.join();
    second.join();
    CHECK(together_a == alone_a);
    CHECK(together_b == alone_b);
  }
}

TEST_CASE("predict is const, and several threads at once get what one gets") {
  const Sample s = sequences(64, 7);
  const Model& model = s.model;
  const std::string expected = bytes_of(model.predict(s.x, {.batch_size = 10}));
  std::array<std::string, 6> results;
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < results.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 10; ++round) {
        // Other shapes in between make other programs.
        TensorDict some;
        for (const auto& [name, tensor] : s.x)
          some.set(name, tensor.slice(0, 1 + static_cast<std::int64_t>(i)));
        model.predict_on_batch(some);
        results[i] = bytes_of(model.predict(s.x, {.batch_size = 10}));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& result : results) CHECK((result == expected));
}
