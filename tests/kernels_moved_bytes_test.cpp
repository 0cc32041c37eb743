// The bytes of the device's memory that launches read and write, each counted once: the race
// flavour sees them, others count nothing.
#include <algorithm>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "engine/core/device_access.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/embedding.hpp"
#include "kernels/simt/launch_records.hpp"
#include "kernels/simt/moved_bytes.hpp"
#include "tests/simt/samples.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/emulated_gpu_scope.hpp"
#include "tests/support/guarded_matrix.hpp"
#include "tests/support/kernel_table.hpp"
#include "tests/support/replayed_step.hpp"

namespace braid::testing {
namespace {

namespace run = samples::emulated;
using kernels::Backend;

const kernels::Stream kStream{Backend::emulated};

struct Moved {
  std::int64_t read = 0;
  std::int64_t written = 0;
  bool operator==(const Moved&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Moved& moved) {
  return out << moved.read << " bytes read, " << moved.written << " written";
}

Moved moved_so_far() {
  Moved sum;
  for (const auto& [name, record] : simt::launch_records()) {
    sum.read += record.bytes_read;
    sum.written += record.bytes_written;
  }
  return sum;
}

// By what `work` launches, in every order of threads.
void check_moved(const Moved& expected, const std::function<void()>& work) {
#if defined(BRAID_SIMT_RACES)
  const Moved& seen = expected;
#else
  static_cast<void>(expected);
  const Moved seen;
#endif
  for (const simt::Schedule& schedule : every_schedule()) {
    INFO(described(schedule));
    const ScheduleScope scope(schedule);
    const Moved before = moved_so_far();
    work();
    const Moved after = moved_so_far();
    CHECK(Moved{after.read - before.read, after.written - before.written} == seen);
  }
}

// Zeros on the emulated device.
template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(std::int64_t count)
      : memory_(allocate_on(Device::emulated(), static_cast<std::size_t>(count) * sizeof(T),
                            "an array of a test")) {
    std::fill_n(data(), count, T{});
  }
  T* data() { return reinterpret_cast<T*>(memory_.get()); }

 private:
  std::shared_ptr<std::byte[]> memory_;
};

}  // namespace

TEST_CASE("moved bytes: of a copy those of its rows, not of the gaps between them") {
  const LaunchesAlone alone;
  for (const std::int64_t columns : {7, 48}) {
    GuardedMatrix<std::uint8_t> in(Numbers(static_cast<std::size_t>(5 * columns), 1), columns, 16);
    GuardedMatrix<std::uint8_t> out(5, columns, 16);
    check_moved({5 * columns, 5 * columns}, [&] {
      launch_on(Backend::emulated, kernels::CopyRows{.in = in.matrix(), .out = out.matrix()});
    });
  }
}

TEST_CASE("moved bytes: a row that is read several times is counted once") {
  const LaunchesAlone alone;
  RandomNumbers random(71);
  GuardedMatrix<std::int32_t> ids({3, 5, 3, 3, 5, 1}, 3);
  GuardedMatrix<float> table(random.floats(9 * 4, -1, 1), 4);
  GuardedMatrix<float> out(6, 4);
  check_moved({6 * 4 + 3 * 16, 6 * 16}, [&] {
    launch_on(Backend::emulated,
              kernels::EmbeddingForward{
                  .ids = ids.matrix(), .table = table.matrix(), .out = out.matrix()});
  });
}

TEST_CASE(
    "moved bytes: what a launch reads of its own results is not counted, atomics always are") {
  const EmulatedGpuScope gpu(kH100);
  constexpr int kCount = 130;  // five blocks of 32 numbers
  DeviceArray<float> in(kCount);
  DeviceArray<float> other(kCount);
  DeviceArray<unsigned> flags(5);
  DeviceArray<int> ids(kCount);
  DeviceArray<unsigned> counts(32);
  // Flags are awaited by all blocks but the first, sums read by those that follow.
  check_moved({4 * kCount + 4 * 4, 5 * 4 + 5 * 4}, [&] {
    std::fill_n(flags.data(), 5, 0U);
    run::relay(kStream, in.data(), kCount, flags.data(), other.data());
  });
  check_moved({4 * kCount, 4 * kCount},
              [&] { run::smooth(kStream, in.data(), other.data(), kCount, 1); });
  check_moved({4 * kCount, 8 * kCount},
              [&] { run::smooth(kStream, in.data(), other.data(), kCount, 4); });
  check_moved({4 * kCount + 4 * 32, 4 * 32},
              [&] { run::count_ids(kStream, ids.data(), kCount, counts.data()); });
}

TEST_CASE("moved bytes: memory that is not the device's does not count") {
  std::vector<float> in(64, 1.0F);
  std::vector<float> out(64);
  check_moved({0, 0}, [&] { run::smooth(kStream, in.data(), out.data(), 64, 1); });
}

#if defined(BRAID_SIMT_RACES)
namespace {

const std::vector<std::string> kColumns{"model",      "kernel",        "launches",
                                        "bytes read", "bytes written", "both"};

class OnlyCounts {
 public:
  OnlyCounts() { simt::only_count_bytes(true); }
  ~OnlyCounts() { simt::only_count_bytes(false); }
  OnlyCounts(const OnlyCounts&) = delete;
  OnlyCounts& operator=(const OnlyCounts&) = delete;
};

std::vector<std::string> rows_of_steps() {
  const OnlyCounts no_races;
  std::vector<std::string> rows;
  const auto add = [&](const std::string& model, const std::string& kernel,
                       const KernelOfStep& of_step) {
    rows.push_back(
        table_row({model, kernel, std::to_string(of_step.launches),
                   std::to_string(of_step.bytes_read), std::to_string(of_step.bytes_written),
                   std::to_string(of_step.bytes_read + of_step.bytes_written)}));
  };
  for (const std::string model : {"m1", "m2", "m3"}) {
    const ReplayedStep step = replayed_step(model, kRowsOfTable);
    for (const auto& [kernel, of_step] : step) add(model, kernel, of_step);
    add(model, "all", total_of(step));
    const std::int64_t least = least_bytes_of_step(model, kRowsOfTable);
    rows.push_back(table_row({model, "at least", "", "", "", std::to_string(least)}));
  }
  return rows;
}
const std::vector<std::string>& rows_of_steps_once() {
  static const std::vector<std::string> rows = rows_of_steps();
  return rows;
}

}  // namespace

TEST_CASE("moved bytes: of the reference models' steps, for `make kernels`") {
  CHECK(rows_of_steps_once().size() > 6);
  write_section("bytes.md", kColumns, rows_of_steps_once());
}

TEST_CASE("kernel table: a step of a reference model moves the bytes that it names") {
  const auto committed = committed_rows("Bytes that a training step moves");
  if (!committed) return;
  INFO("`make kernels` writes the table anew");
  CHECK(*committed == rows_of_steps_once());
}

TEST_CASE("moved bytes: of a step they do not depend on the order of threads, nor on addresses") {
  for (const std::string model : {"m1", "m3"}) {
    INFO(model);
    const ReplayedStep first = replayed_step(model, 8);
    for (const simt::Schedule& schedule : every_schedule()) {
      INFO(described(schedule));
      const ScheduleScope scope(schedule);
      const DeviceArray<float> shifts_addresses(77777);
      for (const auto& [kernel, of_step] : replayed_step(model, 8)) {
        INFO(kernel);
        CHECK(of_step.bytes_read == first.at(kernel).bytes_read);
        CHECK(of_step.bytes_written == first.at(kernel).bytes_written);
      }
    }
  }
}
#endif

}  // namespace braid::testing
