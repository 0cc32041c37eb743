#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "engine/runtime/device_array.hpp"
#include "engine/runtime/pinned_block.hpp"
#include "engine/train/epoch_rows.hpp"
#include "engine/train/optimizer_state.hpp"
#include "engine/train/running_logs.hpp"

namespace braid {

// The steps of epochs on a device, which has all that changes from step to step: the rows of the
// batches, how far the epoch has come, the rates of the optimizer, the seed of dropout, the sums of
// losses and metrics. The host launches, and waits only where it must have the sums, or for the
// copies of rows that do not stay on the device.
class DeviceSteps {
 public:
  // The data stay on the device, unless they, their order and the rates would take more than half
  // of the memory that it has left once the largest batch is planned, or BRAID_NO_RESIDENT_DATA is
  // set. Then they are streamed, window by window, unless these would, or BRAID_NO_STREAMED_DATA is
  // set. Null where neither is possible, as on the CPU: the host has to feed each batch.
  // BRAID_DUMP=data says which it is. OutOfMemory where the largest batch finds no memory. Without
  // an optimizer nothing is learnt.
  static std::unique_ptr<DeviceSteps> make(Session& session, const StepGraph& step,
                                           const Bound& bound, std::int64_t batch_size,
                                           std::int64_t steps_per_execution,
                                           OptimizerState* optimizer, const RunningLogs& logs);

  void begin_epoch(const Session& session, const Shuffle& shuffle, std::uint64_t seed);
  // All steps of an epoch are launched; if another follows, it will be of this shuffle.
  void expect_epoch(const Session& session, const Shuffle& shuffle);
  // Launches steps first .. last - 1; `update` is launched behind each.
  void run(Session& session, std::int64_t first, std::int64_t last,
           const std::function<void()>& update);
  // Brings the sums of the epoch so far to the host: waits for its steps.
  void read(const Session& session, RunningLogs& logs);
  // The same for somebody who will not wait. Asks for the sums so far, unless some are on their
  // way; once they have come, they are taken up, and the steps that they are of are told.
  void ask(const Session& session);
  std::optional<std::int64_t> answer(RunningLogs& logs);

 private:
  // Where a sum of the logs lies among all.
  struct Sum {
    std::size_t number;
    RunningLogs::Summand summand;
    std::int64_t first;
    std::int64_t count;
  };

  DeviceSteps(Device device, const StepGraph& step, const Program& program, const Bound& bound,
              std::int64_t batch_size, OptimizerState* optimizer, const RunningLogs& logs,
              std::unique_ptr<EpochRows> rows);

  std::int64_t steps() const;
  BatchRows batch(std::int64_t step) const;
  // True unless somebody else has trained or set the rate since.
  bool is_up_to_date(std::int64_t last) const;
  // Sends all that changes from step to step to the device, and the rates up to step `last`.
  void bring_up_to_date(const Session& session, std::int64_t last);
  void lay_out_sums(const Program& program, const RunningLogs& logs);
  void end_step(const kernels::Stream& stream, const Session& session) const;
  void fetch(const Session& session, PinnedBlock& block) const;
  // The sums in a block are those after so many steps of the epoch.
  void take_up(const PinnedBlock& block, std::int64_t steps, RunningLogs& logs) const;

  const StepGraph& step_;
  const Bound& bound_;
  std::int64_t batch_size_;
  OptimizerState* optimizer_;
  Device device_;
  std::uint64_t key_ = new_launch_key();
  std::unique_ptr<EpochRows> rows_;
  DeviceArray<kernels::StepCursor> cursor_;
  DeviceArray<kernels::UpdateRates> rates_;  // of each step of the epoch
  std::vector<Sum> sums_;
  std::vector<std::size_t> summed_outputs_;  // of the programs
  std::int64_t sum_count_ = 0;
  DeviceArray<double> sums_there_;
  PinnedBlock sums_read_;
  PinnedBlock sums_asked_for_;
  std::optional<std::int64_t> asked_after_;  // steps of the epoch; none: nothing is on its way
  Staging staging_;
  std::uint64_t seed_ = 0;
  std::int64_t done_ = 0;       // steps of the epoch
  std::int64_t iteration_ = 0;  // of the optimizer, when these are done
  // Steps that the device knows the rates of, and these rates.
  std::int64_t first_known_ = 0;
  std::vector<kernels::UpdateRates> known_rates_;
};

}  // namespace braid
