#pragma once
#include <chrono>
#include <cstdint>
#include <string>

#include <braid/history.hpp>

namespace braid {

// Progress of one pass over the data on standard output: a bar with the time left where a person
// looks on, one plain line a pass (and one every half minute) where the output is piped.
class Progress {
 public:
  // `verbose` as in FitOptions.
  Progress(int verbose, std::int64_t batches);

  // `title`: "Epoch 2/5", or empty.
  void begin(const std::string& title);
  void show(std::int64_t batches_done, const Logs& logs);
  void end(const Logs& logs);
  // Whether show() would print now: the logs need not be worked out otherwise.
  bool due(std::int64_t batches_done) const;

 private:
  using Clock = std::chrono::steady_clock;
  double seconds() const;

  int verbose_;
  std::int64_t batches_;
  bool terminal_;
  Clock::time_point start_;
  Clock::time_point shown_;
  std::size_t width_ = 0;
};

}  // namespace braid
