// Barriers of blocks and grids, and what the lanes of a warp do together.
#include <utility>

#include "kernels/simt/state.hpp"

namespace braid::simt {
namespace {

void release(Barrier& barrier) {
  ++machine.progress;
  barrier.present.push_back(machine.current);
  races::meet(barrier.present.data(), barrier.present.size());
  barrier.present.clear();
  barrier.result = barrier.predicates;
  barrier.predicates = 0;
  barrier.arrived = 0;
  std::vector<Thread*> waiting;
  waiting.swap(barrier.waiting);
  for (Thread* thread : waiting) wake(*thread);
  waiting.clear();
  waiting.swap(barrier.waiting);  // keeps its memory
}

bool same(const Place& a, const Place& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         std::string_view(a.file_name()) == b.file_name();
}

void arrive(Barrier& barrier, const char* what, const Place& where, bool may_differ) {
  if (barrier.arrived == 0) {
    barrier.where = where;
  } else if (!may_differ && !same(barrier.where, where)) {
    fail(std::string("barrier divergence: ") + what + " here, while other threads wait at " +
             described(barrier.where),
         where);
  }
  ++barrier.arrived;
}

// Waits unless this is the last thread.
void meet(Barrier& barrier, const char* what, const Place& where) {
  if (barrier.arrived == barrier.expected) return release(barrier);
  barrier.present.push_back(machine.current);
  barrier.waiting.push_back(machine.current);
  wait(what, where);
}

std::string lanes_of(unsigned mask) {
  std::string text;
  for (int lane = 0; lane < kWarpLanes; ++lane) {
    if ((mask >> static_cast<unsigned>(lane) & 1U) != 0) {
      text += (text.empty() ? "" : ", ") + std::to_string(lane);
    }
  }
  return text;
}

const char* name_of(WarpOperation operation) {
  switch (operation) {
    case WarpOperation::synchronize: return "__syncwarp";
    case WarpOperation::shuffle: return "a shuffle";
    case WarpOperation::ballot: return "a ballot";
    case WarpOperation::match: return "a match";
    case WarpOperation::reduce: return "a reduction of a warp";
    case WarpOperation::load_matrix: return "ldmatrix";
    case WarpOperation::multiply_matrices: return "mma";
  }
  return "a warp operation";
}

}  // namespace

void watch_barriers(BarrierWatch watch) { machine.watch = std::move(watch); }

void block_barrier(const Place& where) { block_barrier_count(false, where); }

int block_barrier_count(bool predicate, const Place& where) {
  Block& block = *machine.current->block;
  if (block.ended > 0) {
    fail("barrier divergence: __syncthreads, after " + std::to_string(block.ended) +
             " threads of the block have ended",
         where);
  }
  arrive(block.whole, "__syncthreads", where, false);
  block.whole.predicates += predicate ? 1 : 0;
  if (block.whole.arrived == block.whole.expected) {
    ++machine.record->barriers;
    if (machine.watch) machine.watch(machine.kernel.name, block.whole.passed);
    ++block.whole.passed;
  }
  meet(block.whole, "__syncthreads", where);
  return block.whole.result;
}

void named_barrier(int id, int threads, bool waits, const Place& where) {
  Block& block = *machine.current->block;
  if (id < 1 || id > 15 || threads < kWarpLanes || threads % kWarpLanes != 0 ||
      threads > block.whole.expected) {
    fail("named barrier " + std::to_string(id) + " of " + std::to_string(threads) +
             " threads: names are 1 .. 15, threads whole warps of the block",
         where);
  }
  Barrier& barrier = block.named[static_cast<std::size_t>(id)];
  if (barrier.arrived > 0 && barrier.expected != threads) {
    fail("named barrier " + std::to_string(id) + ": " + std::to_string(threads) +
             " threads, while others wait for " + std::to_string(barrier.expected),
         where);
  }
  barrier.expected = threads;
  arrive(barrier, "a named barrier", where, true);
  if (waits) return meet(barrier, "a named barrier", where);
  if (barrier.arrived == barrier.expected) return release(barrier);
  barrier.present.push_back(machine.current);
}

void grid_barrier(const Place& where) {
  if (!machine.cooperative) fail("grid_sync in a launch that is not cooperative", where);
  if (machine.ended > 0) {
    fail("barrier divergence: grid_sync, after " + std::to_string(machine.ended) +
             " threads have ended",
         where);
  }
  arrive(machine.whole_grid, "grid_sync", where, false);
  meet(machine.whole_grid, "grid_sync", where);
}

void check_barriers_at_end(Thread& thread) {
  Block& block = *thread.block;
  ++block.ended;
  ++machine.ended;
  for (const Barrier* barrier : {&block.whole, &machine.whole_grid}) {
    if (barrier->arrived == 0) continue;
    fail("barrier divergence: ended, while " + std::to_string(barrier->arrived) +
             " threads wait at " + described(barrier->where),
         {});
  }
}

void warp_together(const WarpCall& call, unsigned mask, LaneCall& lane, const Place& where) {
  Thread& self = *machine.current;
  Warp& warp = self.block->warps[static_cast<std::size_t>(self.number / kWarpLanes)];
  const unsigned bit = 1U << static_cast<unsigned>(self.lane());
  const char* name = name_of(call.operation);
  if ((mask & bit) == 0) {
    fail(std::string(name) + ": lane " + std::to_string(self.lane()) + " is outside of its mask (" +
             lanes_of(mask) + ")",
         where);
  }
  if ((mask & warp.ended) != 0) {
    fail(std::string(name) +
             ": the mask names lanes that have ended: " + lanes_of(mask & warp.ended),
         where);
  }
  self.lane_call = &lane;
  WarpGroup* own = nullptr;
  for (WarpGroup& group : warp.groups) {
    if (group.mask == mask) {
      own = &group;
    } else if ((group.arrived & mask) != 0 && (group.mask & bit) != 0) {
      fail(std::string(name) + " with lanes " + lanes_of(mask) + ", while lanes " +
               lanes_of(group.arrived) + " wait for this one in " + name_of(group.call->operation) +
               " with lanes " + lanes_of(group.mask),
           where);
    }
  }
  if (own == nullptr) {
    warp.groups.push_back({mask, 0, &call});
    own = &warp.groups.back();
  } else if (own->call->operation != call.operation || own->call->variant != call.variant) {
    fail(std::string("different operations: ") + name + " here, while other lanes are in " +
             name_of(own->call->operation) +
             (own->call->operation == call.operation ? " of another kind" : ""),
         where);
  }
  own->arrived |= bit;
  if (own->arrived != mask) return wait(name, where);
  ++machine.progress;
  if (call.operation == WarpOperation::shuffle) ++machine.record->shuffles;
  LaneCall* lanes[kWarpLanes] = {};
  Thread* present[kWarpLanes];
  std::size_t count = 0;
  const int first = self.number - self.lane();
  for (int i = 0; i < kWarpLanes; ++i) {
    if ((mask >> static_cast<unsigned>(i) & 1U) == 0) continue;
    Thread& thread = self.block->threads[static_cast<std::size_t>(first + i)];
    lanes[i] = thread.lane_call;
    present[count++] = &thread;
    if (&thread != &self) wake(thread);
  }
  if (call.operation == WarpOperation::synchronize) races::meet(present, count);
  *own = warp.groups.back();
  warp.groups.pop_back();
  if (call.compute == nullptr) return;
  // What the lanes bring lies on their stacks, and is none of the kernel's memory.
  races::look_away(true);
  call.compute(mask, lanes);
  races::look_away(false);
}

void check_warp_at_end(Thread& thread) {
  Warp& warp = thread.block->warps[static_cast<std::size_t>(thread.number / kWarpLanes)];
  const unsigned bit = 1U << static_cast<unsigned>(thread.lane());
  warp.ended |= bit;
  for (const WarpGroup& group : warp.groups) {
    if ((group.mask & bit) == 0) continue;
    fail("ended, while lanes " + lanes_of(group.arrived) + " wait for it in " +
             name_of(group.call->operation),
         {});
  }
}

}  // namespace braid::simt
