#include "kernels/simt/machine.hpp"

#include "engine/core/error.hpp"
#include "kernels/simt/described_launch.hpp"
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
  if (!failure.empty()) throw DeviceError(described(machine.kernel.name, shape) + ": " + failure);
}

}  // namespace

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

void note_relaxed_load(const void* address, std::size_t bytes) {
  races::access(address, bytes, false, true, __builtin_return_address(0));
}

void note_relaxed_store(const void* address, std::size_t bytes) {
  ++machine.progress;
  races::access(address, bytes, true, true, __builtin_return_address(0));
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

std::string described(std::string_view kernel, const LaunchShape& shape) {
  return described_launch(kernel, shape) + ", launched at " + described(shape.where);
}

}  // namespace braid::simt
