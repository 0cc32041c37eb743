#include "bench/fit_clock.hpp"

#include <ctime>
#include <limits>
#include <memory>

#include "bench/clock.hpp"

using namespace braid;

namespace bench {
namespace {

// The first epochs launch and record; and a device that has been idle starts at a low clock.
constexpr int kWarmEpochs = 3;
constexpr std::int64_t kWarmSteps = 50;
constexpr double kWarmSeconds = 0.1;
// Before the weights have learnt all there is and gradients vanish.
constexpr std::int64_t kMostSteps = 1000;
constexpr std::int64_t kBlockSteps = 200;

double processor_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

class FitClock final : public callbacks::Callback {
 public:
  FitClock(double seconds, std::int64_t block_steps)
      : seconds_(seconds), block_steps_(block_steps) {}

  const FitTimes& times() const { return times_; }

  void on_train_begin() override { began_ = Clock::now(); }
  void on_epoch_begin(int) override { epoch_began_ = Clock::now(); }
  void on_train_batch_begin(std::int64_t batch) override {
    if (batch > 0) return;
    processor_began_ = processor_seconds();
    launches_began_ = Clock::now();
  }
  void on_train_batch_end(std::int64_t batch, const Logs&) override {
    if (batch + 1 < batches) return;
    host_ = seconds_since(launches_began_);
    processor_ = processor_seconds() - processor_began_;
  }
  void on_epoch_end(int epoch, Logs&) override {
    const double of_epoch = seconds_since(epoch_began_);
    if (!warm_) {
      warm_ = epoch + 1 >= kWarmEpochs && (epoch + 1) * batches >= kWarmSteps &&
              seconds_since(began_) >= kWarmSeconds;
      measuring_since_ = block_began_ = Clock::now();
      return;
    }
    steps_of_block_ += batches;
    const double of_block = seconds_since(block_began_);
    if (steps_of_block_ >= block_steps_ || of_block >= seconds_) {
      times_.block.push_back(1e6 * of_block / static_cast<double>(steps_of_block_));
      steps_of_block_ = 0;
      block_began_ = Clock::now();
    }
    const double to_step = 1e6 / static_cast<double>(batches);
    times_.step.push_back(of_epoch * to_step);
    times_.host.push_back(host_ * to_step);
    times_.processor.push_back(processor_ * to_step);
    const auto steps = static_cast<std::int64_t>(times_.step.size()) * batches;
    if (!times_.block.empty() &&
        (steps >= kMostSteps || seconds_since(measuring_since_) >= seconds_))
      control->stop_training();
  }

 private:
  double seconds_;
  std::int64_t block_steps_;
  std::int64_t steps_of_block_ = 0;
  bool warm_ = false;
  Clock::time_point began_;
  Clock::time_point measuring_since_;
  Clock::time_point epoch_began_;
  Clock::time_point block_began_;
  Clock::time_point launches_began_;
  double processor_began_ = 0;
  double host_ = 0;
  double processor_ = 0;
  FitTimes times_;
};

}  // namespace

FitTimes times_within_fit(const ReferenceModel& reference, std::int64_t batch, std::int64_t count,
                          std::int64_t at_once, double seconds) {
  ReferenceModel::set_steps_per_execution(static_cast<int>(at_once));
  Model model = reference.make();
  ReferenceModel::set_steps_per_execution(1);
  const Rows rows = reference.training().slice(0, batch * count);
  // A processor may be busy with other things: its least time is that of an epoch.
  const bool on_device = default_device() != Device::cpu();
  const auto clock = std::make_shared<FitClock>(seconds, on_device ? kBlockSteps : 1);
  model.fit(rows.x, rows.y,
            {.batch_size = batch,
             .epochs = std::numeric_limits<int>::max(),
             .verbose = 0,
             .callbacks = {clock},
             .seed = 1});
  return clock->times();
}

}  // namespace bench
