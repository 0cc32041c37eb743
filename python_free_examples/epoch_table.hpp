#pragma once
#include <unistd.h>

#include <braid/callbacks.hpp>
#include <chrono>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

// Progress as a table, one line an epoch: the losses, and the accuracy of each output on the
// validation rows. Where a person looks on, the epoch in progress shows how far it is.
class EpochTable : public braid::callbacks::Callback {
 public:
  explicit EpochTable(std::vector<std::string> outputs) : outputs_(std::move(outputs)) {}

  void on_train_begin() override {
    std::printf("  epoch  seconds     loss  validation: loss");
    for (const std::string& output : outputs_) std::printf("  %12s", output.c_str());
    std::printf("\n");
    std::fflush(stdout);
  }

  void on_epoch_begin(int) override { begun_ = shown_ = Clock::now(); }

  void on_train_batch_end(std::int64_t batch, const braid::Logs&) override {
    if (!terminal_ || Clock::now() - shown_ < std::chrono::milliseconds(200)) return;
    shown_ = Clock::now();
    std::printf("\r  %lld of %lld steps", static_cast<long long>(batch + 1),
                static_cast<long long>(batches));
    std::fflush(stdout);
  }

  void on_epoch_end(int epoch, braid::Logs& logs) override {
    const double seconds = std::chrono::duration<double>(Clock::now() - begun_).count();
    std::printf("%s%3d/%-3d %8.1f %8.4f %17.4f", terminal_ ? "\r\033[K" : "", epoch + 1, epochs,
                seconds, logs["loss"], logs["val_loss"]);
    for (const std::string& output : outputs_)
      std::printf("  %10.1f %%", 100 * logs["val_" + output + "_accuracy"]);
    std::printf("\n");
    std::fflush(stdout);
  }

 private:
  using Clock = std::chrono::steady_clock;
  std::vector<std::string> outputs_;
  bool terminal_ = isatty(STDOUT_FILENO) == 1;
  Clock::time_point begun_;
  Clock::time_point shown_;
};
