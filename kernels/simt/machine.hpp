#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <source_location>
#include <string>
#include <string_view>

#include "kernels/simt/shape.hpp"
#include "kernels/simt/types.hpp"

// The emulated device, as the built-ins of emulated.hpp and the tests see it.
namespace braid::simt {

using Place = std::source_location;

// Which of the threads that can run is run next: always the first, always the last, or one drawn by
// a generator. A kernel that is right gives the same numbers in every order. In turn: each launch
// of a kernel, of each instance of a template by itself, takes the next of forward, reverse and
// three that are random.
enum class Order : std::uint8_t { forward, reverse, random, in_turn };
struct Schedule {
  Order order = Order::forward;
  std::uint64_t seed = 1;
};
void set_schedule(const Schedule& schedule);
Schedule current_schedule();

// What every GPU has; emulated_gpu.hpp has the rest.
constexpr int kWarpLanes = 32;
constexpr int kMaxThreads = 1024;
constexpr std::size_t kStaticSharedBytes = 48 * 1024;

// The built-in variables of the thread that runs.
extern uint3 threadIdx;
extern uint3 blockIdx;
extern dim3 blockDim;
extern dim3 gridDim;

// A kernel with its arguments.
struct KernelCall {
  std::string_view name;
  void (*run)(const void* arguments);
  const void* arguments;
};
// Runs all blocks to their end. Throws DeviceError for a bad shape, and for what a kernel did
// wrong. Launches of several host threads follow one another.
void run_kernel(const KernelCall& kernel, const LaunchShape& shape, bool cooperative);

// Blocks of this shape that the emulated device holds at once, whatever their registers.
std::int64_t blocks_held(const LaunchShape& shape);

// How often each kernel was launched in this process.
std::map<std::string, std::int64_t> launched_kernels();

// Ends the launch with a DeviceError that names kernel, block and thread.
[[noreturn]] void fail(const std::string& what, const Place& where);

// Shared memory: one array for each declaration, made by the first thread that comes to it. It is
// full of NaN, with red zones on both sides.
struct SharedArray {
  const char* name;
  std::size_t bytes;
  Place where;
};
void* shared_array(const SharedArray& declaration);
void* dynamic_shared_memory();
// True for bytes of shared memory of the block that runs.
bool is_shared(const void* address, std::size_t bytes);
void require_shared(const void* address, std::size_t bytes, std::size_t alignment, const char* what,
                    const Place& where);
void require_aligned(const void* address, std::size_t alignment, const char* what,
                     const Place& where);

// Barriers. A named barrier counts the threads that arrive; who only arrives does not wait.
void block_barrier(const Place& where);
int block_barrier_count(bool predicate, const Place& where);
void named_barrier(int id, int threads, bool wait, const Place& where);
void grid_barrier(const Place& where);
// Lets the others run while a condition is awaited.
void spin(const Place& where);
// Tells that a thread wrote what others may be waiting for, or read what they wrote.
void note_progress();
void note_atomic(const void* address, std::size_t bytes);
void note_relaxed_load(const void* address, std::size_t bytes);
void note_relaxed_store(const void* address, std::size_t bytes);
void note_fence();

// What the lanes of a mask do together. Each lane brings its arguments; the last one computes the
// results of all.
enum class WarpOperation : std::uint8_t {
  synchronize,
  shuffle,
  ballot,
  match,
  reduce,
  load_matrix,
  multiply_matrices,
};
struct LaneCall {
  const void* in = nullptr;
  void* out = nullptr;
  int parameter = 0;
  int width = kWarpLanes;
};
struct WarpCall {
  WarpOperation operation;
  unsigned variant;  // tells apart what must not be mixed: kind and size of the operands
  void (*compute)(unsigned mask, LaneCall* const* lanes);
};
void warp_together(const WarpCall& call, unsigned mask, LaneCall& lane, const Place& where);

// Copies that arrive late. The destination is poisoned when the copy is issued.
void issue_copy(void* to, const void* from, std::size_t bytes, std::size_t from_bytes,
                const Place& where);
void commit_copies();
void wait_for_copies(int groups_in_flight);

void make_mbarrier(std::uint64_t* barrier, int arrivals, const Place& where);
void arrive_at_mbarrier(std::uint64_t* barrier, std::int64_t expected_bytes, const Place& where);
void wait_at_mbarrier(std::uint64_t* barrier, unsigned parity, const Place& where);
void fence_mbarriers();
void issue_bulk_copy(void* to, const void* from, std::size_t bytes, std::uint64_t* barrier,
                     const Place& where);

}  // namespace braid::simt
