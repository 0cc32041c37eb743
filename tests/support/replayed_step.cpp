#include "tests/support/replayed_step.hpp"

#include "bench/reference_models.hpp"
#include "kernels/simt/launch_records.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/kernel_launch.hpp"
#include "tests/support/on_device.hpp"

namespace braid::testing {

ReplayedStep replayed_step(const std::string& name, std::int64_t rows) {
  const OnDevice here(Device::emulated());
  const bench::ReferenceModel& reference = bench::ReferenceModel::named(name);
  const bench::Rows batch = reference.training().slice(0, rows);
  Model model = reference.make();
  // The first step is launched, the second recorded and replayed.
  for (int step = 0; step < 2; ++step) model.train_on_batch(batch.x, batch.y);
  auto before = simt::launch_records();
  model.train_on_batch(batch.x, batch.y);
  ReplayedStep launches;
  for (const auto& [kernel, record] : simt::launch_records()) {
    const simt::LaunchRecord& then = before[kernel];
    if (record.launches == then.launches) continue;
    KernelOfStep& of_step = launches[short_kernel_name(kernel)];
    of_step.launches += record.launches - then.launches;
    of_step.bytes_read += record.bytes_read - then.bytes_read;
    of_step.bytes_written += record.bytes_written - then.bytes_written;
  }
  const auto other =
      static_cast<std::int64_t>(simt::launches_of_last_replay()) - total_of(launches).launches;
  REQUIRE(other >= 0);
  if (other > 0) launches["other"].launches = other;
  return launches;
}

KernelOfStep total_of(const ReplayedStep& step) {
  KernelOfStep total;
  for (const auto& [kernel, of_step] : step) {
    total.launches += of_step.launches;
    total.bytes_read += of_step.bytes_read;
    total.bytes_written += of_step.bytes_written;
  }
  return total;
}

std::int64_t least_bytes_of_step(const std::string& name, std::int64_t rows) {
  const bench::ReferenceModel& reference = bench::ReferenceModel::named(name);
  return static_cast<std::int64_t>(
      reference.training_work(reference.training().slice(0, rows)).bytes);
}

}  // namespace braid::testing
