// Copies that arrive as late as they may, and the barriers in shared memory that count their bytes.
#include <cstring>

#include "kernels/simt/emulated_gpu.hpp"
#include "kernels/simt/state.hpp"

namespace braid::simt {
namespace {

// What an mbarrier's eight bytes hold, so that one that was never made, or was overwritten, shows.
std::uint64_t mark_of(const std::uint64_t* barrier) {
  return 0xB4551E55B4551E55U ^ reinterpret_cast<std::uintptr_t>(barrier);
}

void arrive_now(const Copy& copy) {
  // Of nothing, a copy may come from anywhere.
  if (copy.from_bytes > 0) std::memcpy(copy.to, copy.from, copy.from_bytes);
  std::memset(copy.to + copy.from_bytes, 0, copy.bytes - copy.from_bytes);
}

Mbarrier& mbarrier_at(std::uint64_t* barrier, const char* what, const Place& where) {
  require_shared(barrier, sizeof(std::uint64_t), sizeof(std::uint64_t), what, where);
  auto& known = machine.current->block->mbarriers;
  const auto found = known.find(barrier);
  if (found == known.end() || *barrier != mark_of(barrier)) {
    fail(std::string(what) + ": the barrier was not initialized, or was overwritten", where);
  }
  return found->second;
}

void complete_if_done(Mbarrier& barrier) {
  if (barrier.pending > 0 || barrier.bytes != 0) return;
  ++machine.progress;
  ++barrier.phase;
  barrier.pending = barrier.arrivals;
  for (Thread* thread : barrier.waiting) wake(*thread);
  barrier.waiting.clear();
}

}  // namespace

void issue_copy(void* to, const void* from, std::size_t bytes, std::size_t from_bytes,
                const Place& where) {
  require_shared(to, bytes, bytes, "cp_async, destination", where);
  require_aligned(from, bytes, "cp_async, source", where);
  if (from_bytes > bytes) {
    fail("cp_async: " + std::to_string(from_bytes) + " of " + std::to_string(bytes) + " bytes",
         where);
  }
  races::access(to, bytes, true, false, __builtin_return_address(0));
  // It may be read at once, or as late as at the wait.
  races::access(from, from_bytes, false, false, __builtin_return_address(0));
  std::memset(to, kPoison, bytes);
  machine.current->where = where;
  machine.current->copies.push_back(
      {static_cast<std::byte*>(to), static_cast<const std::byte*>(from), bytes, from_bytes});
  // Whoever watches barriers wants to know what has been asked for.
  if (machine.watch) arrive_now(machine.current->copies.back());
}

void commit_copies() {
  Thread& self = *machine.current;
  self.group_ends.push_back(self.copies.size());
}

void wait_for_copies(int groups_in_flight) {
  Thread& self = *machine.current;
  const auto groups = static_cast<std::ptrdiff_t>(self.group_ends.size());
  const std::ptrdiff_t landing = groups - groups_in_flight;
  if (landing <= 0) return;
  const std::size_t count = self.group_ends[static_cast<std::size_t>(landing - 1)];
  for (std::size_t i = 0; i < count; ++i) {
    const Copy& copy = self.copies[i];
    races::access(copy.to, copy.bytes, true, false, __builtin_return_address(0));
    races::access(copy.from, copy.from_bytes, false, false, __builtin_return_address(0));
    if (!machine.watch) arrive_now(copy);
  }
  self.copies.erase(self.copies.begin(), self.copies.begin() + static_cast<std::ptrdiff_t>(count));
  self.group_ends.erase(self.group_ends.begin(), self.group_ends.begin() + landing);
  for (std::size_t& end : self.group_ends) end -= count;
}

void make_mbarrier(std::uint64_t* barrier, int arrivals, const Place& where) {
  require_architecture(90, "an mbarrier", where);
  require_shared(barrier, sizeof(std::uint64_t), sizeof(std::uint64_t), "mbarrier_init", where);
  if (arrivals < 1 || arrivals >= 1 << 20) {
    fail("mbarrier_init: a barrier of " + std::to_string(arrivals) + " arrivals", where);
  }
  *barrier = mark_of(barrier);
  machine.current->block->mbarriers[barrier] = {.arrivals = arrivals, .pending = arrivals};
}

void fence_mbarriers() {
  for (auto& [address, barrier] : machine.current->block->mbarriers) barrier.fenced = true;
}

void arrive_at_mbarrier(std::uint64_t* address, std::int64_t expected_bytes, const Place& where) {
  Mbarrier& barrier = mbarrier_at(address, "mbarrier_arrive", where);
  if (barrier.pending == 0) {
    fail("mbarrier_arrive: more than " + std::to_string(barrier.arrivals) + " arrivals in a phase",
         where);
  }
  races::release(*machine.current, address);
  --barrier.pending;
  barrier.bytes += expected_bytes;
  complete_if_done(barrier);
}

void wait_at_mbarrier(std::uint64_t* address, unsigned parity, const Place& where) {
  Mbarrier& barrier = mbarrier_at(address, "mbarrier_wait", where);
  // Looks again after it was woken, as the hardware does: a phase too late is missed.
  while ((barrier.phase & 1U) == parity) {
    barrier.waiting.push_back(machine.current);
    wait("mbarrier_wait", where);
  }
  races::acquire(*machine.current, address);
}

void issue_bulk_copy(void* to, const void* from, std::size_t bytes, std::uint64_t* address,
                     const Place& where) {
  Mbarrier& barrier = mbarrier_at(address, "bulk_copy, barrier", where);
  if (!barrier.fenced) {
    fail("bulk_copy: the barrier was initialized without fence_mbarrier_init after it", where);
  }
  if (bytes == 0 || bytes % 16 != 0) {
    fail("bulk_copy: " + std::to_string(bytes) + " bytes are no multiple of 16", where);
  }
  require_shared(to, bytes, 16, "bulk_copy, destination", where);
  require_aligned(from, 16, "bulk_copy, source", where);
  races::access(to, bytes, true, false, __builtin_return_address(0));
  races::access(from, bytes, false, false, __builtin_return_address(0));
  races::release(*machine.current, address);  // what arrives is there for whoever waits
  std::memset(to, kPoison, bytes);
  machine.bulk_copies.push_back(
      {{static_cast<std::byte*>(to), static_cast<const std::byte*>(from), bytes, bytes},
       machine.current->block,
       address,
       where});
}

bool land_bulk_copy() {
  auto& copies = machine.bulk_copies;
  if (copies.empty()) return false;
  std::size_t chosen = 0;
  if (machine.schedule.order == Order::reverse) chosen = copies.size() - 1;
  if (machine.schedule.order == Order::random) chosen = random_number() % copies.size();
  const BulkCopy landing = copies[chosen];
  copies.erase(copies.begin() + static_cast<std::ptrdiff_t>(chosen));
  arrive_now(landing.copy);
  Mbarrier& barrier = landing.block->mbarriers[landing.barrier];
  barrier.bytes -= static_cast<std::int64_t>(landing.copy.bytes);
  complete_if_done(barrier);
  return true;
}

}  // namespace braid::simt
