// What a fit shows while it runs: a bar on a terminal, plain lines elsewhere.
#include "engine/train/progress.hpp"

#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "kernels/simt/emulated_traffic.hpp"
#include "tests/support/data_forms.hpp"
#include "tests/support/terminal.hpp"

namespace {

using namespace braid;
using namespace braid::testing;

Logs many_logs() {
  Logs logs;
  for (const char* name : {"department_accuracy", "department_loss", "loss", "rating_accuracy"})
    logs.set(name, 0.5);
  return logs;
}

}  // namespace

TEST_CASE("a progress line on a terminal never wraps, and the last one is whole") {
  Terminal terminal(40);
  Progress progress(1, 10);
  progress.begin("");
  progress.show(3, many_logs());
  progress.end(many_logs());
  const std::string shown = terminal.shown();
  const auto last = shown.rfind('\r', shown.find("10/10"));
  REQUIRE(last != std::string::npos);
  const std::string during = shown.substr(0, last);
  CHECK(during.rfind("\r3/10 [======", 0) == 0);
  CHECK(during.size() == 40);  // the carriage return and 39 columns
  CHECK_THAT(shown.substr(last), ContainsSubstring("rating_accuracy: 0.5000"));
}

namespace {

// Makes the progress line due at every step.
class Sleeper : public callbacks::Callback {
 public:
  void on_train_batch_end(std::int64_t, const Logs&) override {
    std::this_thread::sleep_for(std::chrono::milliseconds(110));
  }
};

class Reader : public callbacks::Callback {
 public:
  void on_train_batch_end(std::int64_t, const Logs& logs) override {
    losses.push_back(logs["loss"]);
  }
  std::vector<double> losses;
};

struct Watched {
  std::string shown;
  simt::EmulatedTraffic traffic;
};
Watched watched_fit(int verbose) {
  const OnDevice here(Device::emulated());
  Sample s = many_types();
  FitOptions options = quiet(6, 1);
  options.verbose = verbose;
  options.callbacks = {Sleeper()};
  std::optional<Terminal> terminal;
  if (verbose > 0) terminal.emplace(250);
  const simt::EmulatedTraffic before = simt::emulated_traffic();
  s.model.fit(s.x, s.y, options);
  const simt::EmulatedTraffic after = simt::emulated_traffic();
  return {terminal ? terminal->shown() : "",
          {.downloads = after.downloads - before.downloads, .waits = after.waits - before.waits}};
}

}  // namespace

TEST_CASE("progress of data on a device: numbers of the steps that it names, and nobody waits") {
  const auto reader = std::make_shared<Reader>();
  FitOptions options = quiet(6, 1);
  options.callbacks = {reader};
  trained(Device::emulated(), many_types, 1, options);
  REQUIRE(reader->losses.size() == 8);

  const Watched loud = watched_fit(1);
  int lines = 0;
  for (std::size_t steps = 1; steps < 8; ++steps) {
    char start[32];
    std::snprintf(start, sizeof start, "\r%zu/8 [", steps);
    const auto begin = loud.shown.find(start);
    if (begin == std::string::npos) continue;
    const std::string line = loud.shown.substr(begin, loud.shown.find('\r', begin + 1) - begin);
    char loss[32];
    std::snprintf(loss, sizeof loss, " - loss: %.4f", reader->losses[steps - 1]);
    CHECK_THAT(line, ContainsSubstring(loss));
    ++lines;
  }
  CHECK(lines >= 2);

  const Watched silent = watched_fit(0);
  CHECK(loud.traffic.downloads == silent.traffic.downloads);
  CHECK(loud.traffic.waits == silent.traffic.waits);
}
