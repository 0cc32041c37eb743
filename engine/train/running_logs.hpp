#pragma once
#include <string>
#include <vector>

#include "engine/train/session.hpp"

namespace braid {

// Sums over the batches of an epoch or an evaluation, from which the logs follow: the total loss
// weighted by rows, metrics by what they count, and the losses of single outputs by batches, as
// Keras's graphs have them, which do not know how many rows a batch will have.
class RunningLogs {
 public:
  explicit RunningLogs(const Objective& objective);

  void reset();
  // Takes up the batch that the session ran last.
  void add(const StepGraph& step, const Session& session);
  Logs logs() const;

 private:
  const Objective& objective_;
  double rows_ = 0;
  double batches_ = 0;
  double total_loss_ = 0;
  std::vector<double> output_losses_;
  std::vector<std::vector<double>> metrics_;
};

}  // namespace braid
