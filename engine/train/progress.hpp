#pragma once
#include <chrono>
#include <cstdint>
#include <string>

#include <braid/history.hpp>

namespace braid {

// Progress of an epoch on standard output: a bar with the time left where a person looks on, one
// plain line an epoch (and one every half minute) where the output is piped.
class Progress {
 public:
  // `verbose` as in FitOptions.
  Progress(int verbose, int epochs, std::int64_t batches);

  void begin_epoch(int epoch);
  void show(std::int64_t batches_done, const Logs& logs);
  void end_epoch(const Logs& logs);
  // Whether show() would print now: the logs need not be worked out otherwise.
  bool due(std::int64_t batches_done) const;

 private:
  using Clock = std::chrono::steady_clock;
  double seconds() const;

  int verbose_;
  int epochs_;
  std::int64_t batches_;
  bool terminal_;
  Clock::time_point start_;
  Clock::time_point shown_;
  std::size_t width_ = 0;
};

}  // namespace braid
