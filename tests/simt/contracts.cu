#include "kernels/simt/facade.hpp"

#include "engine/core/error.hpp"
#include "kernels/simt/elements.hpp"
#include "tests/simt/contracts.hpp"

namespace braid::samples {
namespace {

using namespace braid::simt;

using Word = std::uint32_t;
constexpr unsigned kAll = 0xFFFFFFFFU;
constexpr int kBytes = kContractThreads * kContractWords * static_cast<int>(sizeof(Word));

__device__ inline const Word* words_of(const Word* in) { return in + threadIdx.x * kContractWords; }
__device__ inline Word* words_of(Word* out) { return out + threadIdx.x * kContractWords; }

__global__ void vectors_kernel(const Word* in, Word* out) {
  st_vec(words_of(out), ld_vec<uint4>(words_of(in)));
  st_vec(words_of(out) + 4, ld_vec<uint2>(words_of(in) + 6));
}

__global__ void shuffles_kernel(const Word* in, Word* out) {
  const Word value = words_of(in)[0];
  const int source = static_cast<int>(words_of(in)[1] % 64);
  words_of(out)[0] = __shfl_sync(kAll, value, source);
  words_of(out)[1] = __shfl_sync(kAll, value, source, 8);
  words_of(out)[2] = __shfl_up_sync(kAll, value, 3);
  words_of(out)[3] = __shfl_up_sync(kAll, value, 3, 16);
  words_of(out)[4] = __shfl_down_sync(kAll, value, 5);
  words_of(out)[5] = __shfl_down_sync(kAll, value, 5, 8);
  words_of(out)[6] = __shfl_xor_sync(kAll, value, 9);
  words_of(out)[7] = __shfl_xor_sync(kAll, value, 9, 8);
}

__global__ void votes_kernel(const Word* in, Word* out) {
  const Word value = words_of(in)[0];
  words_of(out)[0] = __ballot_sync(kAll, static_cast<int>(value & 1U));
  words_of(out)[1] = static_cast<Word>(__any_sync(kAll, value == 0 ? 1 : 0));
  words_of(out)[2] = static_cast<Word>(__all_sync(kAll, value != 0 ? 1 : 0));
  words_of(out)[3] = __match_any_sync(kAll, value % 5);
  words_of(out)[4] = __reduce_add_sync(kAll, value);
  words_of(out)[5] = __reduce_max_sync(kAll, value);
  words_of(out)[6] = static_cast<Word>(__reduce_min_sync(kAll, static_cast<int>(value)));
  words_of(out)[7] = __reduce_xor_sync(kAll, value);
  words_of(out)[8] = static_cast<Word>(__syncthreads_count(static_cast<int>(value & 2U)));
}

__global__ void asynchronous_copies_kernel(const Word* in, Word* out) {
  SIMT_SHARED(Word, tile, [kContractThreads][kContractWords]);
  Word* const own = tile[threadIdx.x];
  cp_async<16>(own, words_of(in));
  cp_async_zero_fill<16>(own + 4, words_of(in) + 4, 8);
  cp_async_commit();
  cp_async<8>(own + 8, words_of(in) + 10);
  cp_async<4>(own + 10, words_of(in) + 15);
  cp_async_zero_fill<4>(own + 11, words_of(in), 0);
  cp_async_commit();
  cp_async_wait<1>();
  __syncthreads();
  const Word* const other = tile[threadIdx.x ^ 1U];
  for (int i = 0; i < 8; ++i) words_of(out)[i] = other[i];
  cp_async_wait<0>();
  __syncthreads();
  for (int i = 8; i < 12; ++i) words_of(out)[i] = other[i];
}

__global__ void bulk_copies_kernel(const Word* in, Word* out) {
  SIMT_SHARED(Word, tile, [kContractThreads][kContractWords]);
  SIMT_SHARED(std::uint64_t, full, [1]);
  if (threadIdx.x == 0) {
    mbarrier_init(full, 1);
    fence_mbarrier_init();
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    mbarrier_arrive_expect(full, kBytes);
    bulk_copy(tile, in, kBytes, full);
  }
  mbarrier_wait(full, 0);
  for (int i = 0; i < kContractWords; ++i) words_of(out)[i] = tile[threadIdx.x ^ 3U][i];
}

template <int Matrices, bool transposed>
__device__ inline void load_and_store(const void* row, Word* out) {
  unsigned registers[Matrices];
  ldmatrix<Matrices, transposed>(registers, row);
  for (int i = 0; i < Matrices; ++i) out[i] = registers[i];
}

__global__ void matrix_loads_kernel(const Word* in, Word* out) {
  SIMT_SHARED(Word, tile, [kContractThreads][kContractWords]);
  for (int i = 0; i < kContractWords; ++i) tile[threadIdx.x][i] = words_of(in)[i];
  __syncthreads();
  const Word* const row = &tile[threadIdx.x][threadIdx.x % 4 * 4];
  load_and_store<1, false>(row, words_of(out));
  load_and_store<2, false>(row, words_of(out) + 1);
  load_and_store<4, false>(row, words_of(out) + 3);
  load_and_store<1, true>(row, words_of(out) + 7);
  load_and_store<2, true>(row, words_of(out) + 8);
  load_and_store<4, true>(row, words_of(out) + 10);
}

// Numbers of many magnitudes, from random words.
__device__ inline float number_of(Word word) {
  const float fraction = static_cast<float>(word & 0xFFFFU) / 65536.0F + 1.0F;
  const int power = static_cast<int>(word >> 16U & 15U) - 8;
  const float scaled = power < 0 ? fraction / static_cast<float>(1 << -power)
                                 : fraction * static_cast<float>(1 << power);
  return (word >> 31U) != 0 ? -scaled : scaled;
}

__global__ void tf32_products_kernel(const Word* in, Word* out) {
  const Word* const words = words_of(in);
  float sums[4];
  unsigned a[4];
  unsigned b[2];
  for (int i = 0; i < 4; ++i) sums[i] = number_of(words[i]);
  for (int i = 0; i < 4; ++i) a[i] = to_tf32(number_of(words[4 + i]));
  for (int i = 0; i < 2; ++i) b[i] = to_tf32(number_of(words[8 + i]));
  mma_m16n8k8_tf32(sums, a, b);
  for (int i = 0; i < 4; ++i) words_of(out)[i] = __float_as_uint(sums[i]);
  for (int i = 0; i < 4; ++i) words_of(out)[4 + i] = a[i];
}

__device__ inline unsigned two_bfloats(Word a, Word b) {
  return __float_as_uint(number_of(a)) >> 16U | (__float_as_uint(number_of(b)) & 0xFFFF0000U);
}

__global__ void bfloat16_products_kernel(const Word* in, Word* out) {
  const Word* const words = words_of(in);
  float sums[4];
  unsigned a[4];
  unsigned b[2];
  for (int i = 0; i < 4; ++i) sums[i] = number_of(words[i]);
  for (int i = 0; i < 4; ++i) a[i] = two_bfloats(words[4 + i], words[8 + i]);
  for (int i = 0; i < 2; ++i) b[i] = two_bfloats(words[12 + i], words[14 + i]);
  mma_m16n8k16_bf16(sums, a, b);
  for (int i = 0; i < 4; ++i) words_of(out)[i] = __float_as_uint(sums[i]);
}

__global__ void halves_kernel(const Word* in, Word* out) {
  const float x = __uint_as_float(words_of(in)[0]);
  const float y = number_of(words_of(in)[1]) * 0.001F;
  const float2 bfloats = __bfloat1622float2(__floats2bfloat162_rn(x, y));
  const float2 halves = __half22float2(__floats2half2_rn(x, y));
  words_of(out)[0] = __float_as_uint(bfloats.x);
  words_of(out)[1] = __float_as_uint(bfloats.y);
  words_of(out)[2] = __float_as_uint(halves.x);
  words_of(out)[3] = __float_as_uint(halves.y);
}

// Numbers that are nearly right: whether they are near enough, and whether the whole numbers that
// come of them are exact.
__global__ void approximations_kernel(const Word* in, Word* out) {
  const Word per_row = 1 + words_of(in)[0] % 5000;
  const auto x = static_cast<float>(per_row);
  const float power = static_cast<float>(words_of(in)[1] % 60001) * 0.001F - 30;
  const float of_reciprocal = fmaf(approximate_reciprocal(x), x, -1.0F);
  const float of_power = approximate_power_of_two(power) / exp2f(power) - 1;
  words_of(out)[0] = fabsf(of_reciprocal) < 0x1p-22F ? 1 : 0;
  words_of(out)[1] = fabsf(of_power) < 0x1p-20F ? 1 : 0;
  words_of(out)[2] = row_of_place(words_of(in)[2] % 500000, per_row);
}

// A named barrier of one warp that waits and one that only arrives; atomics; a flag.
__global__ void named_barriers_kernel(const Word* in, Word* out) {
  SIMT_SHARED(Word, tile, [32]);
  SIMT_SHARED(unsigned, largest, [1]);
  if (threadIdx.x == 0) largest[0] = 0;
  __syncthreads();
  if (threadIdx.x < 32) {
    tile[threadIdx.x] = words_of(in)[0];
    named_barrier_arrive(1, kContractThreads);
  } else {
    named_barrier_sync(1, kContractThreads);
    words_of(out)[0] = tile[threadIdx.x - 32];
  }
  atomicMax(largest, words_of(in)[1]);
  __syncthreads();
  words_of(out)[1] = largest[0];
}

// Blocks hand words on, round by round, each to the one before it: no barrier may let a block pass
// that another is behind.
constexpr int kBlocks = 4;
constexpr int kWordsOfBlock = kContractWords / kBlocks;

__global__ void grid_barriers_kernel(const Word* in, Word* out) {
  const unsigned own = blockIdx.x * kWordsOfBlock;
  const unsigned next = (blockIdx.x + 1) % kBlocks * kWordsOfBlock;
  for (int i = 0; i < kWordsOfBlock; ++i) words_of(out)[own + i] = words_of(in)[own + i];
  for (unsigned round = 0; round < 3; ++round) {
    grid_sync();
    const Word* const other = out + (threadIdx.x ^ (1U << round)) * kContractWords + next;
    Word sums[kWordsOfBlock];
    for (int i = 0; i < kWordsOfBlock; ++i) sums[i] = 3 * words_of(out)[own + i] + other[i];
    grid_sync();
    for (int i = 0; i < kWordsOfBlock; ++i) words_of(out)[own + i] = sums[i];
  }
}
void launch_grid_barriers(const Word* in, Word* out) {
  launch_cooperative<grid_barriers_kernel>({.grid = kBlocks, .block = kContractThreads},
                                           kernels::Stream{}, in, out);
}

// Blocks leave words for each other, and wait for them one by one; the first for all four at once.
__global__ void relaxed_words_kernel(const Word* in, Word* out) {
  Word* const words = words_of(out);
  const unsigned own = blockIdx.x;
  store_relaxed(words + own, words_of(in)[own] | 1U);
  const unsigned* const next = words + (own + 1) % kBlocks;
  while (load_relaxed<unsigned>(next) == 0) spin_pause();
  words[kBlocks + own] = load_relaxed<unsigned>(next);
  if (own != 0) return;
  auto all = load_relaxed<uint4>(words);
  while (all.x == 0 || all.y == 0 || all.z == 0 || all.w == 0) {
    spin_pause();
    all = load_relaxed<uint4>(words);
  }
  st_vec(words + 2 * kBlocks, all);
}
void launch_relaxed_words(const Word* in, Word* out) {
  launch_cooperative<relaxed_words_kernel>({.grid = kBlocks, .block = kContractThreads},
                                           kernels::Stream{}, in, out);
}

template <auto kernel>
void launch_contract(const Word* in, Word* out) {
  launch_kernel<kernel>({.grid = 1, .block = kContractThreads}, kernels::Stream{}, in, out);
}

}  // namespace

namespace BRAID_GPU {

std::vector<Contract> every_contract() {
  return {
      {"ld_vec, st_vec", launch_contract<vectors_kernel>},
      {"shuffles", launch_contract<shuffles_kernel>},
      {"ballot, match, reductions of a warp", launch_contract<votes_kernel>},
      {"cp_async", launch_contract<asynchronous_copies_kernel>},
      {"bulk_copy, mbarrier", launch_contract<bulk_copies_kernel>},
      {"ldmatrix", launch_contract<matrix_loads_kernel>},
      {"to_tf32, mma_m16n8k8_tf32", launch_contract<tf32_products_kernel>},
      {"mma_m16n8k16_bf16", launch_contract<bfloat16_products_kernel>},
      {"half, bfloat16", launch_contract<halves_kernel>},
      {"approximate_reciprocal, approximate_power_of_two", launch_contract<approximations_kernel>},
      {"named_barrier, atomics", launch_contract<named_barriers_kernel>},
      {"grid_sync", launch_grid_barriers},
      {"load_relaxed, store_relaxed", launch_relaxed_words}};
}

#if defined(__CUDACC__)
std::vector<Word> outcome(const Contract& contract, const std::vector<Word>& in) {
  const auto check = [&](cudaError_t error) {
    if (error == cudaSuccess) return;
    throw DeviceError(std::string(contract.name) + ": " + cudaGetErrorString(error));
  };
  std::vector<Word> out(in.size(), 0);
  Word* device = nullptr;
  check(cudaMalloc(&device, 2 * kBytes));
  Word* const device_out = device + in.size();
  check(cudaMemcpy(device, in.data(), kBytes, cudaMemcpyHostToDevice));
  check(cudaMemset(device_out, 0, kBytes));
  contract.run(device, device_out);
  check(cudaMemcpy(out.data(), device_out, kBytes, cudaMemcpyDeviceToHost));
  check(cudaFree(device));
  return out;
}
#else
std::vector<Word> outcome(const Contract& contract, const std::vector<Word>& in) {
  struct alignas(16) Line {
    Word words[4];
  };
  std::vector<Line> aligned_in(in.size() / 4);
  std::vector<Line> aligned_out(in.size() / 4, Line{});
  std::memcpy(aligned_in.data(), in.data(), kBytes);
  contract.run(aligned_in.data()->words, aligned_out.data()->words);
  std::vector<Word> out(in.size());
  std::memcpy(out.data(), aligned_out.data(), kBytes);
  return out;
}
#endif

}  // namespace BRAID_GPU
}  // namespace braid::samples
