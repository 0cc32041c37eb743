#pragma once
#include <concepts>
#include <functional>
#include <initializer_list>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <braid/count.hpp>
#include <braid/history.hpp>
#include <braid/tensor.hpp>

namespace braid {

// What a callback may see and do while a model is trained.
class TrainingControl {
 public:
  virtual ~TrainingControl() = default;
  virtual void stop_training() = 0;
  virtual double learning_rate() const = 0;
  // NameError if the rate follows a schedule.
  virtual void set_learning_rate(double rate) = 0;
  virtual TensorDict get_weights() const = 0;
  virtual void set_weights(const TensorDict& weights) = 0;
  virtual void save(const std::string& path) const = 0;
  virtual void save_weights(const std::string& path) const = 0;
};

namespace callbacks {

// Base of all callbacks; derive and override what is needed. Epochs and batches count from 0.
class Callback {
 public:
  virtual ~Callback() = default;
  virtual void on_train_begin() {}
  virtual void on_train_end() {}
  // The fit ends by an exception; the last whole step stands.
  virtual void on_train_failed() {}
  virtual void on_epoch_begin(int /*epoch*/) {}
  // May add to the logs: what it sets goes into the history.
  virtual void on_epoch_end(int /*epoch*/, Logs& /*logs*/) {}
  virtual void on_train_batch_begin(std::int64_t /*batch*/) {}
  // Exact running means of the epoch so far; on a GPU, reading them waits until the batch is done.
  virtual void on_train_batch_end(std::int64_t /*batch*/, const Logs& /*logs*/) {}
  // Around the validation at the end of an epoch, before on_epoch_end.
  virtual void on_test_begin() {}
  virtual void on_test_end(const Logs& /*logs*/) {}
  virtual void on_test_batch_begin(std::int64_t /*batch*/) {}
  virtual void on_test_batch_end(std::int64_t /*batch*/, const Logs& /*logs*/) {}

  TrainingControl* control = nullptr;  // set by fit while it runs
  int epochs = 0;
  std::int64_t batches = 0;  // of one epoch
};

struct EarlyStoppingOptions {
  std::string monitor = "val_loss";
  double min_delta = 0;
  Count patience = 0;
  int verbose = 0;
  std::string mode = "auto";  // "min", "max"
  std::optional<double> baseline = {};
  bool restore_best_weights = false;
  Count start_from_epoch = 0;
};

// Stops when the monitored number has not improved for `patience` epochs. As
// keras.callbacks.EarlyStopping.
class EarlyStopping : public Callback {
 public:
  explicit EarlyStopping(EarlyStoppingOptions options = {});
  void on_train_begin() override;
  void on_epoch_end(int epoch, Logs& logs) override;
  void on_train_end() override;

  int stopped_epoch = 0;
  int best_epoch = 0;
  double best = 0;

 private:
  bool improves(double value, double reference) const;
  EarlyStoppingOptions options_;
  bool larger_is_better_ = false;
  std::int64_t wait_ = 0;
  std::optional<TensorDict> best_weights_;
};

struct ModelCheckpointOptions {
  std::string filepath;  // may hold {epoch:02d}, {val_loss:.2f}, ...
  std::string monitor = "val_loss";
  int verbose = 0;
  bool save_best_only = false;
  bool save_weights_only = false;
  std::string mode = "auto";
};

// Saves the model (or its weights) after every epoch. As keras.callbacks.ModelCheckpoint.
class ModelCheckpoint : public Callback {
 public:
  explicit ModelCheckpoint(ModelCheckpointOptions options);
  void on_train_begin() override;
  void on_epoch_end(int epoch, Logs& logs) override;

 private:
  ModelCheckpointOptions options_;
  bool larger_is_better_ = false;
  std::optional<double> best_;
};

struct ReduceLROnPlateauOptions {
  std::string monitor = "val_loss";
  double factor = 0.1;
  Count patience = 10;
  int verbose = 0;
  std::string mode = "auto";
  double min_delta = 1e-4;
  Count cooldown = 0;
  double min_lr = 0;
};

// Multiplies the learning rate by `factor` when the monitored number has not improved. As
// keras.callbacks.ReduceLROnPlateau.
class ReduceLROnPlateau : public Callback {
 public:
  explicit ReduceLROnPlateau(ReduceLROnPlateauOptions options = {});
  void on_train_begin() override;
  void on_epoch_end(int epoch, Logs& logs) override;

 private:
  ReduceLROnPlateauOptions options_;
  bool larger_is_better_ = false;
  std::optional<double> best_;
  std::int64_t wait_ = 0;
  std::int64_t cooling_ = 0;
};

// The learning rate of each epoch from a function of (epoch, current rate).
class LearningRateScheduler : public Callback {
 public:
  using Schedule = std::function<double(int epoch, double rate)>;
  // RangeError without a function.
  explicit LearningRateScheduler(Schedule schedule);
  void on_epoch_begin(int epoch) override;
  void on_epoch_end(int epoch, Logs& logs) override;

 private:
  Schedule schedule_;
};

struct CSVLoggerOptions {
  std::string filename;
  std::string separator = ",";
  bool append = false;
};

// One line an epoch: epoch and all logs. IoError if the file cannot be written.
class CSVLogger : public Callback {
 public:
  explicit CSVLogger(CSVLoggerOptions options) : options_(std::move(options)) {}
  void on_train_begin() override;
  void on_epoch_end(int epoch, Logs& logs) override;

 private:
  CSVLoggerOptions options_;
  std::vector<std::string> columns_;
};

// Stops as soon as the loss is NaN or infinite: reads the loss of every batch.
class TerminateOnNaN : public Callback {
 public:
  void on_train_batch_end(std::int64_t batch, const Logs& logs) override;
};

// Ctrl-C ends the fit after the step in progress, with what was learnt; a second one interrupts as
// before. The previous handler comes back when the fit ends.
class StopOnInterrupt : public Callback {
 public:
  StopOnInterrupt() = default;
  ~StopOnInterrupt() override;
  void on_train_begin() override;
  void on_train_batch_end(std::int64_t batch, const Logs& logs) override;
  void on_epoch_end(int epoch, Logs& logs) override;
  void on_train_end() override;
  void on_train_failed() override;

 private:
  void stop_if_interrupted();
  void restore();
  bool watching_ = false;
  int seen_ = 0;  // interrupts before this fit
};

// Functions instead of a class of one's own.
struct LambdaOptions {
  std::function<void(int epoch, Logs& logs)> on_epoch_end = {};
  std::function<void(std::int64_t batch, const Logs& logs)> on_train_batch_end = {};
};
class LambdaCallback : public Callback {
 public:
  explicit LambdaCallback(LambdaOptions options) : options_(std::move(options)) {}
  void on_epoch_end(int epoch, Logs& logs) override {
    if (options_.on_epoch_end) options_.on_epoch_end(epoch, logs);
  }
  void on_train_batch_end(std::int64_t batch, const Logs& logs) override {
    if (options_.on_train_batch_end) options_.on_train_batch_end(batch, logs);
  }

 private:
  LambdaOptions options_;
};

}  // namespace callbacks

// Callbacks of a fit: by value or by shared pointer.
class Callbacks {
 public:
  class Item {
   public:
    template <class Made>
    requires std::derived_from<Made, callbacks::Callback> Item(Made made)
        : pointer(std::make_shared<Made>(std::move(made))) {}
    template <class Made>
    requires std::derived_from<Made, callbacks::Callback> Item(std::shared_ptr<Made> made)
        : pointer(std::move(made)) {}
    std::shared_ptr<callbacks::Callback> pointer;
  };

  Callbacks() = default;
  Callbacks(std::initializer_list<Item> items) : items_(items) {}
  void add(Item item) { items_.push_back(std::move(item)); }
  auto begin() const { return items_.begin(); }
  auto end() const { return items_.end(); }

 private:
  std::vector<Item> items_;
};

}  // namespace braid
