#include "kernels/simt/races.hpp"

#if defined(BRAID_SIMT_RACES)
#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <memory>
#include <set>
#include <thread>
#include <unordered_map>

#include "kernels/simt/moved_bytes.hpp"
#include "kernels/simt/state.hpp"

namespace braid::simt {
namespace {

bool only_counts = false;

}  // namespace

void only_count_bytes(bool only) { only_counts = only; }

namespace races {
namespace {

// How far each thread's own work is known, and the blocks that ended before and are known whole.
struct Clock {
  std::vector<std::uint32_t> known;
  std::set<int> blocks;

  void join(const Clock& other) {
    known.resize(std::max(known.size(), other.known.size()));
    for (std::size_t i = 0; i < other.known.size(); ++i) {
      known[i] = std::max(known[i], other.known[i]);
    }
    blocks.insert(other.blocks.begin(), other.blocks.end());
  }
};

struct ThreadClocks {
  Clock own;
  Clock fenced;    // what an atomic operation hands on: as of the last fence
  Clock received;  // what atomic operations found: known from the next fence on
};

// One access, as a granule of two bytes remembers it.
struct Stamp {
  int round = -1;  // which blocks were alive together; -1: none
  int thread = 0;
  std::uint32_t time = 0;
  std::uint8_t bytes = 0;  // which of the granule's
  bool atomic = false;
  const void* code = nullptr;
};
struct Granule {
  Stamp write;
  std::array<Stamp, 3> reads;
};
constexpr std::uintptr_t kPage = 4096;
using Page = std::array<Granule, kPage / 2>;

std::unordered_map<std::uintptr_t, std::unique_ptr<Page>> pages;
std::unordered_map<const void*, Clock> released;
std::vector<ThreadClocks> clocks;
MovedBytes moved;
int current_round = 0;
// The host thread that runs the launch.
std::atomic<std::thread::id> runner;
bool looks_away = false;

ThreadClocks& clocks_of(const Thread& thread) {
  return clocks[static_cast<std::size_t>(thread.global)];
}

void go_on(const Thread& thread) {
  ++clocks_of(thread).own.known[static_cast<std::size_t>(thread.global)];
}

bool ordered(const Stamp& before, const Thread& thread) {
  const Clock& clock = clocks_of(thread).own;
  if (before.round != current_round) return clock.blocks.contains(before.round);
  return clock.known[static_cast<std::size_t>(before.thread)] >= before.time;
}

// "bugs.cu:40", or an address.
std::string line_of(const void* code) {
  Dl_info info{};
  if (code == nullptr || dladdr(code, &info) == 0) return "an unknown place";
  const auto offset =
      reinterpret_cast<std::uintptr_t>(code) - reinterpret_cast<std::uintptr_t>(info.dli_fbase) - 1;
  char command[512];
  std::snprintf(command, sizeof command, "addr2line -s -e '%s' %#zx 2>/dev/null", info.dli_fname,
                static_cast<std::size_t>(offset));
  std::string line;
  if (FILE* pipe = popen(command, "r")) {
    char text[256];
    if (std::fgets(text, sizeof text, pipe) != nullptr) line = text;
    pclose(pipe);
  }
  while (!line.empty() && (line.back() == '\n' || line.back() == ' ')) line.pop_back();
  return line.empty() ? std::string("an unknown place") : line;
}

[[noreturn]] void report(const Stamp& before, bool wrote, const void* address, bool writes,
                         const void* code) {
  const auto per_block = static_cast<int>(machine.blocks[0]->threads.size());
  std::string who = "a thread of an earlier block";
  if (before.round == current_round) {
    const Block& block = *machine.blocks[static_cast<std::size_t>(before.thread / per_block)];
    who = "block " + described(block.index) + ", thread " +
          described(block.threads[static_cast<std::size_t>(before.thread % per_block)].index);
  }
  fail(std::string("race: ") + (writes ? "writes" : "reads") +
           (is_shared(address, 1) ? " shared" : " global") + " memory at " + line_of(code) +
           " that " + who + (wrote ? " wrote" : " read") + " at " + line_of(before.code) +
           ", and nothing orders the two",
       {});
}

void remember_read(Granule& granule, const Stamp& stamp, const Thread& thread) {
  for (Stamp& read : granule.reads) {
    if (read.round == -1 || (read.thread == stamp.thread && read.round == stamp.round) ||
        ordered(read, thread)) {
      read = stamp;
      return;
    }
  }
  granule.reads[stamp.time % granule.reads.size()] = stamp;
}

}  // namespace

void start_launch() {
  runner = std::this_thread::get_id();
  pages.clear();
  released.clear();
  moved.start_launch();
  current_round = 0;
}

void end_launch(LaunchRecord& record) { moved.add_to(record); }

void start_blocks(int threads) {
  if (only_counts) return;
  ++current_round;
  const auto count = static_cast<std::size_t>(threads);
  clocks.assign(count, {});
  for (std::size_t t = 0; t < count; ++t) {
    clocks[t].own.known.assign(count, 0);
    clocks[t].own.known[t] = 1;
  }
  // What atomics handed on before is told of whole blocks; what else was released is over.
  for (auto& [object, clock] : released) clock.known.clear();
}

void look_away(bool away) { looks_away = away; }

void forget(const void* memory, std::size_t bytes) {
  const auto start = reinterpret_cast<std::uintptr_t>(memory);
  const std::uintptr_t end = start + bytes;
  for (std::uintptr_t page = start / kPage; page * kPage < end; ++page) {
    const auto found = pages.find(page);
    if (found == pages.end()) continue;
    if (page * kPage >= start && (page + 1) * kPage <= end) {
      pages.erase(found);
      continue;
    }
    for (std::uintptr_t i = 0; i < kPage / 2; ++i) {
      const std::uintptr_t at = page * kPage + 2 * i;
      if (at >= start && at < end) (*found->second)[i] = {};
    }
  }
}

void access(const void* address, std::size_t bytes, bool writes, bool is_atomic, const void* code) {
  // Host code of a kernel's source is watched too; it may run beside a launch.
  if (runner != std::this_thread::get_id()) return;
  const Thread* thread = machine.current;
  if (looks_away || thread == nullptr || thread->fiber == nullptr) return;
  const auto start = reinterpret_cast<std::uintptr_t>(address);
  const auto stack = reinterpret_cast<std::uintptr_t>(thread->fiber->stack);
  if (start - stack < thread->fiber->size) return;
  if (writes) {
    moved.write(address, bytes);
  } else if (is_atomic) {
    moved.atomic_read(address, bytes);
  } else {
    moved.read(address, bytes);
  }
  if (only_counts) return;
  const std::uint32_t time = clocks_of(*thread).own.known[static_cast<std::size_t>(thread->global)];
  for (std::uintptr_t at = start & ~std::uintptr_t{1}; at < start + bytes; at += 2) {
    std::unique_ptr<Page>& page = pages[at / kPage];
    if (!page) page = std::make_unique<Page>();
    Granule& granule = (*page)[at % kPage / 2];
    Stamp stamp{current_round, thread->global, time, 0, is_atomic, code};
    if (at >= start) stamp.bytes |= 1U;
    if (at + 1 >= start && at + 1 < start + bytes) stamp.bytes |= 2U;
    const auto conflicts = [&](const Stamp& before) {
      return before.round != -1 && (before.bytes & stamp.bytes) != 0 &&
             !(before.atomic && is_atomic) &&
             (before.thread != stamp.thread || before.round != current_round) &&
             !ordered(before, *thread);
    };
    if (conflicts(granule.write)) report(granule.write, true, address, writes, code);
    if (!writes) {
      remember_read(granule, stamp, *thread);
      continue;
    }
    for (const Stamp& read : granule.reads) {
      if (conflicts(read)) report(read, false, address, writes, code);
    }
    // The other byte's write stays known only if one stamp can tell of both.
    if (granule.write.round == stamp.round && granule.write.thread == stamp.thread) {
      stamp.bytes |= granule.write.bytes;
    }
    granule.write = stamp;
  }
}

void meet(Thread* const* threads, std::size_t count) {
  if (only_counts) return;
  Clock all;
  for (std::size_t i = 0; i < count; ++i) all.join(clocks_of(*threads[i]).own);
  for (std::size_t i = 0; i < count; ++i) {
    clocks_of(*threads[i]).own = all;
    go_on(*threads[i]);
  }
}

void release(Thread& thread, const void* object) {
  if (only_counts) return;
  released[object].join(clocks_of(thread).own);
  go_on(thread);
}

void acquire(Thread& thread, const void* object) {
  if (only_counts) return;
  const auto found = released.find(object);
  if (found != released.end()) clocks_of(thread).own.join(found->second);
}

void fence() {
  if (only_counts) return;
  ThreadClocks& mine = clocks_of(*machine.current);
  mine.own.join(mine.received);
  mine.fenced = mine.own;
  mine.fenced.blocks.insert(current_round);
  go_on(*machine.current);
}

void atomic(const void* address, std::size_t bytes, const void* code) {
  access(address, bytes, true, true, code);
  moved.atomic_read(address, bytes);
  if (only_counts) return;
  ThreadClocks& mine = clocks_of(*machine.current);
  Clock& here = released[address];
  mine.received.join(here);
  here.join(mine.fenced);
}

}  // namespace races
}  // namespace braid::simt

// What instrumented code calls.
#define BRAID_HOOK(name, bytes, writes)                                                     \
  extern "C" void __tsan_##name(void* address) {                                            \
    braid::simt::races::access(address, bytes, writes, false, __builtin_return_address(0)); \
  }
BRAID_HOOK(read1, 1, false)
BRAID_HOOK(read2, 2, false)
BRAID_HOOK(read4, 4, false)
BRAID_HOOK(read8, 8, false)
BRAID_HOOK(read16, 16, false)
BRAID_HOOK(write1, 1, true)
BRAID_HOOK(write2, 2, true)
BRAID_HOOK(write4, 4, true)
BRAID_HOOK(write8, 8, true)
BRAID_HOOK(write16, 16, true)
BRAID_HOOK(unaligned_read2, 2, false)
BRAID_HOOK(unaligned_read4, 4, false)
BRAID_HOOK(unaligned_read8, 8, false)
BRAID_HOOK(unaligned_read16, 16, false)
BRAID_HOOK(unaligned_write2, 2, true)
BRAID_HOOK(unaligned_write4, 4, true)
BRAID_HOOK(unaligned_write8, 8, true)
BRAID_HOOK(unaligned_write16, 16, true)
extern "C" {
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
// Of a static variable's guard, in host functions.
char __tsan_atomic8_load(const volatile char* address, int) {
  return __atomic_load_n(address, __ATOMIC_ACQUIRE);
}
void __tsan_read_range(void* address, std::size_t bytes) {
  braid::simt::races::access(address, bytes, false, false, __builtin_return_address(0));
}
void __tsan_write_range(void* address, std::size_t bytes) {
  braid::simt::races::access(address, bytes, true, false, __builtin_return_address(0));
}
}
#endif
