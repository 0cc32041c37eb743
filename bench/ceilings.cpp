#include "bench/ceilings.hpp"

#include <algorithm>

#include "bench/clock.hpp"

namespace bench {

namespace {

constexpr double kSpinSeconds = 1;

}  // namespace

double Ceilings::rate(Precision precision) const {
  switch (precision) {
    case Precision::float32: return facts.float32_per_second;
    case Precision::tf32: return facts.tf32_per_second;
    case Precision::bfloat16: return facts.bfloat16_per_second;
  }
  return 0;
}

double Ceilings::floor_us(const Effort& effort) const {
  const double operations = rate(effort.precision);
  return 1e6 * std::max(copied > 0 ? effort.bytes / copied : 0,
                        operations > 0 ? effort.operations / operations : 0);
}

double spin_up(braid::Device device) {
  const auto start = Clock::now();
  double rate = copied_bytes_per_second(device);
  while (device.kind() == braid::Device::Kind::cuda && seconds_since(start) < kSpinSeconds)
    rate = copied_bytes_per_second(device);
  return rate;
}

}  // namespace bench
