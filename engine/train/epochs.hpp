#pragma once
#include "engine/train/device_steps.hpp"
#include "engine/train/lease.hpp"
#include "engine/train/progress.hpp"
#include "engine/train/row_order.hpp"

namespace braid {

// Epochs over the same bound rows, step by step: of training or of evaluation. The host feeds batch
// after batch and waits for each, unless it prepares the device for all.
class Trainer::Epochs {
 public:
  Epochs(Trainer& trainer, const std::string& call, Pass pass, const Bound& bound,
         std::int64_t batch_size);

  // Where the device has room for the data, or for some batches of them; worth it if they are used
  // more than once, or in many batches. OutOfMemory where there is no room for a batch.
  void prepare_device(const Lease& lease);

  std::int64_t steps() const { return (bound_.rows + batch_size_ - 1) / batch_size_; }
  void begin(const Lease& lease, const Shuffle& shuffle);
  // All steps of an epoch have been run, and the next will be of this shuffle.
  void expect(const Lease& lease, const Shuffle& shuffle);
  // Steps first .. last - 1; begins where the last call ended.
  void run(Lease& lease, std::int64_t first, std::int64_t last);
  // Of the epoch so far: waits for its steps.
  Logs logs(const Lease& lease);
  // Shows how far the pass has come, where it is time to: with the newest logs that a device has
  // sent, and how many steps those are of. Waits for none.
  void show(const Lease& lease, Progress& progress, std::int64_t steps_launched);

 private:
  Trainer& trainer_;
  const std::string& call_;
  Pass pass_;
  const Bound& bound_;
  std::int64_t batch_size_;
  std::vector<std::int64_t> order_;  // of rows that the host feeds; empty: as they lie
  RunningLogs logs_;
  std::unique_ptr<DeviceSteps> device_steps_;
};

}  // namespace braid
