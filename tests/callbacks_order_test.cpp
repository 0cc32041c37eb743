// When callbacks are called, what they see and what they may do.
#include <csignal>

#include "tests/support/refusals.hpp"
#include "tests/support/sample_models.hpp"

using namespace braid;
using namespace braid::testing;
using callbacks::Callback;
using Words = std::vector<std::string>;

namespace {

// Writes down every call.
class Diary : public Callback {
 public:
  explicit Diary(std::shared_ptr<std::string> text) : text_(std::move(text)) {}
  void on_train_begin() override { note("train("); }
  void on_train_end() override { note(")train"); }
  void on_train_failed() override { note("failed"); }
  void on_epoch_begin(int epoch) override {
    note(std::string("epoch").append(std::to_string(epoch)).append("("));
  }
  void on_epoch_end(int epoch, Logs&) override {
    note(std::string(")epoch").append(std::to_string(epoch)));
  }
  void on_train_batch_begin(std::int64_t batch) override {
    note(std::string("b").append(std::to_string(batch)));
  }
  void on_train_batch_end(std::int64_t batch, const Logs&) override {
    note(std::string("e").append(std::to_string(batch)));
  }
  void on_test_begin() override { note("test("); }
  void on_test_end(const Logs&) override { note(")test"); }
  void on_test_batch_begin(std::int64_t batch) override {
    note(std::string("tb").append(std::to_string(batch)));
  }
  void on_test_batch_end(std::int64_t batch, const Logs&) override {
    note(std::string("te").append(std::to_string(batch)));
  }

 private:
  void note(const std::string& word) { *text_ += (text_->empty() ? "" : " ") + word; }
  std::shared_ptr<std::string> text_;
};

std::string diary_of(Model& model, const TensorDict& x, const TensorDict& y, FitOptions options) {
  const auto text = std::make_shared<std::string>();
  options.verbose = 0;
  options.callbacks.add(Diary(text));
  try {
    model.fit(x, y, options);
  } catch (const std::runtime_error&) {
    *text += " thrown";
  }
  return *text;
}

}  // namespace

TEST_CASE("hooks come in Keras's order") {
  Sample s = two_inputs(10);
  CHECK(diary_of(s.model, s.x, s.y, {.batch_size = 4, .epochs = 2}) ==
        "train( epoch0( b0 e0 b1 e1 b2 e2 )epoch0 epoch1( b0 e0 b1 e1 b2 e2 )epoch1 )train");
  CHECK(diary_of(s.model, s.x, s.y, {.batch_size = 4, .epochs = 3, .initial_epoch = 2}) ==
        "train( epoch2( b0 e0 b1 e1 b2 e2 )epoch2 )train");
  CHECK(diary_of(s.model, s.x, s.y, {.batch_size = 4, .validation_split = 0.5}) ==
        "train( epoch0( b0 e0 b1 e1 test( tb0 te0 tb1 te1 )test )epoch0 )train");
  CHECK(diary_of(s.model, s.x, s.y, {.epochs = 0}) == "train( )train");
}

TEST_CASE("with several steps an execution batch callbacks come once for each execution") {
  Sample s = two_inputs(20);
  s.model.compile({.loss = "binary_crossentropy", .steps_per_execution = 3});
  CHECK(diary_of(s.model, s.x, s.y, {.batch_size = 4}) ==
        "train( epoch0( b0 e2 b3 e4 )epoch0 )train");
  CHECK(diary_of(s.model, s.x, s.y, {.batch_size = 2, .validation_split = 0.4}) ==
        "train( epoch0( b0 e2 b3 e5 test( tb0 te2 tb3 te3 )test )epoch0 )train");
}

TEST_CASE("a callback sees the running means, may add to the logs and may stop the fit") {
  class Watcher : public Callback {
   public:
    void on_train_batch_end(std::int64_t batch, const Logs& logs) override {
      seen.push_back(logs["loss"]);
      if (epoch == 1 && batch == 1) control->stop_training();
    }
    void on_epoch_begin(int number) override { epoch = number; }
    void on_epoch_end(int, Logs& logs) override { logs.set("doubled", 2 * logs["loss"]); }
    std::vector<double> seen;
    int epoch = 0;
  };
  Sample s = two_inputs(12);
  const auto watcher = std::make_shared<Watcher>();
  FitOptions options{.batch_size = 4, .epochs = 5, .verbose = 0, .callbacks = {watcher}};
  const History history = s.model.fit(s.x, s.y, options);
  CHECK(watcher->seen.size() == 5);
  CHECK(history.epochs() == std::vector<int>{0, 1});
  CHECK(history["loss"][0] == watcher->seen[2]);
  CHECK(history["loss"][1] == watcher->seen[4]);
  CHECK(history["doubled"][0] == 2 * history["loss"][0]);
  CHECK(watcher->control == nullptr);
  CHECK(watcher->epochs == 5);
  CHECK(watcher->batches == 3);
}

TEST_CASE("callbacks are taken by value, by shared pointer and as functions") {
  Sample s = two_inputs(8);
  int epochs = 0;
  int batches = 0;
  FitOptions options{.batch_size = 4, .epochs = 2, .verbose = 0};
  options.callbacks = {callbacks::LambdaCallback(
                           {.on_epoch_end = [&](int, Logs&) { ++epochs; },
                            .on_train_batch_end = [&](std::int64_t, const Logs&) { ++batches; }}),
                       std::make_shared<callbacks::TerminateOnNaN>()};
  s.model.fit(s.x, s.y, options);
  CHECK(epochs == 2);
  CHECK(batches == 4);
}

TEST_CASE("an exception from any hook leaves the last whole step, and the model goes on") {
  class Thrower : public Callback {
   public:
    explicit Thrower(std::string hook) : hook_(std::move(hook)) {}
    void on_train_begin() override { meet("train_begin"); }
    void on_epoch_begin(int) override { meet("epoch_begin"); }
    void on_train_batch_begin(std::int64_t batch) override {
      if (batch == 2) meet("batch_begin");
    }
    void on_train_batch_end(std::int64_t batch, const Logs&) override {
      if (batch == 1) meet("batch_end");
    }
    void on_test_begin() override { meet("test_begin"); }
    void on_epoch_end(int, Logs&) override { meet("epoch_end"); }
    void on_train_end() override { meet("train_end"); }

   private:
    void meet(const std::string& hook) const {
      if (hook == hook_) throw std::runtime_error("thrown by a test");
    }
    std::string hook_;
  };
  const auto steps_after = [](const std::string& hook) {
    Sample s = two_inputs(12);
    const auto text = std::make_shared<std::string>();
    FitOptions options{.batch_size = 4, .verbose = 0, .shuffle = false};
    options.callbacks = {Diary(text), Thrower(hook)};
    options.validation_data = {s.x, s.y};
    CHECK_THROWS_WITH(s.model.fit(s.x, s.y, options), "thrown by a test");
    CHECK_THAT(*text, ContainsSubstring("failed"));
    const auto steps = s.model.optimizer_state()["iteration"].to_vector<std::int64_t>()[0];
    // The same steps, one by one.
    Sample twin = two_inputs(12);
    for (std::int64_t step = 0; step < steps; ++step) {
      TensorDict x;
      for (const auto& [name, tensor] : twin.x) x.set(name, tensor.slice(4 * step, 4 * step + 4));
      twin.model.train_on_batch(x, {{"label", twin.y["label"].slice(4 * step, 4 * step + 4)}});
    }
    CHECK(state_of(s.model) == state_of(twin.model));
    CHECK_NOTHROW(s.model.fit(s.x, s.y, {.verbose = 0}));
    return steps;
  };
  CHECK(steps_after("train_begin") == 0);
  CHECK(steps_after("epoch_begin") == 0);
  CHECK(steps_after("batch_begin") == 2);
  CHECK(steps_after("batch_end") == 2);
  CHECK(steps_after("test_begin") == 3);
  CHECK(steps_after("epoch_end") == 3);
  CHECK(steps_after("train_end") == 3);
}

TEST_CASE("a callback may use the model, but neither fit nor compile it anew") {
  Sample s = two_inputs(8);
  FitOptions options{.epochs = 2, .verbose = 0};
  std::vector<double> judged;
  options.callbacks = {callbacks::LambdaCallback({.on_epoch_end = [&](int, Logs&) {
    judged.push_back(s.model.evaluate(s.x, s.y)["loss"]);
    s.model.predict(s.x);
    check_refused<Error>([&] { s.model.compile({.loss = "mse"}); },
                         {"compile", "a fit of this model is running"});
    check_refused<Error>([&] { s.model.fit(s.x, s.y); }, {"model.fit", "another fit"});
  }})};
  s.model.fit(s.x, s.y, options);
  CHECK(judged.size() == 2);
  CHECK(judged[1] < judged[0]);
}

namespace {
volatile std::sig_atomic_t caught = 0;
void catch_interrupt(int) { caught = caught + 1; }
}  // namespace

TEST_CASE("Ctrl-C ends a fit after the step in progress, and the handler before it comes back") {
  struct sigaction mine {};
  mine.sa_handler = catch_interrupt;
  struct sigaction before {};
  sigaction(SIGINT, &mine, &before);
  caught = 0;
  Sample s = two_inputs(12);
  const auto interrupt_at = [&](int batch, int times) {
    FitOptions options{.batch_size = 4, .epochs = 3, .verbose = 0};
    options.callbacks = {callbacks::LambdaCallback({.on_train_batch_end =
                                                        [=](std::int64_t number, const Logs&) {
                                                          for (int i = 0;
                                                               number == batch && i < times; ++i)
                                                            std::raise(SIGINT);
                                                        }}),
                         callbacks::StopOnInterrupt()};
    const auto steps = [&] {
      return s.model.optimizer_state()["iteration"].to_vector<std::int64_t>()[0];
    };
    const std::int64_t first = steps();
    const History history = s.model.fit(s.x, s.y, options);
    CHECK(history["loss"].size() == 1);
    return steps() - first;
  };
  CHECK(interrupt_at(0, 1) == 1);
  CHECK(caught == 0);
  CHECK(interrupt_at(1, 1) == 2);
  CHECK(caught == 0);
  std::raise(SIGINT);
  CHECK(caught == 1);
  // The second interrupt of a fit does what it did before.
  CHECK(interrupt_at(1, 2) == 2);
  CHECK(caught == 2);
  // After an exception too.
  FitOptions options{.verbose = 0};
  options.callbacks = {callbacks::StopOnInterrupt(),
                       callbacks::LambdaCallback({.on_epoch_end = [](int, Logs&) {
                         throw std::runtime_error("thrown by a test");
                       }})};
  CHECK_THROWS_AS(s.model.fit(s.x, s.y, options), std::runtime_error);
  std::raise(SIGINT);
  CHECK(caught == 3);
  // Without the callback nothing is installed.
  FitOptions plain{.verbose = 0};
  plain.callbacks = {callbacks::LambdaCallback(
      {.on_train_batch_end = [](std::int64_t, const Logs&) { std::raise(SIGINT); }})};
  s.model.fit(s.x, s.y, plain);
  CHECK(caught == 4);
  sigaction(SIGINT, &before, nullptr);
}
