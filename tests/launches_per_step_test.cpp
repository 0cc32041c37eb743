// How many launches a recorded training step of the reference models takes on a device. Each costs
// a small model more than its arithmetic does.
#include <cstdlib>
#include <fstream>
#include <map>
#include <string>

#include "bench/reference_models.hpp"
#include "kernels/simt/launch_records.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/kernel_launch.hpp"
#include "tests/support/on_device.hpp"

namespace braid {
namespace {

// What a step launches, by the name of the kernel.
using Step = std::map<std::string, std::int64_t>;

// Launches of a replayed step; what is no kernel of the GPU (copies, fills, kernels of the CPU that
// stand in for missing ones) counts as "other".
Step replayed_step(const std::string& name) {
  constexpr std::int64_t kRows = 4;
  const testing::OnDevice here(Device::emulated());
  const bench::ReferenceModel& reference = bench::ReferenceModel::named(name);
  const bench::Rows batch = reference.training().slice(0, kRows);
  Model model = reference.make();
  // The first step is launched, the second recorded and replayed.
  for (int step = 0; step < 2; ++step) model.train_on_batch(batch.x, batch.y);
  auto before = simt::launch_records();
  model.train_on_batch(batch.x, batch.y);
  Step launches;
  std::int64_t kernels = 0;
  for (const auto& [kernel, record] : simt::launch_records()) {
    const std::int64_t count = record.launches - before[kernel].launches;
    if (count == 0) continue;
    launches[testing::short_kernel_name(kernel)] += count;
    kernels += count;
  }
  const auto other = static_cast<std::int64_t>(simt::launches_of_last_replay()) - kernels;
  REQUIRE(other >= 0);
  if (other > 0) launches["other"] = other;
  return launches;
}

std::int64_t total_of(const Step& step) {
  std::int64_t total = 0;
  for (const auto& [kernel, count] : step) total += count;
  return total;
}

// Into the file that BRAID_LAUNCH_TABLE names, for `make kernels`.
void write_table(const std::map<std::string, Step>& steps) {
  const char* const name = std::getenv("BRAID_LAUNCH_TABLE");
  if (name == nullptr) return;
  std::ofstream file(name);
  file << "| launched |";
  for (const auto& [model, step] : steps) file << " " << model << " |";
  file << "\n|---|---|---|---|\n";
  Step all;
  for (const auto& [model, step] : steps) all.insert(step.begin(), step.end());
  for (const auto& [kernel, count] : all) {
    file << "| " << kernel << " |";
    for (const auto& [model, step] : steps) {
      const auto found = step.find(kernel);
      file << " " << (found == step.end() ? "" : std::to_string(found->second)) << " |";
    }
    file << "\n";
  }
  file << "| all |";
  for (const auto& [model, step] : steps) file << " " << total_of(step) << " |";
  file << "\n";
}

}  // namespace

TEST_CASE("launches: a step on resident data has no more: it gathers, ends and updates in them") {
  const testing::OnDevice here(Device::emulated());
  const std::map<std::string, std::size_t> most{{"m1", 2}, {"m2", 9}, {"m3", 2}};
  for (const auto& [name, budget] : most) {
    const bench::ReferenceModel& reference = bench::ReferenceModel::named(name);
    const bench::Rows rows = reference.training().slice(0, 12);
    Model model = reference.make();
    // Of one length, so that all steps are one program.
    FitOptions options{.batch_size = 4, .epochs = 3, .verbose = 0, .shuffle = false};
    model.fit(rows.x, rows.y, options);
    INFO(name);
    CHECK(simt::launches_of_last_replay() <= budget);
  }
}

TEST_CASE("launches: a step of a reference model is replayed within its budget") {
  const std::map<std::string, std::int64_t> most{{"m1", 2}, {"m2", 8}, {"m3", 2}};
  std::map<std::string, Step> steps;
  for (const auto& [name, budget] : most) {
    steps[name] = replayed_step(name);
    INFO(name);
    CHECK(total_of(steps[name]) <= budget);
  }
  write_table(steps);
}

}  // namespace braid
