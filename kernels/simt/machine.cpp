#include "kernels/simt/machine.hpp"

#include <algorithm>
#include <mutex>
#include <set>

#include "engine/core/error.hpp"
#include "kernels/simt/broken_device.hpp"
#include "kernels/simt/emulated_faults.hpp"
#include "kernels/simt/emulated_stream.hpp"
#include "kernels/simt/launch_records.hpp"
#include "kernels/simt/state.hpp"

namespace braid::simt {

uint3 threadIdx;
uint3 blockIdx;
dim3 blockDim;
dim3 gridDim;
Machine machine;

namespace {

// Rounds in which every thread that can run only looked at what it awaits. Some loops count their
// looks before they do something else.
constexpr int kIdleRounds = 200;

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

void make_current(Thread& thread) {
  machine.current = &thread;
  threadIdx = thread.index;
  blockIdx = thread.block->index;
}

// Ends the thread that runs, and with it the launch: run_threads catches this.
struct Failure {
  std::string text;
};
[[noreturn]] void give_up(std::string text) {
#if defined(BRAID_SIMT_RACES)
  // Nothing can be thrown through an instrumented access. What lies on the stack is lost.
  machine.failure = std::move(text);
  switch_fiber(*machine.current->fiber, machine.host, true);
  __builtin_unreachable();
#else
  throw Failure{std::move(text)};
#endif
}

std::string who_waits() {
  struct Group {
    const char* what;
    std::string where;
    int count;
    const Thread* first;
  };
  std::vector<Group> groups;
  for (std::size_t b = 0; b < machine.alive; ++b) {
    for (const Thread& thread : machine.blocks[b]->threads) {
      if (thread.ended || thread.waits_for == nullptr) continue;
      const std::string where = described(thread.where);
      bool found = false;
      for (Group& group : groups) {
        if (group.where != where || std::string_view(group.what) != thread.waits_for) continue;
        ++group.count;
        found = true;
        break;
      }
      if (!found) groups.push_back({thread.waits_for, where, 1, &thread});
    }
  }
  std::string text;
  for (const Group& group : groups) {
    text += (text.empty() ? "" : "; ") + std::to_string(group.count) + " in " + group.what +
            " at " + group.where + " (first: block " + described(group.first->block->index) +
            ", thread " + described(group.first->index) + ")";
  }
  return text;
}

int pick() {
  switch (machine.schedule.order) {
    case Order::forward: return machine.runnable.first();
    case Order::reverse: return machine.runnable.last();
    case Order::in_turn:  // a launch has picked one
    case Order::random: break;
  }
  const auto limit = static_cast<std::uint64_t>(machine.runnable.limit());
  return machine.runnable.at_or_after(static_cast<int>(random_number() % limit));
}

Thread& thread_of(int number) {
  const auto per_block = static_cast<int>(machine.blocks[0]->threads.size());
  Block& block = *machine.blocks[static_cast<std::size_t>(number / per_block)];
  return block.threads[static_cast<std::size_t>(number % per_block)];
}

// The thread that runs next; null when all have ended. Copies arrive, and who only awaits a flag
// looks again, when nobody else can run.
Thread* next_thread() {
  for (;;) {
    if (!machine.runnable.empty()) {
      const int number = pick();
      machine.runnable.erase(number);
      return &thread_of(number);
    }
    if (land_bulk_copy()) continue;
    if (!machine.spinning.empty()) {
      machine.idle_rounds =
          machine.progress == machine.progress_before ? machine.idle_rounds + 1 : 0;
      machine.progress_before = machine.progress;
      if (machine.idle_rounds > kIdleRounds) {
        give_up("livelock: nothing changes any more; " + who_waits());
      }
      for (Thread* thread : machine.spinning) wake(*thread);
      machine.spinning.clear();
      continue;
    }
    const std::string waiting = who_waits();
    if (!waiting.empty()) give_up("deadlock: " + waiting);
    return nullptr;
  }
}

void end_thread(Thread& thread) {
  thread.ended = true;
  ++machine.progress;
  if (!thread.copies.empty()) {
    fail("ended while " + std::to_string(thread.copies.size()) + " of its copies were in flight",
         thread.where);
  }
  check_barriers_at_end(thread);
  check_warp_at_end(thread);
}

// Runs threads that start one after another, until one that waited goes on in a fiber of its own.
// Returns that one; null when all have ended.
Thread* run_until_one_goes_on(Fiber& fiber) {
  for (;;) {
    Thread& thread = *machine.current;
    machine.kernel.run(machine.kernel.arguments);
    end_thread(thread);
    Thread* next = next_thread();
    thread.fiber = nullptr;
    if (next == nullptr) return nullptr;
    make_current(*next);
    if (next->fiber != nullptr) return next;
    next->fiber = &fiber;
  }
}

void run_threads() {
  fiber_entered();
  Fiber& fiber = *machine.current->fiber;
  Fiber* next = &machine.host;
  bool failed = false;
  try {
    if (Thread* thread = run_until_one_goes_on(fiber)) next = thread->fiber;
  } catch (const Failure& failure) {
    machine.failure = failure.text;
    failed = true;
  }
  // The fiber of a thread that failed is given back with those of the threads that it leaves
  // behind.
  if (!failed && !machine.fibers.give_back(fiber)) {
    machine.failure = "a thread used up its stack";
    next = &machine.host;
  }
  switch_fiber(fiber, *next, true);
}

// Starts whoever is first, and returns when all blocks that are alive have ended or failed.
void run_alive() {
  Thread* first = next_thread();
  make_current(*first);
  first->fiber = &machine.fibers.take(run_threads);
  switch_fiber(machine.host, *first->fiber);
  machine.current = nullptr;
}

void start_block(std::size_t slot, const uint3& index, const LaunchShape& shape) {
  if (machine.blocks.size() <= slot) machine.blocks.push_back(std::make_unique<Block>());
  Block& block = *machine.blocks[slot];
  const auto count = static_cast<std::size_t>(shape.block.count());
  block.index = index;
  block.threads.resize(count);
  int number = 0;
  for (Thread& thread : block.threads) {
    const auto n = static_cast<unsigned>(number);
    thread.block = &block;
    thread.index = {n % blockDim.x, n / blockDim.x % blockDim.y, n / blockDim.x / blockDim.y};
    thread.number = number;
    thread.global = static_cast<int>(slot * count) + number;
    thread.fiber = nullptr;
    thread.ended = false;
    thread.waits_for = nullptr;
    thread.copies.clear();
    thread.group_ends.clear();
    machine.runnable.insert(thread.global);
    ++number;
  }
  block.warps.assign((count + kWarpLanes - 1) / kWarpLanes, {});
  block.whole = {};
  block.whole.expected = static_cast<int>(count);
  block.named.fill({});
  block.ended = 0;
  block.mbarriers.clear();
  block.memory.start(static_cast<std::size_t>(shape.shared));
}

uint3 index_of(std::int64_t number) {
  const auto n = static_cast<unsigned>(number);
  return {n % gridDim.x, n / gridDim.x % gridDim.y, n / gridDim.x / gridDim.y};
}

std::string text_of(const Extent& extent) {
  return "(" + std::to_string(extent.x) + ", " + std::to_string(extent.y) + ", " +
         std::to_string(extent.z) + ")";
}

std::string text_of(std::string_view kernel, const LaunchShape& shape) {
  return "kernel " + std::string(kernel) + ", grid " + text_of(shape.grid) + ", block " +
         text_of(shape.block) + ", shared memory " + std::to_string(shape.shared) +
         ", launched at " + described(shape.where);
}

void finish(const LaunchShape& shape) {
  std::string failure = std::move(machine.failure);
  machine.failure.clear();
  if (failure.empty() && !machine.bulk_copies.empty()) {
    failure = "ended while a bulk copy was in flight, issued at " +
              described(machine.bulk_copies.front().where);
  }
  for (std::size_t b = 0; b < machine.alive; ++b) {
    Block& block = *machine.blocks[b];
    for (Thread& thread : block.threads) {
      // Stacks of threads that were given up hold nothing that must be destroyed.
      if (thread.fiber != nullptr) static_cast<void>(machine.fibers.give_back(*thread.fiber));
      thread.fiber = nullptr;
    }
    if (failure.empty()) {
      const std::string damage = block.memory.damage();
      if (!damage.empty()) failure = "block " + described(block.index) + " " + damage;
    }
  }
  machine.bulk_copies.clear();
  machine.spinning.clear();
  if (!failure.empty()) throw DeviceError(text_of(machine.kernel.name, shape) + ": " + failure);
}

void run_blocks(const LaunchShape& shape, const std::vector<std::int64_t>& numbers) {
  const auto threads = static_cast<int>(shape.block.count());
  machine.alive = numbers.size();
  machine.runnable.reset(static_cast<int>(numbers.size()) * threads);
  machine.whole_grid = {};
  machine.whole_grid.expected = machine.runnable.limit();
  machine.ended = 0;
  machine.idle_rounds = 0;
  races::start_blocks(machine.runnable.limit());
  for (std::size_t slot = 0; slot < numbers.size(); ++slot) {
    start_block(slot, index_of(numbers[slot]), shape);
  }
  run_alive();
  finish(shape);
}

// A bad shape in words; empty if there is nothing to say against it.
std::string objection(const LaunchShape& shape, bool cooperative) {
  constexpr std::int64_t kMost = 65535;
  const Extent& grid = shape.grid;
  const Extent& block = shape.block;
  if (grid.x < 1 || grid.y < 1 || grid.z < 1) return "a grid has at least one block";
  if (grid.x > 0x7FFFFFFF || grid.y > kMost || grid.z > kMost) {
    return "a grid has at most (2147483647, 65535, 65535) blocks";
  }
  if (block.x < 1 || block.y < 1 || block.z < 1) return "a block has at least one warp";
  if (block.x > kMaxThreads || block.y > kMaxThreads || block.z > 64 ||
      block.count() > kMaxThreads) {
    return "a block has at most " + std::to_string(kMaxThreads) + " threads, 64 along z";
  }
  if (block.count() % kWarpLanes != 0) return "the threads of a block are whole warps of 32";
  if (shape.shared < 0 || shape.shared > static_cast<std::int64_t>(kSharedBytes)) {
    return "a block has at most " + std::to_string(kSharedBytes) + " bytes of shared memory";
  }
  if (cooperative) {
    const std::int64_t held = blocks_held(shape);
    if (grid.x > held || grid.count() > held) {
      return "a cooperative launch runs all blocks at once, and the device holds " +
             std::to_string(held) + " of these";
    }
  }
  return "";
}

void refuse_impossible(std::string_view kernel, const LaunchShape& shape, bool cooperative) {
  const std::string refused = objection(shape, cooperative);
  if (!refused.empty()) throw DeviceError(text_of(kernel, shape) + ": " + refused);
}

}  // namespace

std::int64_t blocks_held(const LaunchShape& shape) {
  const auto bytes = static_cast<std::int64_t>(kSharedReservedPerBlock) + shape.shared;
  const std::int64_t fit = std::min<std::int64_t>(kBlocksOfMultiprocessor,
                                                  kThreadsOfMultiprocessor / shape.block.count());
  return std::min(fit, static_cast<std::int64_t>(kSharedOfMultiprocessor) / bytes) *
         kMultiprocessors;
}

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
  if (is_broken()) require_not_known_broken(text_of(kernel.name, shape));
  if (breaks_here()) return;
  if (launches_before_fault >= 0 && launches_before_fault-- == 0)
    throw DeviceError(text_of(kernel.name, shape) + ": a fault on purpose");
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

void fail(const std::string& what, const Place& where) {
  const Thread& thread = *machine.current;
  give_up("block " + described(thread.block->index) + ", thread " + described(thread.index) +
          (where.line() == 0 ? "" : " at " + described(where)) + ": " + what);
}

void wait(const char* what, const Place& where) {
  Thread& self = *machine.current;
  self.waits_for = what;
  self.where = where;
  Thread* next = next_thread();
  if (next == &self) return;
  Fiber& fiber = *self.fiber;
  make_current(*next);
  if (next->fiber == nullptr) next->fiber = &machine.fibers.take(run_threads);
  switch_fiber(fiber, *next->fiber);
}

void wake(Thread& thread) {
  thread.waits_for = nullptr;
  machine.runnable.insert(thread.global);
}

void spin(const Place& where) {
  machine.spinning.push_back(machine.current);
  wait("a loop with spin_pause", where);
}

void note_progress() { ++machine.progress; }

void note_atomic(const void* address, std::size_t bytes) {
  ++machine.progress;
  races::atomic(address, bytes, __builtin_return_address(0));
}

void note_release(const void* address) {
  ++machine.progress;
  races::access(address, sizeof(unsigned), true, true, __builtin_return_address(0));
  races::release(*machine.current, address);
}

void note_acquire(const void* address) {
  races::access(address, sizeof(unsigned), false, true, __builtin_return_address(0));
  races::acquire(*machine.current, address);
}

void note_fence() { races::fence(); }

void* shared_array(const SharedArray& declaration) {
  return machine.current->block->memory.array(declaration);
}

void* dynamic_shared_memory() { return machine.current->block->memory.dynamic(); }

bool is_shared(const void* address, std::size_t bytes) {
  return machine.current->block->memory.holds(address, bytes);
}

void require_aligned(const void* address, std::size_t alignment, const char* what,
                     const Place& where) {
  const std::size_t beyond = reinterpret_cast<std::uintptr_t>(address) % alignment;
  if (beyond == 0) return;
  fail(std::string(what) + ": the address is " + std::to_string(beyond) +
           " bytes beyond a multiple of " + std::to_string(alignment),
       where);
}

void require_shared(const void* address, std::size_t bytes, std::size_t alignment, const char* what,
                    const Place& where) {
  require_aligned(address, alignment, what, where);
  if (!is_shared(address, bytes)) {
    fail(std::string(what) + ": " + std::to_string(bytes) +
             " bytes that do not lie within an array of the block's shared memory",
         where);
  }
}

std::uint64_t random_number() {
  machine.random_state += 0x9e3779b97f4a7c15U;
  std::uint64_t z = machine.random_state;
  z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
  return z ^ (z >> 31U);
}

std::string described(const Place& where) {
  const std::string_view path = where.file_name();
  const std::size_t slash = path.rfind('/');
  return std::string(slash == std::string_view::npos ? path : path.substr(slash + 1)) + ":" +
         std::to_string(where.line());
}

std::string described(const uint3& index) {
  return "(" + std::to_string(index.x) + ", " + std::to_string(index.y) + ", " +
         std::to_string(index.z) + ")";
}

}  // namespace braid::simt
