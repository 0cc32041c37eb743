#include "kernels/simt/races.hpp"

#if defined(BRAID_SIMT_RACES)
#include <dlfcn.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <memory>
#include <thread>
#include <unordered_map>

#include "kernels/simt/moved_bytes.hpp"
#include "kernels/simt/race_clocks.hpp"

namespace braid::simt {

void only_count_bytes(bool only) { races::only_counts = only; }

namespace races {
namespace {

// One access, as a granule of two bytes remembers it.
struct Stamp : Moment {
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
MovedBytes moved;
// The host thread that runs the launch.
std::atomic<std::thread::id> runner;
bool looks_away = false;

Page& page_of(std::uintptr_t at) {
  std::unique_ptr<Page>& page = pages[at / kPage];
  if (!page) page = std::make_unique<Page>();
  return *page;
}

// "samples.cu:40", or an address.
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
  if (before.round == now().round) {
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

void remember_read(Granule& granule, const Stamp& stamp) {
  for (Stamp& read : granule.reads) {
    if (read.round == -1 || (read.thread == stamp.thread && read.round == stamp.round) ||
        is_known(read)) {
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
  moved.start_launch();
  start_clocks();
}

void end_launch(LaunchRecord& record) { moved.add_to(record); }

void start_blocks(int threads) {
  if (only_counts) return;
  start_round(threads);
  forget_words();
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
  const Moment moment = now();
  Page* page = nullptr;
  for (std::uintptr_t at = start & ~std::uintptr_t{1}; at < start + bytes; at += 2) {
    if (page == nullptr || at % kPage == 0) page = &page_of(at);
    Granule& granule = (*page)[at % kPage / 2];
    Stamp stamp{moment, 0, is_atomic, code};
    if (at >= start) stamp.bytes |= 1U;
    if (at + 1 >= start && at + 1 < start + bytes) stamp.bytes |= 2U;
    const auto conflicts = [&](const Stamp& before) {
      return before.round != -1 && (before.bytes & stamp.bytes) != 0 &&
             !(before.atomic && is_atomic) &&
             (before.thread != stamp.thread || before.round != stamp.round) && !is_known(before);
    };
    if (conflicts(granule.write)) report(granule.write, true, address, writes, code);
    if (!writes) {
      remember_read(granule, stamp);
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

void atomic(const void* address, std::size_t bytes, const void* code) {
  access(address, bytes, true, true, code);
  moved.atomic_read(address, bytes);
  if (!only_counts) exchange(address);
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
