// What goes wrong between blocks.
#include "kernels/simt/facade.hpp"

#include "tests/simt/bug_launches.hpp"

namespace braid::samples {
namespace {

template <bool planted>
__global__ void two_blocks_write_one_element_kernel(BugMemory m) {
  const int i = planted ? static_cast<int>(threadIdx.x) : global_index();
  m.out[i] = m.in[i];
  if (planted) m.out[kThreads + i] = m.in[kThreads + i];
}

// A sum of ones without atomics. Threads of the emulated device never interrupt each other within
// an expression, so the plain flavour counts right.
template <bool planted>
__global__ void count_without_atomics_kernel(BugMemory m) {
  if constexpr (planted) {
    m.words[0] += 1;
  } else {
    atomicAdd(m.words, 1U);
  }
}
__global__ void words_to_floats_kernel(BugMemory m) {
  m.out[threadIdx.x] = static_cast<float>(m.words[threadIdx.x]);
}

// Block 1 waits for block 0's number. Without a cooperative launch block 0 may never start.
__global__ void blocks_await_each_other_kernel(BugMemory m) {
  const unsigned own = blockIdx.x;
  if (threadIdx.x == 0) {
    store_relaxed(m.words + own, 1);
    while (load_relaxed<unsigned>(m.words + (own ^ 1U)) == 0) spin_pause();
  }
  __syncthreads();
  m.out[global_index()] = m.in[global_index()];
}

template <bool planted>
__global__ void missing_grid_barrier_kernel(BugMemory m) {
  m.out[global_index()] = m.in[global_index()];
  if constexpr (!planted) grid_sync();
  const float other = m.out[(global_index() + kThreads) % m.count];
  grid_sync();
  m.out[global_index()] = other;
}

// Block 0 hands a number on to block 1 and raises a flag.
enum class FlagBug { none, too_early, no_fence_before, no_fence_behind };
template <FlagBug bug>
__global__ void flag_kernel(BugMemory m) {
  if (threadIdx.x != 0) return;
  if (blockIdx.x == 0) {
    if constexpr (bug != FlagBug::too_early) m.out[0] = m.in[0];
    if constexpr (bug != FlagBug::no_fence_before) __threadfence();
    store_relaxed(m.words, 1);
    if constexpr (bug == FlagBug::too_early) {
      while (load_relaxed<unsigned>(m.words + 1) == 0) spin_pause();
      m.out[0] = m.in[0];
    }
  } else if (blockIdx.x == 1) {
    while (load_relaxed<unsigned>(m.words) == 0) spin_pause();
    if constexpr (bug != FlagBug::no_fence_behind) __threadfence();
    m.out[1] = m.out[0];
    store_relaxed(m.words + 1, 1);
  }
}

// Block 0 counts words down from their number, and says that it has; so block 1 finds them at 0. No
// access races: all could come in any order.
enum class WordsBug { none, no_fence_before, no_fence_behind };
template <WordsBug bug>
__global__ void words_kernel(BugMemory m) {
  const unsigned own = threadIdx.x % 32;
  if (threadIdx.x >= 32) return;
  if (blockIdx.x == 0) {
    for (unsigned left = own; left > 0; --left) store_relaxed(m.words + own, left - 1);
    if constexpr (bug != WordsBug::no_fence_before) __threadfence();
    store_relaxed(m.words + 32 + own, 1);
  } else if (blockIdx.x == 1) {
    while (load_relaxed<unsigned>(m.words + 32 + own) == 0) spin_pause();
    if constexpr (bug != WordsBug::no_fence_behind) __threadfence();
    m.out[own] = static_cast<float>(load_relaxed<unsigned>(m.words + own) + 1);
  }
}

template <bool planted>
void count_without_atomics(const BugMemory& m) {
  two_blocks<count_without_atomics_kernel<planted>>(m);
  one_block<words_to_floats_kernel>(m);
}
template <FlagBug kind>
Bug flag_bug(const char* name, Found plain, Found address, Found race) {
  return bug<cooperating_blocks<flag_kernel<FlagBug::none>>, cooperating_blocks<flag_kernel<kind>>>(
      name, plain, address, race);
}
template <WordsBug kind>
Bug words_bug(const char* name, Found plain, Found address, Found race) {
  return bug<cooperating_blocks<words_kernel<WordsBug::none>>,
             cooperating_blocks<words_kernel<kind>>>(name, plain, address, race);
}

}  // namespace

std::vector<Bug> bugs_between_blocks() {
  using enum Found;
  return {
      BRAID_BUG(two_blocks, two_blocks_write_one_element, no, no, yes),
      bug<count_without_atomics<false>, count_without_atomics<true>>("count_without_atomics", no,
                                                                     no, yes),
      bug<cooperating_blocks<blocks_await_each_other_kernel>,
          two_blocks<blocks_await_each_other_kernel>>("blocks_await_each_other", yes, yes, yes),
      BRAID_BUG(cooperating_blocks, missing_grid_barrier, yes, yes, yes),
      flag_bug<FlagBug::too_early>("flag_before_data", yes, yes, yes),
      flag_bug<FlagBug::no_fence_before>("flag_without_a_fence_before", no, no, yes),
      flag_bug<FlagBug::no_fence_behind>("flag_without_a_fence_behind", no, no, yes),
      words_bug<WordsBug::no_fence_before>("words_without_a_fence_before", no, no, yes),
      words_bug<WordsBug::no_fence_behind>("words_without_a_fence_behind", no, no, yes),
  };
}

}  // namespace braid::samples
