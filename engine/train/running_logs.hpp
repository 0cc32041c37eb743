#pragma once
#include <span>
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

  // What a step adds to one sum: an output of its graph (-1: none), as it is or times its rows.
  struct Summand {
    int output;
    bool times_rows;
  };
  std::size_t sums() const { return sums_.size(); }
  Summand summand(const StepGraph& step, std::size_t sum) const;

  void reset();
  // Takes up the batch that the session ran last.
  void add(const StepGraph& step, const Session& session);
  // Sums that were made elsewhere, over so many rows and batches, replace these.
  void set_counts(std::int64_t rows, std::int64_t batches);
  void set_sum(std::size_t sum, std::span<const double> values);
  Logs logs() const;

 private:
  const Objective& objective_;
  double rows_ = 0;
  double batches_ = 0;
  std::vector<std::vector<double>> sums_;  // the total loss, the losses of outputs, the metrics
  std::vector<std::size_t> added_;         // which of them a batch adds to
  std::vector<int> added_outputs_;         // by these outputs of its graph
};

}  // namespace braid
