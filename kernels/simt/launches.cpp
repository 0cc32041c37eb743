#include <algorithm>
#include <mutex>
#include <set>
#include <utility>

#include "engine/core/error.hpp"
#include "kernels/simt/broken_device.hpp"
#include "kernels/simt/emulated_faults.hpp"
#include "kernels/simt/emulated_stream.hpp"
#include "kernels/simt/launch_limits.hpp"
#include "kernels/simt/launch_records.hpp"
#include "kernels/simt/state.hpp"

namespace braid::simt {
namespace {

constexpr Schedule kInTurn[] = {
    {Order::forward}, {Order::reverse}, {Order::random, 1}, {Order::random, 2}, {Order::random, 3}};

// Puts the schedule back that a launch has replaced by one of those.
struct ScheduleOfLaunch {
  Schedule asked = machine.schedule;
  ~ScheduleOfLaunch() { machine.schedule = asked; }
};

std::mutex one_launch_at_a_time;
std::int64_t launches_before_fault = -1;
std::map<std::string, LaunchRecord> launches;

// Made by the first who asks: sources note their kernels before the program starts.
std::set<std::string>& launchable() {
  static std::set<std::string> names;
  return names;
}

}  // namespace

void set_schedule(const Schedule& schedule) {
  const std::lock_guard lock(one_launch_at_a_time);
  machine.schedule = schedule;
}

Schedule current_schedule() { return machine.schedule; }

std::map<std::string, std::int64_t> launched_kernels() {
  const std::lock_guard lock(one_launch_at_a_time);
  std::map<std::string, std::int64_t> counts;
  for (const auto& [name, record] : launches) counts[name] = record.launches;
  return counts;
}

std::map<std::string, LaunchRecord> launch_records() {
  const std::lock_guard lock(one_launch_at_a_time);
  return launches;
}

bool note_launchable(std::string_view kernel) {
  launchable().emplace(kernel);
  return true;
}

std::vector<std::string> launchable_kernels() { return {launchable().begin(), launchable().end()}; }

void plan_launch(void* stream, std::string_view kernel, const LaunchShape& shape,
                 bool cooperative) {
  refuse_impossible(kernel, shape, cooperative);
  static_cast<EmulatedStream*>(stream)->planned->push_back({std::string(kernel), shape});
}

void fail_after_launches(std::int64_t count) {
  const std::lock_guard lock(one_launch_at_a_time);
  launches_before_fault = count;
}

void run_kernel(const KernelCall& kernel, const LaunchShape& shape, bool cooperative) {
  const std::lock_guard lock(one_launch_at_a_time);
  refuse_impossible(kernel.name, shape, cooperative);
  if (is_broken()) require_not_known_broken(described(kernel.name, shape));
  if (breaks_here()) return;
  if (launches_before_fault >= 0 && launches_before_fault-- == 0)
    throw DeviceError(described(kernel.name, shape) + ": a fault on purpose");
  LaunchRecord& record = launches[std::string(kernel.name)];
  ++record.launches;
  record.threads = std::max(record.threads, shape.block.count());
  record.shared = std::max(record.shared, shape.shared);
  const ScheduleOfLaunch schedule;
  if (schedule.asked.order == Order::in_turn)
    machine.schedule = kInTurn[static_cast<std::size_t>(record.in_turn++) % std::size(kInTurn)];
  record.orders |= 1U << static_cast<unsigned>(machine.schedule.order);
  machine.record = &record;
  machine.kernel = kernel;
  machine.cooperative = cooperative;
  machine.random_state = machine.schedule.seed;
  races::start_launch();
  gridDim = {static_cast<unsigned>(shape.grid.x), static_cast<unsigned>(shape.grid.y),
             static_cast<unsigned>(shape.grid.z)};
  blockDim = {static_cast<unsigned>(shape.block.x), static_cast<unsigned>(shape.block.y),
              static_cast<unsigned>(shape.block.z)};
  std::vector<std::int64_t> numbers(static_cast<std::size_t>(shape.grid.count()));
  for (std::size_t n = 0; n < numbers.size(); ++n) {
    const bool reversed = machine.schedule.order == Order::reverse;
    numbers[n] = static_cast<std::int64_t>(reversed ? numbers.size() - 1 - n : n);
  }
  if (machine.schedule.order == Order::random) {
    for (std::size_t n = numbers.size(); n > 1; --n) {
      std::swap(numbers[n - 1], numbers[random_number() % n]);
    }
  }
  if (cooperative) {
    run_blocks(shape, numbers);
  } else {
    for (const std::int64_t number : numbers) run_blocks(shape, {number});
  }
  races::end_launch(record);
}

}  // namespace braid::simt
