#include "engine/train/callbacks.hpp"

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <mutex>

#include "engine/core/error.hpp"

namespace braid::callbacks {
namespace {

// Keras's mode "auto": what is named after an accuracy (or AUC) should grow, a loss or error should
// fall.
bool grows(const std::string& callback, const std::string& monitor, const std::string& mode) {
  if (mode == "max") return true;
  if (mode == "min") return false;
  if (mode != "auto") {
    throw NameError(callback + ": unknown mode \"" + mode +
                    "\"; known are \"auto\", \"min\" and \"max\"");
  }
  if (monitor.ends_with("loss")) return false;  // whatever its output is called
  for (const char* word : {"acc", "auc", "precision", "recall"}) {
    if (monitor.find(word) != std::string::npos) return true;
  }
  return false;
}

double monitored(const std::string& callback, const std::string& monitor, const Logs& logs) {
  if (logs.contains(monitor)) return logs[monitor];
  std::vector<std::string> known;
  for (const auto& [name, value] : logs) known.push_back(name);
  throw NameError(callback + ": no log \"" + monitor + "\" to monitor; this epoch's are " +
                  quoted_list(known) + "." + suggestion(monitor, known));
}

// One handler serves all fits that watch for a Ctrl-C: the first installs it, the last puts back
// what was there.
std::mutex watch_mutex;
int watchers = 0;
struct sigaction previous_action;
volatile std::sig_atomic_t interrupts = 0;

void note_interrupt(int) {
  // The second one falls back to what a Ctrl-C did before.
  interrupts = interrupts + 1;
  sigaction(SIGINT, &previous_action, nullptr);
}

}  // namespace

EarlyStopping::EarlyStopping(EarlyStoppingOptions options) : options_(std::move(options)) {
  larger_is_better_ = grows("EarlyStopping", options_.monitor, options_.mode);
}

bool EarlyStopping::improves(double value, double reference) const {
  const double delta = std::abs(options_.min_delta);
  return larger_is_better_ ? value - delta > reference : value + delta < reference;
}

void EarlyStopping::on_train_begin() {
  wait_ = 0;
  stopped_epoch = 0;
  best_epoch = 0;
  best = larger_is_better_ ? -std::numeric_limits<double>::infinity()
                           : std::numeric_limits<double>::infinity();
  best_weights_.reset();
}

void EarlyStopping::on_epoch_end(int epoch, Logs& logs) {
  const double current = monitored("EarlyStopping", options_.monitor, logs);
  if (epoch < options_.start_from_epoch) return;
  if (options_.restore_best_weights && !best_weights_) {
    best_weights_ = control->get_weights();
    best_epoch = epoch;
  }
  ++wait_;
  if (improves(current, best)) {
    best = current;
    best_epoch = epoch;
    if (options_.restore_best_weights) best_weights_ = control->get_weights();
    if (!options_.baseline || improves(current, *options_.baseline)) wait_ = 0;
    return;
  }
  if (wait_ >= options_.patience && epoch > 0) {
    stopped_epoch = epoch;
    control->stop_training();
  }
}

void EarlyStopping::on_train_end() {
  if (options_.verbose > 0 && stopped_epoch > 0)
    std::printf("Epoch %d: early stopping\n", stopped_epoch + 1);
  if (options_.restore_best_weights && best_weights_) control->set_weights(*best_weights_);
}

ModelCheckpoint::ModelCheckpoint(ModelCheckpointOptions options) : options_(std::move(options)) {
  larger_is_better_ = grows("ModelCheckpoint", options_.monitor, options_.mode);
}

void ModelCheckpoint::on_train_begin() { best_.reset(); }

void ModelCheckpoint::on_epoch_end(int epoch, Logs& logs) {
  if (options_.save_best_only) {
    const double current = monitored("ModelCheckpoint", options_.monitor, logs);
    const bool better = !best_ || (larger_is_better_ ? current > *best_ : current < *best_);
    if (!better) return;
    best_ = current;
  }
  // {name} and {name:format} become the epoch (from 1) and logs.
  std::string path;
  for (std::size_t i = 0; i < options_.filepath.size(); ++i) {
    const std::size_t close =
        options_.filepath[i] == '{' ? options_.filepath.find('}', i) : std::string::npos;
    if (close == std::string::npos) {
      path += options_.filepath[i];
      continue;
    }
    const std::string field = options_.filepath.substr(i + 1, close - i - 1);
    const std::size_t colon = field.find(':');
    const std::string name = field.substr(0, colon);
    const std::string format = colon == std::string::npos ? "" : field.substr(colon + 1);
    char text[64];
    if (name == "epoch") {
      const int width = format.size() > 1 ? std::atoi(format.c_str()) : 1;
      std::snprintf(text, sizeof(text), "%0*d", width, epoch + 1);
    } else {
      const std::size_t dot = format.find('.');
      const int digits = dot == std::string::npos ? 6 : std::atoi(format.c_str() + dot + 1);
      std::snprintf(text, sizeof(text), "%.*f", digits, monitored("ModelCheckpoint", name, logs));
    }
    path += text;
    i = close;
  }
  if (options_.save_weights_only) {
    control->save_weights(path);
  } else {
    control->save(path);
  }
  if (options_.verbose > 0) std::printf("Epoch %d: saved %s\n", epoch + 1, path.c_str());
}

ReduceLROnPlateau::ReduceLROnPlateau(ReduceLROnPlateauOptions options)
    : options_(std::move(options)) {
  larger_is_better_ = grows("ReduceLROnPlateau", options_.monitor, options_.mode);
  if (options_.factor >= 1) {
    throw RangeError("ReduceLROnPlateau: factor must be below 1, not " +
                     std::to_string(options_.factor));
  }
}

void ReduceLROnPlateau::on_train_begin() {
  best_.reset();
  wait_ = 0;
  cooling_ = 0;
}

void ReduceLROnPlateau::on_epoch_end(int epoch, Logs& logs) {
  const double current = monitored("ReduceLROnPlateau", options_.monitor, logs);
  logs.set("learning_rate", control->learning_rate());
  if (cooling_ > 0) {
    --cooling_;
    wait_ = 0;
  }
  const bool better = !best_ || (larger_is_better_ ? current > *best_ + options_.min_delta
                                                   : current < *best_ - options_.min_delta);
  if (better) {
    best_ = current;
    wait_ = 0;
    return;
  }
  if (cooling_ > 0) return;
  if (++wait_ < options_.patience) return;
  const double old = control->learning_rate();
  if (old <= static_cast<double>(static_cast<float>(options_.min_lr))) return;
  const double reduced = std::max(old * options_.factor, options_.min_lr);
  control->set_learning_rate(reduced);
  cooling_ = options_.cooldown;
  wait_ = 0;
  if (options_.verbose > 0) std::printf("Epoch %d: learning rate becomes %g\n", epoch + 1, reduced);
}

LearningRateScheduler::LearningRateScheduler(Schedule schedule) : schedule_(std::move(schedule)) {
  if (!schedule_) throw RangeError("LearningRateScheduler: the schedule is no function");
}

void LearningRateScheduler::on_epoch_begin(int epoch) {
  control->set_learning_rate(schedule_(epoch, control->learning_rate()));
}

void LearningRateScheduler::on_epoch_end(int, Logs& logs) {
  logs.set("learning_rate", control->learning_rate());
}

void CSVLogger::on_train_begin() {
  columns_.clear();
  if (options_.append) return;
  std::ofstream file(options_.filename, std::ios::trunc);
  if (!file) throw IoError("CSVLogger: cannot write \"" + options_.filename + "\"");
}

void CSVLogger::on_epoch_end(int epoch, Logs& logs) {
  // At the end, whose place tells whether the file has its line of names.
  std::ofstream file(options_.filename, std::ios::app | std::ios::ate);
  file.precision(17);
  if (columns_.empty()) {
    for (const auto& [name, value] : logs) columns_.push_back(name);
    if (file.tellp() == 0) {
      file << "epoch";
      for (const std::string& name : columns_) file << options_.separator << name;
      file << "\n";
    }
  }
  file << epoch;
  for (const std::string& name : columns_) {
    file << options_.separator;
    if (logs.contains(name)) file << logs[name];
  }
  file << "\n";
  file.flush();
  if (!file) throw IoError("CSVLogger: cannot write \"" + options_.filename + "\"");
}

void TerminateOnNaN::on_train_batch_end(std::int64_t, const Logs& logs) {
  if (logs.contains("loss") && !std::isfinite(logs["loss"])) control->stop_training();
}

StopOnInterrupt::~StopOnInterrupt() { restore(); }

void StopOnInterrupt::on_train_begin() {
  restore();  // of a fit that never came to its end
  const std::lock_guard lock(watch_mutex);
  seen_ = interrupts;
  watching_ = true;
  if (watchers++ > 0) return;
  struct sigaction action {};
  action.sa_handler = note_interrupt;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, &previous_action);
}

void StopOnInterrupt::stop_if_interrupted() {
  if (interrupts != seen_) control->stop_training();
}

void StopOnInterrupt::on_train_batch_end(std::int64_t, const Logs&) { stop_if_interrupted(); }
// It may have come during the validation.
void StopOnInterrupt::on_epoch_end(int, Logs&) { stop_if_interrupted(); }

void StopOnInterrupt::on_train_end() { restore(); }
void StopOnInterrupt::on_train_failed() { restore(); }

void StopOnInterrupt::restore() {
  if (!watching_) return;
  watching_ = false;
  const std::lock_guard lock(watch_mutex);
  if (--watchers == 0) sigaction(SIGINT, &previous_action, nullptr);
}

}  // namespace braid::callbacks
