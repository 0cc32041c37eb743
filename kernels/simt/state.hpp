#pragma once
#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "kernels/simt/barrier_watch.hpp"
#include "kernels/simt/fiber.hpp"
#include "kernels/simt/launch_records.hpp"
#include "kernels/simt/machine.hpp"
#include "kernels/simt/races.hpp"
#include "kernels/simt/runnable_set.hpp"
#include "kernels/simt/shared_memory.hpp"

// The inside of the emulated device: what the sources of the emulator share with each other.
namespace braid::simt {

struct Block;
struct Thread;

// A copy that was issued and has not arrived.
struct Copy {
  std::byte* to = nullptr;
  const std::byte* from = nullptr;
  std::size_t bytes = 0;
  std::size_t from_bytes = 0;  // the rest becomes 0
};

struct Thread {
  Block* block = nullptr;
  uint3 index;
  int number = 0;          // within the block
  int global = 0;          // among all threads that are alive together
  Fiber* fiber = nullptr;  // absent until the thread starts, and after its end
  bool ended = false;
  const char* waits_for = nullptr;  // absent while it can run
  Place where;
  LaneCall* lane_call = nullptr;
  std::vector<Copy> copies;
  std::vector<std::size_t> group_ends;  // of committed copies, oldest first

  int lane() const { return number % kWarpLanes; }
};

struct Barrier {
  int expected = 0;
  int arrived = 0;
  int predicates = 0;
  int result = 0;
  std::int64_t passed = 0;  // how often; only of whole blocks
  Place where;
  std::vector<Thread*> waiting;
  std::vector<Thread*> present;  // those that wait, and those that only arrived
};

// Lanes that have come to one warp operation.
struct WarpGroup {
  unsigned mask = 0;
  unsigned arrived = 0;
  const WarpCall* call = nullptr;
};
struct Warp {
  std::vector<WarpGroup> groups;
  unsigned ended = 0;
};

struct Mbarrier {
  int arrivals = 0;
  int pending = 0;
  std::int64_t bytes = 0;  // expected and not yet there
  unsigned phase = 0;
  bool fenced = false;
  std::vector<Thread*> waiting;
};

struct Block {
  uint3 index;
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  Barrier whole;
  std::array<Barrier, 16> named;
  int ended = 0;
  SharedMemory memory;
  std::unordered_map<const std::uint64_t*, Mbarrier> mbarriers;
};

struct BulkCopy {
  Copy copy;
  Block* block = nullptr;
  std::uint64_t* barrier = nullptr;
  Place where;
};

struct Machine {
  Schedule schedule;
  std::uint64_t random_state = 0;
  KernelCall kernel{};
  LaunchRecord* record = nullptr;  // of the kernel
  BarrierWatch watch;
  bool cooperative = false;
  std::vector<std::unique_ptr<Block>> blocks;  // alive together; kept for their memory
  std::size_t alive = 0;                       // how many of them are
  Barrier whole_grid;
  int ended = 0;
  std::deque<BulkCopy> bulk_copies;
  RunnableSet runnable;
  std::vector<Thread*> spinning;
  std::uint64_t progress = 0;
  std::uint64_t progress_before = 0;
  int idle_rounds = 0;
  Thread* current = nullptr;
  Fiber host;
  FiberPool fibers;
  std::string failure;
};
extern Machine machine;

// Runs blocks of the kernel that is launched, alive together, to their end. DeviceError for what it
// did wrong.
void run_blocks(const LaunchShape& shape, const std::vector<std::int64_t>& numbers);
// Lets other threads run until this one is woken.
void wait(const char* what, const Place& where);
void wake(Thread& thread);
void check_warp_at_end(Thread& thread);
void check_barriers_at_end(Thread& thread);
bool land_bulk_copy();
std::uint64_t random_number();
std::string described(const Place& where);
std::string described(const uint3& index);
std::string described(std::string_view kernel, const LaunchShape& shape);

}  // namespace braid::simt
