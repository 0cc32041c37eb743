#pragma once
#include <cstdint>
#include <vector>

#include "bench/reference_models.hpp"

namespace bench {

// Microseconds of a step within one fit, by epoch, once data and recordings are where they stay.
struct FitTimes {
  // From the begin of the epoch until its losses are in the hands of the host.
  std::vector<double> step;
  // From the end of an epoch until that of a later one, with all that lies between: on a device 200
  // steps later, or as long as is measured.
  std::vector<double> block;
  // From the first launch of the epoch until the last has been handed over: nobody waits in
  // between, unless the device's queue is full or the host feeds the steps. By the clock, and of
  // this thread's processor time.
  std::vector<double> host;
  std::vector<double> processor;
};

// Epochs of `count` steps of `batch` rows, `at_once` of them a launch, for so many seconds, and not
// so many epochs that all is learnt.
FitTimes times_within_fit(const ReferenceModel& reference, std::int64_t batch, std::int64_t count,
                          std::int64_t at_once, double seconds);

}  // namespace bench
