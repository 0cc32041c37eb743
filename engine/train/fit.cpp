#include <algorithm>
#include <cmath>

#include "engine/core/error.hpp"
#include "engine/core/random.hpp"
#include "engine/train/data_checks.hpp"
#include "engine/train/epochs.hpp"
#include "engine/train/model_file.hpp"
#include "engine/train/progress.hpp"
#include "engine/train/weights.hpp"

namespace braid {
namespace {

const std::string kCall = "model.fit";
const std::string kValidation = "model.fit, validation data";

void check_options(const FitOptions& options) {
  const auto at_least = [](const char* name, std::int64_t value, std::int64_t least) {
    if (value >= least) return;
    throw RangeError(kCall + ": " + name + " is " + std::to_string(value) + "; at least " +
                     std::to_string(least) + " is needed");
  };
  at_least("batch_size", options.batch_size, 1);
  at_least("epochs", options.epochs, 0);
  at_least("initial_epoch", options.initial_epoch, 0);
  if (!(options.validation_split >= 0 && options.validation_split < 1)) {
    throw RangeError(kCall + ": validation_split is " + std::to_string(options.validation_split) +
                     "; 0 <= split < 1 is needed");
  }
}

TensorDict sliced(const TensorDict& data, std::int64_t begin, std::int64_t end) {
  TensorDict rows;
  for (const auto& [name, tensor] : data) rows.set(name, tensor.slice(begin, end));
  return rows;
}

SampleWeight sliced(const SampleWeight& weight, std::int64_t begin, std::int64_t end) {
  if (weight.shared) return weight.shared->slice(begin, end);
  return sliced(weight.by_name, begin, end);
}

}  // namespace

// One fit: what its callbacks may see and do.
class Trainer::FitRun final : public TrainingControl {
 public:
  FitRun(Trainer& trainer, const FitOptions& options) : trainer_(trainer), options_(options) {}

  // Keeps what the bound pointers point at.
  struct Rows {
    TensorDict x;
    TensorDict y;
    SampleWeight weight;
    Bound bound = {};
    std::unique_ptr<Epochs> epochs = {};
  };

  History run(const TensorDict& x, const TensorDict& y);

  void stop_training() override { stopped_ = true; }
  double learning_rate() const override { return trainer_.optimizer_->learning_rate(); }
  void set_learning_rate(double rate) override { trainer_.optimizer_->set_learning_rate(rate); }
  TensorDict get_weights() const override { return braid::get_weights(trainer_.model_); }
  void set_weights(const TensorDict& weights) override {
    braid::set_weights(trainer_.model_, weights);
  }
  void save(const std::string& path) const override { save_model(path, trainer_.model_); }
  void save_weights(const std::string& path) const override {
    braid::save_weights(trainer_.model_, path);
  }

 private:
  // Parts the data into rows to train on and rows to judge by, all of them checked.
  void take(const TensorDict& x, const TensorDict& y);
  void check(const std::string& call, Rows& rows, const ClassWeight& class_weight, Pass pass) const;
  void make_epochs(const std::string& call, Rows& rows, Pass pass) const;
  // The last time, or not, as far as is known.
  Logs validate(bool last);
  void train_epochs(History& history);
  Shuffle shuffle(int epoch) const;
  void train_epoch(Lease& lease, Progress& progress);
  template <class Call>
  void tell(const Call& call) {
    for (const auto& item : options_.callbacks) call(*item.pointer);
  }

  Trainer& trainer_;
  const FitOptions& options_;
  Rows training_;
  std::optional<Rows> validation_;
  bool stopped_ = false;
};

void Trainer::FitRun::check(const std::string& call, Rows& rows, const ClassWeight& class_weight,
                            Pass pass) const {
  trainer_.bind_judged(call, rows.x, rows.y, rows.weight, class_weight, rows.bound);
  const Lease lease = trainer_.lease(call, pass, rows.bound);
  check_values(call, lease.step(), trainer_.objective_.get(), trainer_.model_, rows.bound);
  check_finite(call, lease.step(), rows.bound);
  const std::int64_t batch = options_.batch_size;
  told_with(call, [&] { lease.session().plan(rows.bound, {0, std::min(rows.bound.rows, batch)}); });
}

void Trainer::FitRun::take(const TensorDict& x, const TensorDict& y) {
  const ValidationData& given = options_.validation_data;
  training_ = {x, y, options_.sample_weight};
  // As a whole first, so that an error tells the row of the user's data.
  check(kCall, training_, options_.class_weight, Pass::train);
  if (!given.x.empty() || !given.y.empty()) {
    validation_ = Rows{given.x, given.y, given.sample_weight};
    check(kValidation, *validation_, {}, Pass::evaluate);
    return;
  }
  if (options_.validation_split == 0) return;
  const std::int64_t rows = training_.bound.rows;
  const auto cut = static_cast<std::int64_t>(
      std::floor(static_cast<double>(rows) * (1 - options_.validation_split)));
  if (cut == 0 || cut == rows) {
    throw RangeError(kCall + ": validation_split " + std::to_string(options_.validation_split) +
                     " of " + std::to_string(rows) + " rows leaves one side empty");
  }
  const SampleWeight& weight = options_.sample_weight;
  validation_ = Rows{sliced(x, cut, rows), sliced(y, cut, rows), sliced(weight, cut, rows)};
  training_ = {sliced(x, 0, cut), sliced(y, 0, cut), sliced(weight, 0, cut)};
  check(kCall, training_, options_.class_weight, Pass::train);
  check(kCall, *validation_, {}, Pass::evaluate);
}

void Trainer::FitRun::make_epochs(const std::string& call, Rows& rows, Pass pass) const {
  const Lease lease = trainer_.lease(call, pass, rows.bound);
  rows.epochs = std::make_unique<Epochs>(trainer_, call, pass, rows.bound, options_.batch_size);
  rows.epochs->prepare_device(lease);
}

History Trainer::FitRun::run(const TensorDict& x, const TensorDict& y) {
  check_options(options_);
  take(x, y);
  make_epochs(kCall, training_, Pass::train);
  if (validation_) make_epochs(kCall, *validation_, Pass::evaluate);
  History history;
  if (options_.seed) {
    trainer_.seed_ = options_.seed;
  } else if (options_.initial_epoch == 0 || !trainer_.seed_) {
    trainer_.seed_ = next_seed();
  }
  const std::int64_t rows = training_.bound.rows;
  tell([&](callbacks::Callback& callback) {
    callback.control = this;
    callback.epochs = static_cast<int>(options_.epochs);
    callback.batches = (rows + options_.batch_size - 1) / options_.batch_size;
  });
  try {
    tell([](callbacks::Callback& callback) { callback.on_train_begin(); });
    train_epochs(history);
    tell([](callbacks::Callback& callback) { callback.on_train_end(); });
  } catch (...) {
    tell([](callbacks::Callback& callback) {
      callback.on_train_failed();
      callback.control = nullptr;
    });
    throw;
  }
  tell([](callbacks::Callback& callback) { callback.control = nullptr; });
  return history;
}

void Trainer::FitRun::train_epochs(History& history) {
  Epochs& epochs = *training_.epochs;
  Lease lease = trainer_.lease(kCall, Pass::train, training_.bound);
  Progress progress(options_.verbose, epochs.steps());
  for (int epoch = static_cast<int>(options_.initial_epoch); epoch < options_.epochs && !stopped_;
       ++epoch) {
    tell([&](callbacks::Callback& callback) { callback.on_epoch_begin(epoch); });
    progress.begin("Epoch " + std::to_string(epoch + 1) + "/" +
                   std::to_string(static_cast<std::int64_t>(options_.epochs)));
    epochs.begin(lease, shuffle(epoch));
    train_epoch(lease, progress);
    const bool last = stopped_ || epoch + 1 >= options_.epochs;
    if (!last) epochs.expect(lease, shuffle(epoch + 1));
    Logs logs = epochs.logs(lease);
    if (validation_) {
      for (const auto& [name, value] : validate(last)) logs.set("val_" + name, value);
    }
    tell([&](callbacks::Callback& callback) { callback.on_epoch_end(epoch, logs); });
    progress.end(logs);
    history.add(epoch, logs);
  }
}

Logs Trainer::FitRun::validate(bool last) {
  Lease lease = trainer_.lease(kCall, Pass::evaluate, validation_->bound);
  Progress silent(0, 0);
  tell([](callbacks::Callback& callback) { callback.on_test_begin(); });
  trainer_.evaluate_rows(lease, *validation_->epochs, silent, options_.callbacks);
  if (!last) validation_->epochs->expect(lease, {});
  Logs logs = validation_->epochs->logs(lease);
  tell([&](callbacks::Callback& callback) { callback.on_test_end(logs); });
  return logs;
}

// Depends on the seed and the epoch alone, so that a fit which goes on elsewhere meets the same
// order.
Shuffle Trainer::FitRun::shuffle(int epoch) const {
  if (!options_.shuffle) return {};
  return kernels::shuffle_of(training_.bound.rows, *trainer_.seed_,
                             static_cast<std::uint64_t>(epoch) + 1);
}

void Trainer::FitRun::train_epoch(Lease& lease, Progress& progress) {
  Epochs& epochs = *training_.epochs;
  const bool watched = options_.callbacks.begin() != options_.callbacks.end();
  // Callbacks come once an execution, which may be several steps.
  const std::int64_t steps = trainer_.steps_per_execution_;
  for (std::int64_t first = 0; first < epochs.steps() && !stopped_; first += steps) {
    const std::int64_t last = std::min(epochs.steps(), first + steps);
    tell([&](callbacks::Callback& callback) { callback.on_train_batch_begin(first); });
    epochs.run(lease, first, last);
    if (watched) {
      const Logs seen([&] { return epochs.logs(lease); });
      tell([&](callbacks::Callback& callback) { callback.on_train_batch_end(last - 1, seen); });
    }
    epochs.show(lease, progress, last);
  }
}

History Trainer::fit(const TensorDict& x, const TensorDict& y, const FitOptions& options) {
  require_loss(kCall);
  if (fitting_) throw Error(kCall + ": another fit of this model is running");
  struct Mark {
    explicit Mark(bool& flag) : flag_(flag) { flag_ = true; }
    ~Mark() { flag_ = false; }
    bool& flag_;
  } const mark(fitting_);
  return FitRun(*this, options).run(x, y);
}

}  // namespace braid
