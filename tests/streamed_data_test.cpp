// Data sets that stay on the host and are sent window by window, ahead of the steps: these have the
// bits of steps that the host feeds one by one, and do not wait.
#include <optional>
#include <stdexcept>

#include "engine/core/error.hpp"
#include "tests/support/data_forms.hpp"
#include "tests/support/traffic.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

Outcome streamed(Device device, const MakeSample& make, int steps_per_execution,
                 const FitOptions& options, std::int64_t window_bytes) {
  const Streamed streaming(window_bytes);
  return trained(device, make, steps_per_execution, options);
}

// One batch, some, and all of them.
constexpr std::int64_t kWindows[] = {1, 2000, 1 << 20};

}  // namespace

TEST_CASE("streamed data: a fit leaves the bits of one that the host feeds, whatever the windows") {
  const Device device = GENERATE(from_range(gpus()));
  INFO(to_string(device));
  for (const MakeSample& make : {MakeSample(ragged), MakeSample(many_types)}) {
    // With a last batch that is not whole, with whole ones alone, and with all rows in one.
    for (const auto& [batch_size, split] : {std::pair{4, 0.2}, {43, 0.0}, {100, 0.0}}) {
      FitOptions options = quiet(batch_size, 3);
      options.validation_split = split;
      const Outcome fed = fed_by_the_host(device, make, options);
      for (const std::int64_t window : kWindows) {
        for (const int steps : {1, 3, 100}) {
          CAPTURE(batch_size, window, steps);
          CHECK(streamed(device, make, steps, options, window) == fed);
        }
      }
      const WithoutRecordings plain;
      CHECK(streamed(device, make, 3, options, 1) == fed);
    }
  }
}

TEST_CASE("streamed data: rows as they lie, and weights of samples and classes") {
  const Device device = GENERATE(from_range(gpus()));
  INFO(to_string(device));
  FitOptions options = quiet(8, 3);
  options.shuffle = false;
  CHECK(streamed(device, ragged, 2, options, 1) == fed_by_the_host(device, ragged, options));
  options.class_weight = {{0, 0.5}, {1, 2.0}};
  CHECK(streamed(device, ragged, 1, options, 1) == fed_by_the_host(device, ragged, options));
  options.class_weight = {};
  options.sample_weight = uniform({kRows}, 3);
  CHECK(streamed(device, many_types, 4, options, 1) ==
        fed_by_the_host(device, many_types, options));
}

TEST_CASE("streamed data: nothing is sent of rows that are all empty") {
  const Device device = GENERATE(from_range(gpus()));
  INFO(to_string(device));
  const MakeSample wordless = [](int /*steps_per_execution*/) {
    Sample sample = sequences(5);
    sample.x.set("sequence", Tensor::ragged(std::vector<std::int32_t>{}, {0, 0, 0, 0, 0, 0}));
    return sample;
  };
  for (const std::int64_t batch_size : {1, 2})
    CHECK(streamed(device, wordless, 1, quiet(batch_size, 3), 1) ==
          fed_by_the_host(device, wordless, quiet(batch_size, 3)));
}

TEST_CASE("streamed data: many rows are gathered by all cores") {
  const Device device = GENERATE(from_range(gpus()));
  INFO(to_string(device));
  const MakeSample make = [](int steps) {
    set_random_seed(3);
    auto text = Input({.shape = {None, 8}, .name = "text"});
    auto pixels = Input({.shape = {700}, .name = "pixels"});
    auto h = layers::concatenate({layers::GlobalAveragePooling1D()(text), pixels});
    Model model({text, pixels}, {layers::Dense({.units = 1})(h)});
    model.compile({.optimizer = "adam", .loss = "mse", .steps_per_execution = steps});
    constexpr std::int64_t kMany = 700;
    std::vector<std::int64_t> splits{0};
    for (std::int64_t row = 0; row < kMany; ++row) splits.push_back(splits.back() + 1 + row % 17);
    return Sample{model,
                  {{"text", Tensor::ragged(uniform({splits.back(), 8}, 1), splits)},
                   {"pixels", uniform({kMany, 700}, 2)}},
                  {{model.output_names().front(), uniform({kMany, 1}, 3)}}};
  };
  const FitOptions options = quiet(300, 2);
  CHECK(streamed(device, make, 1, options, 1) == fed_by_the_host(device, make, options));
}

TEST_CASE("streamed data: no step waits, nor does an epoch but for its sums") {
  const OnDevice here(Device::emulated());
  const auto traffic_of_epochs = [](int epochs, std::int64_t batch_size, int steps) {
    const Streamed streaming(1);
    Sample s = many_types(steps);
    return traffic_of([&] { s.model.fit(s.x, s.y, quiet(batch_size, epochs)); });
  };
  for (const int steps : {1, 4}) {
    CAPTURE(steps);
    const auto three = traffic_of_epochs(3, 4, steps);
    const auto four = traffic_of_epochs(4, 4, steps);
    // 43 rows: eleven batches, each a window of seven columns.
    CHECK(four.started - three.started == 11 * 7 + 4);
    CHECK(four.replays - three.replays == 11);
    CHECK(four.waits - three.waits == 1);
    CHECK(four.uploads == three.uploads);
    CHECK(four.downloads == three.downloads);
    const auto smaller = traffic_of_epochs(4, 2, steps);
    CHECK(smaller.waits == four.waits);
    CHECK(smaller.uploads == four.uploads);
  }
}

TEST_CASE("streamed data: the next window is on its way before a callback sees the step") {
  const OnDevice here(Device::emulated());
  const Streamed streaming(1);
  struct Listener final : callbacks::Callback {
    void on_train_batch_begin(std::int64_t) override { note(); }
    void on_train_batch_end(std::int64_t, const Logs&) override { note(); }
    void note() { started.push_back(simt::emulated_traffic().started); }
    std::vector<std::int64_t> started;
  };
  const auto listener = std::make_shared<Listener>();
  const std::vector<std::int64_t>& started = listener->started;
  Sample s = many_types();
  FitOptions options = quiet(4, 2);
  options.callbacks = {listener};
  s.model.fit(s.x, s.y, options);
  // At the beginning of all the first two; then one a step; none more behind the last step.
  for (std::size_t batch = 0; batch < 22; ++batch) {
    CAPTURE(batch);
    const std::int64_t copies = started[2 * batch + 1] - started[2 * batch];
    CHECK(copies == (batch == 0 ? 2 * 7 : batch % 11 == 10 ? 0 : 7));
  }
}

TEST_CASE("streamed data: callbacks read logs, train beside, set the rate, end the epoch") {
  const Device device = GENERATE(from_range(gpus()));
  INFO(to_string(device));
  const auto watched = [&](bool feed, std::int64_t last) {
    const OnDevice here(device);
    std::optional<FedByTheHost> feeding;
    std::optional<Streamed> streaming;
    feed ? static_cast<void>(feeding.emplace()) : static_cast<void>(streaming.emplace(1));
    Sample s = ragged();
    std::vector<double> losses;
    struct Watcher final : callbacks::Callback {
      Watcher(Sample& sample, std::vector<double>& seen, std::int64_t end)
          : s(sample), losses(seen), last(end) {}
      void on_train_batch_end(std::int64_t batch, const Logs& logs) override {
        if (batch % 2 == 1) losses.push_back(logs["loss"]);
        if (batch == 2) control->set_learning_rate(control->learning_rate() / 2);
        if (batch == 4) s.model.train_on_batch(s.x, s.y);
        if (batch == 5) losses.push_back(s.model.evaluate(s.x, s.y)["loss"]);
        if (batch == last) control->stop_training();
      }
      Sample& s;
      std::vector<double>& losses;
      std::int64_t last;
    };
    FitOptions options = quiet(4, 3);
    options.callbacks = {std::make_shared<Watcher>(s, losses, last)};
    options.validation_split = 0.3;
    const Outcome outcome = outcome_of(s.model, s.model.fit(s.x, s.y, options));
    return std::pair{outcome, losses};
  };
  for (const std::int64_t last : {3, 100}) {
    CAPTURE(last);
    CHECK(watched(false, last) == watched(true, last));
  }
}

TEST_CASE("streamed data: an exception of a callback leaves the steps so far, and fits go on") {
  const Device device = GENERATE(from_range(gpus()));
  INFO(to_string(device));
  const auto interrupted = [&](bool feed) {
    const OnDevice here(device);
    std::optional<FedByTheHost> feeding;
    std::optional<Streamed> streaming;
    feed ? static_cast<void>(feeding.emplace()) : static_cast<void>(streaming.emplace(1));
    Sample s = many_types();
    FitOptions options = quiet(4, 2);
    options.callbacks = {
        callbacks::LambdaCallback({.on_train_batch_end = [](std::int64_t batch, const Logs&) {
          if (batch == 5) throw std::runtime_error("on purpose");
        }})};
    CHECK_THROWS_WITH(s.model.fit(s.x, s.y, options), "on purpose");
    const State between = state_of(s.model);
    options.callbacks = {};
    return std::pair{between, outcome_of(s.model, s.model.fit(s.x, s.y, options))};
  };
  CHECK(interrupted(false) == interrupted(true));
}

TEST_CASE("streamed data: evaluate gives the numbers of one that the host feeds") {
  const Device device = GENERATE(from_range(gpus()));
  INFO(to_string(device));
  for (const MakeSample& make : {MakeSample(ragged), MakeSample(many_types)}) {
    const auto evaluated = [&](bool feed) {
      const OnDevice here(device);
      std::optional<FedByTheHost> feeding;
      std::optional<Streamed> streaming;
      feed ? static_cast<void>(feeding.emplace()) : static_cast<void>(streaming.emplace(1));
      Sample s = make(1);
      const Logs logs = s.model.evaluate(s.x, s.y, {.batch_size = 4});
      return std::vector<Logs::Item>(logs.begin(), logs.end());
    };
    CHECK(evaluated(false) == evaluated(true));
  }
}

TEST_CASE("streamed data: a device that breaks within an epoch ends the fit with its error") {
  const OnDevice here(Device::emulated());
  const Streamed streaming(1);
  for (const std::int64_t launches : {0, 20, 120}) {
    CAPTURE(launches);
    Sample s = many_types();
    simt::break_after_launches(launches);
    CHECK_THROWS_AS(s.model.fit(s.x, s.y, quiet(4, 12)), DeviceError);
    simt::mend_device();
  }
}
