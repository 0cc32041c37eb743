// What goes wrong within a block.
#include "kernels/simt/facade.hpp"

#include "tests/simt/bug_launches.hpp"

namespace braid::samples {
namespace {

constexpr unsigned kAll = 0xFFFFFFFFU;

// Reverses 64 numbers by shared memory: what thread t wrote, thread 63 - t reads.
template <bool planted>
__global__ void missing_barrier_kernel(BugMemory m) {
  SIMT_SHARED(float, tile, [kThreads]);
  tile[threadIdx.x] = m.in[global_index()];
  if constexpr (!planted) __syncthreads();
  m.out[global_index()] = tile[kThreads - 1 - threadIdx.x];
}

// The tile is filled again while slower threads still read it.
template <bool planted>
__global__ void tile_reused_too_early_kernel(BugMemory m) {
  SIMT_SHARED(float, tile, [kThreads]);
  float sum = 0;
  for (int round = 0; round < 3; ++round) {
    tile[threadIdx.x] = static_cast<float>(round + 1) * m.in[global_index()];
    __syncthreads();
    sum += tile[(threadIdx.x + 33) % kThreads];
    if constexpr (!planted) __syncthreads();
  }
  m.out[global_index()] = sum;
}

template <bool planted>
__global__ void missing_copy_wait_kernel(BugMemory m) {
  SIMT_SHARED(float, tile, [kThreads]);
  cp_async<4>(&tile[threadIdx.x], m.in + global_index());
  cp_async_commit();
  if constexpr (planted) {
    __syncthreads();
    m.out[global_index()] = tile[kThreads - 1 - threadIdx.x];
    cp_async_wait<0>();
  } else {
    cp_async_wait<0>();
    __syncthreads();
    m.out[global_index()] = tile[kThreads - 1 - threadIdx.x];
  }
}

// Two groups in flight, the first one read: one may stay. Planted: two may.
template <bool planted>
__global__ void wait_for_too_few_copies_kernel(BugMemory m) {
  SIMT_SHARED(float, tiles, [2][kThreads]);
  for (int stage = 0; stage < 2; ++stage) {
    cp_async<4>(&tiles[stage][threadIdx.x], m.in + global_index());
    cp_async_commit();
  }
  cp_async_wait<planted ? 2 : 1>();
  __syncthreads();
  m.out[global_index()] = tiles[0][kThreads - 1 - threadIdx.x];
  cp_async_wait<0>();
}

// A copy reads when it likes, from when it is asked for.
template <bool planted>
__global__ void source_written_behind_the_copy_kernel(BugMemory m) {
  SIMT_SHARED(float, tile, [kThreads]);
  const int other = global_index() + kThreads - 1 - 2 * static_cast<int>(threadIdx.x);
  m.out[global_index()] = m.in[global_index()];
  if constexpr (!planted) __syncthreads();
  cp_async<4>(&tile[threadIdx.x], m.out + other);
  cp_async_commit();
  if constexpr (planted) __syncthreads();
  cp_async_wait<0>();
  __syncthreads();
  m.out[global_index()] = tile[threadIdx.x];
}

// A thread waits for its own copies alone: those of others need a barrier too.
template <bool planted>
__global__ void copy_wait_without_barrier_kernel(BugMemory m) {
  SIMT_SHARED(float, tile, [kThreads]);
  cp_async<4>(&tile[threadIdx.x], m.in + global_index());
  cp_async_commit();
  cp_async_wait<0>();
  if constexpr (!planted) __syncthreads();
  m.out[global_index()] = tile[kThreads - 1 - threadIdx.x];
}

template <bool planted>
__global__ void shared_write_off_by_one_kernel(BugMemory m) {
  SIMT_SHARED(float, tile, [kThreads]);
  tile[threadIdx.x] = m.in[global_index()];
  __syncthreads();
  if (threadIdx.x == 0) tile[m.count / 2 - (planted ? 0 : 1)] = 0.5F;
  __syncthreads();
  m.out[global_index()] = tile[threadIdx.x % 32];
}

template <bool planted>
__global__ void shared_read_off_by_one_kernel(BugMemory m) {
  SIMT_SHARED(float, tile, [kThreads]);
  tile[threadIdx.x] = m.in[global_index()];
  __syncthreads();
  const int next = static_cast<int>(threadIdx.x) + 1;
  m.out[global_index()] = tile[planted ? next : next % kThreads];
}

template <bool planted>
__global__ void swapped_strides_kernel(BugMemory m) {
  SIMT_SHARED(float, tile, [8][8 + 1]);
  const int row = static_cast<int>(threadIdx.x) / 8;
  const int column = static_cast<int>(threadIdx.x) % 8;
  tile[row][column] = m.in[global_index()];
  __syncthreads();
  m.out[global_index()] = planted ? tile[row][column] : tile[column][row];
}

template <bool planted>
__global__ void global_write_off_by_one_kernel(BugMemory m) {
  const int i = global_index() + (planted ? 1 : 0);
  if (i <= m.count) m.out[i] = 2 * m.in[i - (planted ? 1 : 0)];
}

// The sum of a thread's number and the next one's; the last has none.
template <bool planted>
__global__ void global_read_off_by_one_kernel(BugMemory m) {
  const int i = global_index();
  const bool has_next = planted || i + 1 < m.count;
  m.out[i] = m.in[i] + (has_next ? m.in[i + 1] : 0.0F);
}

template <bool planted>
__global__ void barrier_in_a_branch_kernel(BugMemory m) {
  SIMT_SHARED(float, tile, [kThreads]);
  tile[threadIdx.x] = m.in[global_index()];
  if constexpr (planted) {
    if (threadIdx.x < 48) __syncthreads();
  } else {
    __syncthreads();
  }
  m.out[global_index()] = tile[threadIdx.x ^ 32U];
}

template <bool planted>
__global__ void two_barriers_for_one_kernel(BugMemory m) {
  SIMT_SHARED(float, tile, [kThreads]);
  tile[threadIdx.x] = m.in[global_index()];
  if constexpr (planted) {
    if (threadIdx.x < 32) {
      __syncthreads();
    } else {
      __syncthreads();
    }
  } else {
    __syncthreads();
  }
  m.out[global_index()] = tile[threadIdx.x ^ 32U];
}

template <bool planted>
__global__ void return_before_a_barrier_kernel(BugMemory m) {
  SIMT_SHARED(float, tile, [kThreads]);
  if (planted && threadIdx.x == 63) return;
  tile[threadIdx.x] = m.in[global_index()];
  __syncthreads();
  m.out[global_index()] = tile[threadIdx.x % 32];
}

template <bool planted>
__global__ void lane_outside_of_its_mask_kernel(BugMemory m) {
  const unsigned mask = planted ? 0x0000FFFFU : kAll;
  m.out[global_index()] = __shfl_xor_sync(mask, m.in[global_index()], 1);
}

// Half of a warp names all lanes; the other half goes past.
template <bool planted>
__global__ void mask_names_absent_lanes_kernel(BugMemory m) {
  const float value = m.in[global_index()];
  float sum = value;
  if (threadIdx.x % 32 < 16) sum += __shfl_xor_sync(planted ? kAll : 0x0000FFFFU, value, 1);
  __syncthreads();
  m.out[global_index()] = sum;
}

template <bool planted>
__global__ void shuffle_from_an_absent_lane_kernel(BugMemory m) {
  float value = m.in[global_index()];
  if (threadIdx.x % 32 < 16) value = __shfl_xor_sync(0x0000FFFFU, value, planted ? 16 : 8);
  m.out[global_index()] = value;
}

template <bool planted>
__global__ void different_operations_kernel(BugMemory m) {
  const float value = m.in[global_index()];
  float result = 0;
  if (!planted || threadIdx.x % 32 < 16) {
    result = __shfl_xor_sync(kAll, value, 1);
  } else {
    result = static_cast<float>(__ballot_sync(kAll, value > 0 ? 1 : 0));
  }
  m.out[global_index()] = result;
}

template <bool planted>
__global__ void misaligned_vector_kernel(BugMemory m) {
  const int first = 4 * static_cast<int>(threadIdx.x % 8) + (planted ? 1 : 0);
  const float4 four = ld_vec<float4>(m.in + first);
  m.out[global_index()] = four.x + four.w;
}

template <bool planted>
__global__ void uninitialized_shared_kernel(BugMemory m) {
  SIMT_SHARED(float, sums, [32]);
  if (!planted && threadIdx.x < 32) sums[threadIdx.x] = 0;
  __syncthreads();
  for (unsigned half = 0; half < 2; ++half) {
    if (threadIdx.x / 32 == half) sums[threadIdx.x % 32] += m.in[global_index()];
    __syncthreads();
  }
  m.out[global_index()] = sums[threadIdx.x % 32];
}

// Lanes of one warp take turns without a __syncwarp, as if they ran in lockstep.
template <bool planted>
__global__ void trust_in_lockstep_kernel(BugMemory m) {
  SIMT_SHARED(float, tile, [2][32]);
  const unsigned warp = threadIdx.x / 32;
  const unsigned lane = threadIdx.x % 32;
  tile[warp][lane] = m.in[global_index()];
  if constexpr (!planted) __syncwarp();
  m.out[global_index()] = tile[warp][31 - lane];
}

// Warp 1 reads what warp 0 wrote after the barrier.
template <bool planted>
__global__ void race_between_warps_kernel(BugMemory m) {
  SIMT_SHARED(float, total, [1]);
  if (threadIdx.x == 0) total[0] = 1;
  __syncthreads();
  if (threadIdx.x == 0) total[0] = m.in[blockIdx.x];
  if constexpr (!planted) __syncthreads();
  m.out[global_index()] = total[0];
}

constexpr int kBytes = kThreads * static_cast<int>(sizeof(float));

enum class RingBug { none, parity, bytes, no_wait, no_fence, arrivals };
template <RingBug bug>
__global__ void bulk_copy_kernel(BugMemory m) {
  SIMT_SHARED(float, tile, [kThreads]);
  SIMT_SHARED(std::uint64_t, full, [1]);
  if (threadIdx.x == 0) {
    mbarrier_init(full, bug == RingBug::arrivals ? 2 : 1);
    if constexpr (bug != RingBug::no_fence) fence_mbarrier_init();
  }
  __syncthreads();
  for (int round = 0; round < 2; ++round) {
    if (threadIdx.x == 0) {
      mbarrier_arrive_expect(full, bug == RingBug::bytes ? kBytes + 16 : kBytes);
      bulk_copy(tile, m.in + round * kThreads, kBytes, full);
    }
    if constexpr (bug == RingBug::no_wait) {
      __syncthreads();
    } else if constexpr (bug == RingBug::parity) {
      mbarrier_wait(full, 0);
    } else {
      mbarrier_wait(full, static_cast<unsigned>(round) & 1U);
    }
    m.out[round * kThreads + static_cast<int>(threadIdx.x)] = tile[kThreads - 1 - threadIdx.x];
    __syncthreads();
  }
  if constexpr (bug == RingBug::no_wait) mbarrier_wait(full, 1);
}

// A ring of one slot is filled again before the readers have let it go.
template <bool planted>
__global__ void slot_reused_too_early_kernel(BugMemory m) {
  SIMT_SHARED(float, slot, [32]);
  SIMT_SHARED(std::uint64_t, full, [1]);
  SIMT_SHARED(std::uint64_t, free, [1]);
  if (threadIdx.x == 0) {
    mbarrier_init(full, 32);
    mbarrier_init(free, 32);
    fence_mbarrier_init();
  }
  __syncthreads();
  const unsigned lane = threadIdx.x % 32;
  for (unsigned round = 0; round < 4; ++round) {
    if (threadIdx.x < 32) {
      if constexpr (!planted) mbarrier_wait(free, (round & 1U) ^ 1U);
      slot[lane] = m.in[round * 32 + lane];
      mbarrier_arrive(full);
    } else {
      mbarrier_wait(full, round & 1U);
      m.out[round * 32 + lane] = slot[31 - lane];
      mbarrier_arrive(free);
    }
    if constexpr (planted) __syncwarp();
  }
}

template <bool planted>
__global__ void wrong_count_of_a_named_barrier_kernel(BugMemory m) {
  SIMT_SHARED(float, tile, [kThreads]);
  tile[threadIdx.x] = m.in[global_index()];
  named_barrier_sync(1, planted ? kThreads / 2 : kThreads);
  m.out[global_index()] = tile[kThreads - 1 - threadIdx.x];
}

template <bool planted>
__global__ void local_array_off_by_one_kernel(BugMemory m) {
  volatile float last[4] = {1, 2, 3, 4};
  float sum = 0;
  for (int i = 0; i < m.count / 32 + (planted ? 1 : 0); ++i) {
    sum += last[i];
  }
  m.out[global_index()] = sum * m.in[global_index()];
}

__global__ void dynamic_memory_too_small_kernel(BugMemory m) {
  SIMT_DYN_SHARED(float, tile);
  tile[threadIdx.x] = m.in[global_index()];
  __syncthreads();
  m.out[global_index()] = tile[kThreads - 1 - threadIdx.x];
}

// An offset that does not fit in 32 bits.
template <bool planted>
__global__ void offset_overflows_kernel(BugMemory m) {
  const int rows = m.count * 1000000;
  const int far = static_cast<int>(threadIdx.x) % 2 == 0 ? 100 : 200;
  const std::int64_t offset = planted ? rows * far : std::int64_t{rows} * far;
  m.out[global_index()] = m.in[global_index()] + (offset > 0 ? 1.0F : 0.0F);
}

// Declares 20 KB beside dynamic memory: together more than a kernel gets without asking.
__global__ void more_shared_memory_than_asked_kernel(BugMemory m) {
  SIMT_SHARED(float, own, [20 * 256]);
  SIMT_DYN_SHARED(float, given);
  own[threadIdx.x] = given[threadIdx.x] = m.in[global_index()];
  m.out[global_index()] = own[threadIdx.x] + given[threadIdx.x];
}

template <bool planted>
void dynamic_memory_too_small(const BugMemory& m) {
  launch_kernel<dynamic_memory_too_small_kernel>(
      {.grid = m.count / kThreads, .block = kThreads, .shared = kBytes - (planted ? 4 : 0)},
      kStream, m);
}
// 28 KB would fit, 33 KB are asked for.
template <bool planted>
void more_shared_memory_than_asked(const BugMemory& m) {
  for (const int kilobytes : {28, planted ? 29 : 33}) {
    launch_kernel<more_shared_memory_than_asked_kernel>(
        {.grid = m.count / kThreads, .block = kThreads, .shared = 1024 * kilobytes}, kStream, m);
  }
}

template <RingBug kind>
Bug ring_bug(const char* name, Found plain, Found address, Found race) {
  return bug<one_block<bulk_copy_kernel<RingBug::none>>, one_block<bulk_copy_kernel<kind>>>(
      name, plain, address, race);
}
}  // namespace

std::vector<Bug> bugs_within_blocks() {
  using enum Found;
  return {
      BRAID_BUG(two_blocks, missing_barrier, yes, yes, yes),
      BRAID_BUG(two_blocks, tile_reused_too_early, yes, yes, yes),
      BRAID_BUG(two_blocks, missing_copy_wait, yes, yes, yes),
      BRAID_BUG(two_blocks, wait_for_too_few_copies, yes, yes, yes),
      BRAID_BUG(two_blocks, copy_wait_without_barrier, yes, yes, yes),
      BRAID_BUG(two_blocks, source_written_behind_the_copy, no, no, yes),
      BRAID_BUG(two_blocks, shared_write_off_by_one, yes, yes, yes),
      BRAID_BUG(two_blocks, shared_read_off_by_one, yes, yes, yes),
      BRAID_BUG(two_blocks, swapped_strides, yes, yes, yes),
      BRAID_BUG(two_blocks, global_write_off_by_one, yes, yes, yes),
      BRAID_BUG(two_blocks, global_read_off_by_one, yes, yes, yes),
      BRAID_BUG(two_blocks, barrier_in_a_branch, yes, yes, yes),
      BRAID_BUG(two_blocks, two_barriers_for_one, yes, yes, yes),
      BRAID_BUG(two_blocks, return_before_a_barrier, yes, yes, yes),
      BRAID_BUG(two_blocks, lane_outside_of_its_mask, yes, yes, yes),
      BRAID_BUG(two_blocks, mask_names_absent_lanes, yes, yes, yes),
      BRAID_BUG(two_blocks, shuffle_from_an_absent_lane, yes, yes, yes),
      BRAID_BUG(two_blocks, different_operations, yes, yes, yes),
      BRAID_BUG(two_blocks, misaligned_vector, yes, yes, yes),
      BRAID_BUG(two_blocks, uninitialized_shared, yes, yes, yes),
      BRAID_BUG(two_blocks, trust_in_lockstep, yes, yes, yes),
      BRAID_BUG(two_blocks, race_between_warps, yes, yes, yes),
      ring_bug<RingBug::parity>("mbarrier_wrong_parity", yes, yes, yes),
      ring_bug<RingBug::bytes>("mbarrier_wrong_bytes", yes, yes, yes),
      ring_bug<RingBug::arrivals>("mbarrier_wrong_arrivals", yes, yes, yes),
      ring_bug<RingBug::no_wait>("bulk_copy_without_wait", yes, yes, yes),
      ring_bug<RingBug::no_fence>("mbarrier_without_fence", yes, yes, yes),
      BRAID_BUG(one_block, slot_reused_too_early, yes, yes, yes),
      BRAID_BUG(two_blocks, wrong_count_of_a_named_barrier, yes, yes, yes),
      BRAID_BUG(two_blocks, local_array_off_by_one, by_chance, yes, by_chance),
      bug<dynamic_memory_too_small<false>, dynamic_memory_too_small<true>>(
          "dynamic_memory_too_small", yes, yes, yes),
      bug<more_shared_memory_than_asked<false>, more_shared_memory_than_asked<true>>(
          "more_shared_memory_than_asked", yes, yes, yes),
      BRAID_BUG(two_blocks, offset_overflows, no, yes, no),
  };
}

}  // namespace braid::samples
