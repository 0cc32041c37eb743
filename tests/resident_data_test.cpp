// Data sets that lie on the device: their steps have the bits of steps that the host feeds.
#include <functional>
#include <optional>

#include "tests/support/captured.hpp"
#include "tests/support/data_forms.hpp"
#include "tests/support/refusals.hpp"
#include "tests/support/traffic.hpp"

using namespace braid;
using namespace braid::testing;

TEST_CASE("resident data: a fit leaves the bits of one that the host feeds, however many steps") {
  const Device device = GENERATE(from_range(gpus()));
  INFO(to_string(device));
  for (const MakeSample& make : {MakeSample(ragged), MakeSample(many_types)}) {
    FitOptions options = quiet(4, 3);
    options.validation_split = 0.2;
    const Outcome fed = fed_by_the_host(device, make, options);
    for (const int steps : {1, 3, 100}) {
      CAPTURE(steps);
      CHECK(trained(device, make, steps, options) == fed);
      const WithoutRecordings plain;
      CHECK(trained(device, make, steps, options) == fed);
    }
  }
}

TEST_CASE("resident data: rows as they lie, weights of samples and of classes") {
  const Device device = GENERATE(from_range(gpus()));
  INFO(to_string(device));
  FitOptions options = quiet(8, 2);
  options.shuffle = false;
  CHECK(trained(device, ragged, 2, options) == fed_by_the_host(device, ragged, options));
  options.class_weight = {{0, 0.5}, {1, 2.0}};
  CHECK(trained(device, ragged, 2, options) == fed_by_the_host(device, ragged, options));
  options.class_weight = {};
  options.sample_weight = uniform({kRows}, 3);
  CHECK(trained(device, many_types, 4, options) == fed_by_the_host(device, many_types, options));
}

TEST_CASE("resident data: an epoch is launches alone, beside its start and its end") {
  const OnDevice here(Device::emulated());
  const auto traffic_of_epochs = [](int epochs, std::int64_t batch_size, int steps) {
    Sample s = many_types(steps);
    return traffic_of([&] { s.model.fit(s.x, s.y, quiet(batch_size, epochs)); });
  };
  for (const int steps : {1, 4}) {
    CAPTURE(steps);
    const auto three = traffic_of_epochs(3, 4, steps);
    const auto four = traffic_of_epochs(4, 4, steps);
    // The cursor, the seed, the rates; the sums on their way back. Not the order of the rows.
    CHECK(four.uploads == three.uploads);
    CHECK(four.started - three.started == 4);
    CHECK(four.waits - three.waits == 1);
    CHECK(four.downloads == three.downloads);
    // 43 rows: ten whole batches, and one of three rows.
    CHECK(four.replays - three.replays == (steps == 1 ? 11 : 4));
    const auto smaller = traffic_of_epochs(4, 2, steps);
    CHECK(smaller.uploads == four.uploads);
    CHECK(smaller.started == four.started);
    CHECK(smaller.waits == four.waits);
  }
}

TEST_CASE("resident data: logs of a batch are fetched when a callback reads them, once") {
  const OnDevice here(Device::emulated());
  struct Reader final : callbacks::Callback {
    explicit Reader(int every) : every_(every) {}
    void on_train_batch_end(std::int64_t batch, const Logs& logs) override {
      if (every_ == 0 || batch % every_ != 0) return;
      const Logs copy = logs;
      values.push_back(copy["loss"]);
      CHECK(logs["loss"] == values.back());
    }
    std::vector<double> values;

   private:
    int every_;
  };
  const auto fit = [](const std::shared_ptr<Reader>& reader) {
    Sample s = many_types(1);
    FitOptions options = quiet(4, 1);
    options.callbacks = {reader};
    return traffic_of([&] { s.model.fit(s.x, s.y, options); });
  };
  const auto never = std::make_shared<Reader>(0);
  const auto always = std::make_shared<Reader>(1);
  const auto at_times = std::make_shared<Reader>(5);
  const auto unread = fit(never);
  // 43 rows: eleven batches.
  CHECK(fit(always).waits == unread.waits + 11);
  CHECK(fit(at_times).waits == unread.waits + 3);
  CHECK(at_times->values ==
        std::vector<double>{always->values[0], always->values[5], always->values[10]});
}

TEST_CASE("resident data: a rate that changes within an epoch, by a schedule or by a callback") {
  const Device device = GENERATE(from_range(gpus()));
  INFO(to_string(device));
  const MakeSample scheduled = [](int steps) {
    Sample s = many_types();
    s.model.compile(
        {.optimizer = optimizers::Adam(
             {.learning_rate = schedules::ExponentialDecay(
                  {.initial_learning_rate = 0.01, .decay_steps = 3, .decay_rate = 0.5})}),
         .loss = {"sparse_categorical_crossentropy", "mse", "mae"},
         .steps_per_execution = steps});
    return s;
  };
  CHECK(trained(device, scheduled, 3, quiet(4, 2)) ==
        fed_by_the_host(device, scheduled, quiet(4, 2)));

  class Halver : public callbacks::Callback {
   public:
    void on_train_batch_end(std::int64_t batch, const Logs&) override {
      if (batch % 3 == 2) control->set_learning_rate(control->learning_rate() / 2);
    }
  };
  FitOptions options = quiet(4, 2);
  options.callbacks = {Halver()};
  CHECK(trained(device, many_types, 1, options) == fed_by_the_host(device, many_types, options));
  CHECK(trained(device, many_types, 3, options) == fed_by_the_host(device, many_types, options));
}

TEST_CASE("resident data: a callback may train on a batch of its own, or end the epoch") {
  const Device device = GENERATE(from_range(gpus()));
  INFO(to_string(device));
  const auto trained_beside = [&](bool feed) {
    const OnDevice here(device);
    std::optional<FedByTheHost> feeding;
    if (feed) feeding.emplace();
    Sample s = ragged();
    FitOptions options = quiet(4, 2);
    options.callbacks = {
        callbacks::LambdaCallback({.on_train_batch_end = [&](std::int64_t batch, const Logs&) {
          if (batch == 4) s.model.train_on_batch(s.x, s.y);
          if (batch == 5) s.model.evaluate(s.x, s.y);
        }})};
    return outcome_of(s.model, s.model.fit(s.x, s.y, options));
  };
  CHECK(trained_beside(false) == trained_beside(true));

  class Stopper : public callbacks::Callback {
   public:
    void on_train_batch_end(std::int64_t batch, const Logs&) override {
      if (batch == 5) control->stop_training();
    }
  };
  FitOptions options = quiet(4, 2);
  options.callbacks = {Stopper()};
  const Outcome stopped = trained(device, many_types, 3, options);
  CHECK(stopped == fed_by_the_host(device, many_types, options));
  CHECK(stopped.history.front().size() == 1);
}

TEST_CASE("resident data: whoever touches weights within an epoch waits for the steps before") {
  const OnDevice here(Device::emulated());
  const auto waits_of = [](const std::function<void(Sample&)>& touch) {
    Sample s = many_types();
    FitOptions options = quiet(4, 1);
    options.callbacks = {
        callbacks::LambdaCallback({.on_train_batch_end = [&](std::int64_t batch, const Logs&) {
          if (batch == 3) touch(s);
        }})};
    return traffic_of([&] { s.model.fit(s.x, s.y, options); }).waits;
  };
  const std::int64_t untouched = waits_of([](Sample&) {});
  CHECK(waits_of([](Sample& s) { s.model.get_weights(); }) == untouched + 1);
  CHECK(waits_of([](Sample& s) { s.model.optimizer_state(); }) == untouched + 1);
  // And for the results of two batches, and for the logs of one.
  CHECK(waits_of([](Sample& s) { s.model.predict(s.x); }) == untouched + 3);
  CHECK(waits_of([](Sample& s) { s.model.train_on_batch(s.x, s.y); }) == untouched + 2);
  const auto given = std::make_shared<TensorDict>();
  CHECK(waits_of([&](Sample& s) {
          if (given->empty()) *given = s.model.get_weights();
          s.model.set_weights(*given);
        }) == untouched + 1);
}

TEST_CASE("resident data: one fit after another, on other data, and training goes on from them") {
  const Device device = GENERATE(from_range(gpus()));
  INFO(to_string(device));
  const auto twice = [&](bool feed) {
    const OnDevice here(device);
    std::optional<FedByTheHost> feeding;
    if (feed) feeding.emplace();
    Sample s = many_types(2);
    s.model.fit(s.x, s.y, quiet(4, 3));
    TensorDict other;
    for (const auto& [name, tensor] : s.x) other.set(name, tensor.slice(3, 40).clone());
    TensorDict targets;
    for (const auto& [name, tensor] : s.y) targets.set(name, tensor.slice(0, 37).clone());
    FitOptions options = quiet(4, 5);
    options.initial_epoch = 3;
    const History history = s.model.fit(other, targets, options);
    s.model.train_on_batch(s.x, s.y);
    return outcome_of(s.model, history);
  };
  CHECK(twice(false) == twice(true));
}

TEST_CASE(
    "resident data: evaluate gives the numbers of one that the host feeds, and learns nothing") {
  const Device device = GENERATE(from_range(gpus()));
  INFO(to_string(device));
  for (const MakeSample& make : {MakeSample(ragged), MakeSample(many_types)}) {
    const auto evaluated = [&](bool feed, int steps) {
      const OnDevice here(device);
      std::optional<FedByTheHost> feeding;
      if (feed) feeding.emplace();
      Sample s = make(steps);
      const State before = state_of(s.model);
      const Logs logs = s.model.evaluate(s.x, s.y, {.batch_size = 4});
      CHECK(state_of(s.model) == before);
      return std::vector<Logs::Item>(logs.begin(), logs.end());
    };
    CHECK(evaluated(false, 1) == evaluated(true, 1));
    CHECK(evaluated(false, 4) == evaluated(true, 1));
  }
}

TEST_CASE("resident data: BRAID_DUMP=data says whether they are") {
  const Device device = GENERATE(from_range(gpus()));
  INFO(to_string(device));
  const Environment wish("BRAID_DUMP", "data");
  Captured captured(STDERR_FILENO);
  trained(device, many_types, 1, quiet(8, 1));
  fed_by_the_host(device, many_types, quiet(8, 1));
  const std::string text = captured.text();
  CHECK_THAT(text, ContainsSubstring("resident on " + to_string(device)));
  CHECK_THAT(text, ContainsSubstring("fed by the host"));

  Captured streaming(STDERR_FILENO);
  {
    const Streamed streamed(1);
    trained(device, many_types, 1, quiet(8, 1));
  }
  CHECK_THAT(streaming.text(), ContainsSubstring("streamed to " + to_string(device)));
}

TEST_CASE("resident data: rates take memory once a step, and none where nothing is learnt") {
  const Device device = GENERATE(from_range(gpus()));
  INFO(to_string(device));
  const Environment wish("BRAID_DUMP", "data");
  const OnDevice here(device);
  Sample s = many_types();
  const auto told = [](const auto& run) {
    Captured captured(STDERR_FILENO);
    run();
    return captured.text();
  };
  // Of each row the place in the order, 16 bytes of pixels, three ids, two flags, a count, a class
  // and two numbers.
  const std::int64_t rows = kRows * (8 + 16 + 3 * 8 + 2 + 8 + 8 + 2 * 4);
  const auto in_words = [](std::int64_t bytes) {
    return std::string("data\n  ") + std::to_string(bytes) + " bytes of columns, order and rates";
  };
  for (const std::int64_t batch_size : {1, 8, 100}) {
    const std::int64_t steps = (kRows + batch_size - 1) / batch_size;
    CHECK_THAT(told([&] { s.model.fit(s.x, s.y, quiet(batch_size, 1)); }),
               ContainsSubstring(in_words(rows + 8 * steps)));
  }
  CHECK_THAT(told([&] { s.model.evaluate(s.x, s.y, {.batch_size = 8}); }),
             ContainsSubstring(in_words(rows)));
}

TEST_CASE(
    "resident data: with less and less memory a fit is fed by the host, then refused, and "
    "nothing is lost") {
  const OnDevice here(Device::emulated());
  // Streamed data take less, but not nothing.
  std::optional<Streamed> streaming;
  if (GENERATE(false, true)) streaming.emplace(1);
  const FitOptions options = quiet(8, 2);
  const Outcome expected = trained(Device::emulated(), many_types, 2, options);
  // Where the data fit by what the device says, and where it says too much.
  for (const bool boasts : {false, true}) {
    int fitted = 0;
    int refused = 0;
    for (std::size_t bytes = 1; bytes < 40000; bytes += 1500) {
      Sample s = many_types(2);
      const State before = state_of(s.model);
      std::optional<MemoryLeft> left(bytes);
      if (boasts) simt::pretend_free_memory(1U << 30U);
      try {
        const Outcome outcome = outcome_of(s.model, s.model.fit(s.x, s.y, options));
        CHECK(outcome == expected);
        ++fitted;
      } catch (const OutOfMemory&) {
        ++refused;
        left.reset();
        CHECK(state_of(s.model) == before);
        CHECK(outcome_of(s.model, s.model.fit(s.x, s.y, options)) == expected);
      }
      simt::pretend_free_memory(0);
    }
    CAPTURE(boasts, fitted, refused);
    CHECK(fitted > 2);
    CHECK(refused > 2);
  }
}

TEST_CASE("resident data: bad values in tensors on the device are refused by name and place") {
  const Device device = GENERATE(from_range(gpus()));
  INFO(to_string(device));
  const OnDevice here(device);
  Sample s = many_types(2);
  const State before = state_of(s.model);
  TensorDict there;
  for (const auto& [name, tensor] : s.x) there.set(name, tensor.to(device));
  TensorDict targets;
  for (const auto& [name, tensor] : s.y) targets.set(name, tensor.to(device));

  TensorDict bad = there;
  Tensor ids = s.x["ids"].clone();
  ids.data<std::int64_t>()[3 * 20 + 1] = 7;
  bad.set("ids", ids.to(device));
  check_refused<RangeError>([&] { s.model.fit(bad, targets, quiet(4, 1)); },
                            {"model.fit", "\"ids\"", "row 20, column 1", "7", "0 .. 6"});

  TensorDict bad_targets = targets;
  Tensor kinds = s.y["kind"].clone();
  kinds.data<std::int64_t>()[42] = -1;
  bad_targets.set("kind", kinds.to(device));
  check_refused<RangeError>([&] { s.model.fit(there, bad_targets, quiet(4, 1)); },
                            {"model.fit", "\"kind\"", "row 42", "-1", "0 .. 2"});

  Tensor sizes = s.y["size"].clone();
  sizes.data<float>()[7] = std::nanf("");
  bad_targets.set("kind", targets["kind"]);
  bad_targets.set("size", sizes.to(device));
  check_refused<NumericError>([&] { s.model.fit(there, bad_targets, quiet(4, 1)); },
                              {"model.fit", "\"size\"", "row 7", "NaN"});
  CHECK(state_of(s.model) == before);

  const Outcome from_the_device = outcome_of(s.model, s.model.fit(there, targets, quiet(4, 2)));
  CHECK(from_the_device == trained(device, many_types, 2, quiet(4, 2)));
}
