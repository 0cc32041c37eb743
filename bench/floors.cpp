#include "bench/floors.hpp"

#include <algorithm>

#include "bench/device_facts.hpp"
#include "bench/processor_peak.hpp"
#include "engine/runtime/parallel.hpp"

using braid::Precision;

namespace bench {
namespace {

double rate_of(const DeviceFacts& facts, Precision precision) {
  switch (precision) {
    case Precision::float32: return facts.float32_per_second;
    case Precision::tf32: return facts.tf32_per_second;
    case Precision::bfloat16: return facts.bfloat16_per_second;
  }
  return 0;
}

}  // namespace

Floor Floors::of(const std::vector<Work>& works) {
  Work mean;
  for (const Work& work : works) {
    mean.operations += work.operations / static_cast<double>(works.size());
    mean.bytes += work.bytes / static_cast<double>(works.size());
  }
  double& rate = bytes_[static_cast<std::int64_t>(mean.bytes)];
  if (braid::default_device() == braid::Device::cpu()) {
    measure_processor(static_cast<std::int64_t>(mean.bytes), rate);
  } else {
    measure_device(rate);
  }
  return {mean, operations_, rate};
}

void Floors::measure_processor(std::int64_t bytes, double& rate) {
  const int threads = braid::thread_count();
  const braid::kernels::Backend backend = braid::kernels::best_backend();
  operations_ = std::max(operations_, peak_operations_per_second(backend, threads));
  rate = std::max(rate, peak_bytes_per_second(backend, threads, bytes));
}

void Floors::measure_device(double& rate) {
  // 0 where it is not known: the floor is then infinite, for which JSON has no number.
  operations_ = rate_of(facts_of(braid::default_device()), ReferenceModel::precision());
  rate = std::max(rate, copied_bytes_per_second(braid::default_device()));
}

}  // namespace bench
