// The callbacks that come with the library, on losses that are set by hand.
#include <cmath>

#include "tests/support/captured.hpp"
#include "tests/support/refusals.hpp"
#include "tests/support/sample_models.hpp"

using namespace braid;
using namespace braid::testing;
using callbacks::Callback;

namespace {

// Puts numbers into the logs before the callbacks behind it look at them.
class Script : public Callback {
 public:
  Script(std::string name, std::vector<double> values)
      : name_(std::move(name)), values_(std::move(values)) {}
  void on_epoch_end(int epoch, Logs& logs) override {
    logs.set(name_, values_.at(static_cast<std::size_t>(epoch)));
  }

 private:
  std::string name_;
  std::vector<double> values_;
};

// A model whose weights tell how many epochs it was trained for.
struct Counter {
  Counter() : model(make()) {}
  static Model make() {
    auto x = Input({.shape = {1}, .name = "x"});
    auto y = layers::Dense(
        {.units = 1, .use_bias = false, .kernel_initializer = "zeros", .name = "y"})(x);
    Model model({x}, {y});
    // Every step of one row adds 1 to the weight: the gradient of mae is -1 below the target.
    model.compile({.optimizer = optimizers::SGD({.learning_rate = 1}), .loss = "mae"});
    return model;
  }
  float weight() const { return model.get_weights()["y/kernel"].to_vector<float>()[0]; }
  // How many epochs were run.
  template <class... Behind>
  std::size_t fit(const std::string& name, const std::vector<double>& script, Behind... behind) {
    FitOptions options{.epochs = script.size(), .verbose = 0};
    options.callbacks = {Script(name, script), behind...};
    history = model.fit({{"x", Tensor::from({1.0F}, {1, 1})}},
                        {{"y", Tensor::from({100.0F}, {1, 1})}}, options);
    return history.epochs().size();
  }
  Model model;
  History history;
};

using callbacks::EarlyStopping;

}  // namespace

TEST_CASE("early stopping waits for patience epochs without improvement") {
  const std::vector<double> losses{5, 4, 4, 4, 4, 4, 4, 4};
  CHECK(Counter().fit("val_loss", losses, EarlyStopping()) == 3);
  CHECK(Counter().fit("val_loss", losses, EarlyStopping({.patience = 1})) == 3);
  CHECK(Counter().fit("val_loss", losses, EarlyStopping({.patience = 3})) == 5);
  CHECK(Counter().fit("val_loss", {5, 6, 4, 6, 3, 6, 6, 6}, EarlyStopping({.patience = 2})) == 7);
  // Not at the first epoch, whatever the patience.
  CHECK(Counter().fit("val_loss", {NAN, NAN, NAN}, EarlyStopping()) == 2);
  CHECK(Counter().fit("val_loss", {1, 2, 1, 2}, EarlyStopping({.start_from_epoch = 2})) == 4);
}

TEST_CASE("early stopping counts as improvement what exceeds min_delta, up or down") {
  const std::vector<double> falling{5, 4.6, 4.2, 3.8, 3.4};
  CHECK(Counter().fit("val_loss", falling, EarlyStopping({.min_delta = 0.5, .patience = 1})) == 2);
  CHECK(Counter().fit("val_loss", falling, EarlyStopping({.min_delta = -0.5, .patience = 2})) == 5);
  CHECK(Counter().fit("val_loss", falling, EarlyStopping({.min_delta = 0.3})) == 5);
  CHECK(Counter().fit("val_loss", falling, EarlyStopping({.mode = "max"})) == 2);
  CHECK(Counter().fit("accuracy", falling, EarlyStopping({.monitor = "accuracy"})) == 2);
  CHECK(Counter().fit("val_auc", {1, 2, 3}, EarlyStopping({.monitor = "val_auc"})) == 3);
  CHECK(Counter().fit("accuracy", falling, EarlyStopping({.monitor = "accuracy", .mode = "min"})) ==
        5);
  // A loss falls, whatever its output is called.
  CHECK(Counter().fit("accident_loss", falling, EarlyStopping({.monitor = "accident_loss"})) == 5);
}

TEST_CASE("early stopping with a baseline gives up what does not reach it") {
  EarlyStopping options({.patience = 2, .baseline = 3.0});
  CHECK(Counter().fit("val_loss", {6, 6, 6, 6}, options) == 2);
  // What improves is not stopped, though it does not reach the baseline; the count goes on.
  CHECK(Counter().fit("val_loss", {6, 5, 4, 3.5}, options) == 4);
  CHECK(Counter().fit("val_loss", {6, 5, 4, 4.5, 4.5}, options) == 4);
  CHECK(Counter().fit("val_loss", {6, 2.5, 2, 1.5}, options) == 4);
}

TEST_CASE("early stopping restores the weights of the best epoch") {
  const std::vector<double> losses{5, 3, 4, 6, 7};
  Counter kept;
  kept.fit("val_loss", losses, EarlyStopping({.patience = 2}));
  CHECK(kept.weight() == 4);
  Counter restored;
  const auto callback = std::make_shared<EarlyStopping>(
      callbacks::EarlyStoppingOptions{.patience = 2, .restore_best_weights = true});
  CHECK(restored.fit("val_loss", losses, callback) == 4);
  CHECK(restored.weight() == 2);
  CHECK(callback->best_epoch == 1);
  CHECK(callback->best == 3);
  CHECK(callback->stopped_epoch == 3);
  // Also where the epochs ran out before the patience did.
  Counter ended;
  ended.fit("val_loss", {5, 3, 4}, EarlyStopping({.patience = 9, .restore_best_weights = true}));
  CHECK(ended.weight() == 2);
}

TEST_CASE("a monitor that no log has is refused with those there are") {
  Counter c;
  check_refused<NameError>(
      [&] {
        c.fit("val_los", {1, 2}, EarlyStopping());
      },
      {"EarlyStopping", "\"val_loss\"", "\"loss\"", "Did you mean \"val_los\"?"});
}

TEST_CASE("the learning rate falls on a plateau, with patience, cooldown and a least value") {
  const auto rates = [](callbacks::ReduceLROnPlateauOptions options) {
    Counter c;
    c.fit("val_loss", std::vector<double>(7, 1.0),
          callbacks::ReduceLROnPlateau(std::move(options)));
    return c.history["learning_rate"];
  };
  // The logs tell the rate of the epoch that ends.
  CHECK(rates({.factor = 0.5, .patience = 1}) ==
        std::vector<double>{1, 1, 0.5, 0.25, 0.125, 0.0625, 0.03125});
  CHECK(rates({.factor = 0.5, .patience = 2}) ==
        std::vector<double>{1, 1, 1, 0.5, 0.5, 0.25, 0.25});
  CHECK(rates({.factor = 0.5, .patience = 1, .cooldown = 2}) ==
        std::vector<double>{1, 1, 0.5, 0.5, 0.25, 0.25, 0.125});
  CHECK(rates({.factor = 0.5, .patience = 1, .min_lr = 0.25}) ==
        std::vector<double>{1, 1, 0.5, 0.25, 0.25, 0.25, 0.25});
  CHECK(rates({.factor = 0.5, .patience = 1, .mode = "max"}) ==
        std::vector<double>{1, 1, 0.5, 0.25, 0.125, 0.0625, 0.03125});
}

TEST_CASE("a scheduler sets the rate of each epoch, which the logs tell") {
  Counter c;
  c.fit("n", {0, 0, 0}, callbacks::LearningRateScheduler([](int epoch, double rate) {
          return epoch == 0 ? rate : rate / 2;
        }));
  CHECK(c.history["learning_rate"] == std::vector<double>{1, 0.5, 0.25});
  CHECK(c.weight() == 1.75F);
  c.model.compile({.optimizer = optimizers::SGD({.learning_rate = schedules::ExponentialDecay({})}),
                   .loss = "mae"});
  check_refused<NameError>(
      [&] { c.fit("n", {0}, callbacks::LearningRateScheduler([](int, double) { return 1.0; })); },
      {"\"sgd\"", "follows a schedule"});
}

TEST_CASE("checkpoints are saved every epoch or when they are best, whole or weights alone") {
  const ScratchFolder folder;
  const auto there = [&](const std::string& name) {
    return std::filesystem::exists(folder.file(name));
  };
  Counter c;
  c.fit("val_loss", {5, 3, 4},
        callbacks::ModelCheckpoint({.filepath = folder.file("m{epoch:02d}-{val_loss:.1f}.braid")}));
  CHECK(there("m01-5.0.braid"));
  CHECK(there("m02-3.0.braid"));
  CHECK(there("m03-4.0.braid"));
  Model loaded = Model::load(folder.file("m02-3.0.braid"));
  CHECK(loaded.get_weights()["y/kernel"].to_vector<float>()[0] == 2);
  Counter best;
  best.fit(
      "val_loss", {5, 3, 4},
      callbacks::ModelCheckpoint(
          {.filepath = folder.file("best"), .save_best_only = true, .save_weights_only = true}));
  best.model.load_weights(folder.file("best"));
  CHECK(best.weight() == 2);
  Counter highest;
  highest.fit(
      "accuracy", {5, 3, 4},
      callbacks::ModelCheckpoint(
          {.filepath = folder.file("highest"), .monitor = "accuracy", .save_best_only = true}));
  CHECK(Model::load(folder.file("highest")).get_weights()["y/kernel"].to_vector<float>()[0] == 1);
  check_refused<NameError>(
      [&] { c.fit("n", {0}, callbacks::ModelCheckpoint({.filepath = folder.file("{val_acc}")})); },
      {"ModelCheckpoint", "\"val_acc\""});
  check_refused<IoError>(
      [&] { c.fit("n", {0}, callbacks::ModelCheckpoint({.filepath = folder.file("no/folder")})); },
      {"no/folder"});
}

TEST_CASE("the CSV log has a line of names and one for each epoch, also when it goes on") {
  const ScratchFolder folder;
  const std::string path = folder.file("log.csv");
  Counter().fit("n", {0.5, 1.5}, callbacks::CSVLogger({.filename = path}));
  CHECK(content_of(path) == "epoch,loss,n\n0,100,0.5\n1,99,1.5\n");
  Counter().fit("n", {7}, callbacks::CSVLogger({.filename = path, .append = true}));
  CHECK(content_of(path) == "epoch,loss,n\n0,100,0.5\n1,99,1.5\n0,100,7\n");
  Counter().fit("n", {7}, callbacks::CSVLogger({.filename = path, .separator = ";"}));
  CHECK(content_of(path) == "epoch;loss;n\n0;100;7\n");
  Counter().fit("n", {8}, callbacks::CSVLogger({.filename = folder.file("new"), .append = true}));
  CHECK(content_of(folder.file("new")) == "epoch,loss,n\n0,100,8\n");
  check_refused<IoError>(
      [&] { Counter().fit("n", {7}, callbacks::CSVLogger({.filename = folder.file("no/a.csv")})); },
      {"CSVLogger", "no/a.csv"});
  if (std::filesystem::exists("/dev/full")) {
    check_refused<IoError>(
        [&] { Counter().fit("n", {7}, callbacks::CSVLogger({.filename = "/dev/full"})); },
        {"CSVLogger", "/dev/full"});
  }
}

TEST_CASE(
    "progress is one plain line an epoch where the output is piped, and nothing when silent") {
  const auto printed = [](int verbose) {
    Sample s = two_inputs(8);
    Captured output(STDOUT_FILENO);
    s.model.fit(s.x, s.y,
                {.batch_size = 3, .epochs = 2, .verbose = verbose, .validation_split = 0.25});
    s.model.evaluate(s.x, s.y, {.verbose = verbose});
    s.model.predict(s.x, {.verbose = verbose});
    return output.text();
  };
  CHECK(printed(0).empty());
  for (const int verbose : {1, 2}) {
    const std::string text = printed(verbose);
    CHECK(std::count(text.begin(), text.end(), '\n') == 4);
    CHECK(text.find('\r') == std::string::npos);
    CHECK_THAT(text, ContainsSubstring("Epoch 1/2 2/2 ") && ContainsSubstring("Epoch 2/2 2/2 ") &&
                         ContainsSubstring(" - accuracy: ") && ContainsSubstring(" - val_loss: "));
  }
}
