#pragma once
#include <cstdint>
#include <map>
#include <vector>

#include "bench/reference_models.hpp"

namespace bench {

// The least time that work can take on the default device, and what it is reckoned from.
struct Floor {
  Work work;
  double operations_per_second = 0;
  double bytes_per_second = 0;

  double operations_us() const { return work.operations / operations_per_second * 1e6; }
  double bytes_us() const { return work.bytes / bytes_per_second * 1e6; }
};

// The rates are the best seen so far: floors fall while the machine gets quieter.
class Floors {
 public:
  // Of the mean of several works.
  Floor of(const std::vector<Work>& works);

 private:
  void measure_processor(std::int64_t bytes, double& rate);
  void measure_device(double& rate);

  double operations_ = 0;
  std::map<std::int64_t, double> bytes_;
};

}  // namespace bench
