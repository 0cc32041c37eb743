#pragma once
#include "bench/device_facts.hpp"
#include "bench/device_problems.hpp"

namespace bench {

// What a device can do at most, as measured and as it says of itself.
struct Ceilings {
  DeviceFacts facts;
  double copied = 0;

  double rate(Precision precision) const;
  // Microseconds that its operations, or its bytes, take at least.
  double floor_us(const Effort& effort) const;
};

// Keeps a GPU busy until its clock is high: one that has been idle starts at a low clock. Returns
// the rate of a copy then.
double spin_up(braid::Device device);

}  // namespace bench
