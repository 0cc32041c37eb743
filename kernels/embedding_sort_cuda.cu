// One launch sorts: each block owns a range of ids, looks at all positions, and places those of its
// ids. A warp takes a piece of the positions, counts those of each id in counters of its own, and
// goes through its piece again, in order, once the sums over ids and warps have made places of the
// counts: equal ids stay in order, however many there are, and no warp waits for another. Blocks
// wait for none either: each finds out itself how many positions stand before its own. That all of
// them read all ids, out of the second-level cache, costs less than further launches would.
#include <algorithm>

#include "kernels/embedding.hpp"
#include "kernels/simt/facade.hpp"

namespace braid::kernels {
namespace {

constexpr int kMostWarps = 32;
constexpr int kAtOnce = 8;  // ids that a lane asks for at once
constexpr int kPositionsOfWarp = 32 * kAtOnce;
constexpr unsigned kAll = 0xFFFFFFFFU;
constexpr unsigned kMasked = 0xFFFFFFFFU;  // no id: those are below 2^31

// Which ids a block owns.
struct IdRange {
  unsigned first;
  unsigned count;
};

// The id at position n, or kMasked.
__device__ inline unsigned id_at(const EmbeddingSort& args, std::int64_t n) {
  std::int64_t row = 0;
  std::int64_t column = n;
  if (args.ids.rows > 1) {
    row = n / args.ids.columns;
    column = n - row * args.ids.columns;
  }
  if (args.mask.data != nullptr && args.mask.row(row)[column] == 0) return kMasked;
  const std::int32_t id = args.ids.row(row)[column];
  return id == args.padding ? kMasked : static_cast<unsigned>(id);
}

// Calls body(n, id) for each position of the warp's piece, in order, 32 neighbours at a time; with
// kMasked for what lies behind the piece.
template <class Body>
__device__ inline void for_ids(const EmbeddingSort& args, std::int64_t begin, std::int64_t end,
                               const Body& body) {
  const auto lane = static_cast<int>(threadIdx.x % 32);
  for (std::int64_t first = begin; first < end; first += kPositionsOfWarp) {
    unsigned ids[kAtOnce];
    SIMT_UNROLL
    for (int i = 0; i < kAtOnce; ++i) {
      const std::int64_t n = first + i * 32 + lane;
      ids[i] = n < end ? id_at(args, n) : kMasked;
    }
    SIMT_UNROLL
    for (int i = 0; i < kAtOnce; ++i) body(first + i * 32 + lane, ids[i]);
  }
}

// The sum of the values of the threads before this one, and of all: a tree of fixed shape.
struct SumBefore {
  unsigned before;
  unsigned all;
};
__device__ inline SumBefore sum_before(unsigned value, unsigned* warp_sums) {
  const auto lane = static_cast<unsigned>(threadIdx.x % 32);
  const auto warp = static_cast<unsigned>(threadIdx.x / 32);
  unsigned sum = value;
  for (unsigned offset = 1; offset < 32; offset *= 2) {
    const unsigned left = __shfl_up_sync(kAll, sum, offset);
    if (lane >= offset) sum += left;
  }
  __syncthreads();  // whoever still reads the sums of a call before this one
  if (lane == 31) warp_sums[warp] = sum;
  __syncthreads();
  SumBefore result{sum - value, 0};
  for (unsigned other = 0; other < blockDim.x / 32; ++other) {
    if (other < warp) result.before += warp_sums[other];
    result.all += warp_sums[other];
  }
  return result;
}

__global__ void __launch_bounds__(32 * kMostWarps)
    embedding_sort_kernel(EmbeddingSort args, unsigned ids_of_block) {
  SIMT_SHARED(unsigned, warp_sums, [kMostWarps]);
  SIMT_DYN_SHARED(unsigned, counters);  // [warp][id]: a count, then the place of the next one
  const std::int64_t positions = args.ids.rows * args.ids.columns;
  const auto vocabulary = static_cast<unsigned>(args.vocabulary);
  const unsigned first_id = blockIdx.x * ids_of_block;
  const IdRange own{first_id, min(ids_of_block, vocabulary - first_id)};
  const unsigned warps = blockDim.x / 32;
  const std::int64_t share = (positions + 32 * warps - 1) / (32 * warps) * 32;
  const std::int64_t begin = min(share * (threadIdx.x / 32), positions);
  const std::int64_t end = min(begin + share, positions);
  unsigned* const of_warp = counters + threadIdx.x / 32 * own.count;

  for (unsigned i = threadIdx.x; i < warps * own.count; i += blockDim.x) counters[i] = 0;
  __syncthreads();
  unsigned before = 0;
  for_ids(args, begin, end, [&](std::int64_t, unsigned id) {
    if (id < own.first) ++before;
    if (id - own.first < own.count) atomicAdd(&of_warp[id - own.first], 1U);
  });
  unsigned place = sum_before(before, warp_sums).all;

  // Counts become places: ids one behind the other, of each id what the warps found, in their
  // order.
  for (unsigned i = 0; i < own.count; i += blockDim.x) {
    const unsigned id = i + threadIdx.x;
    unsigned total = 0;
    if (id < own.count) {
      for (unsigned w = 0; w < warps; ++w) total += counters[w * own.count + id];
    }
    const SumBefore sum = sum_before(total, warp_sums);
    unsigned next = place + sum.before;
    place += sum.all;
    if (id >= own.count) continue;
    args.segments[own.first + id] = static_cast<std::int32_t>(next);
    for (unsigned w = 0; w < warps; ++w) {
      const unsigned count = counters[w * own.count + id];
      counters[w * own.count + id] = next;
      next += count;
    }
  }
  if (blockIdx.x == gridDim.x - 1 && threadIdx.x == 0) {
    args.segments[vocabulary] = static_cast<std::int32_t>(place);
  }
  __syncthreads();

  const unsigned lanes_before = (1U << (threadIdx.x % 32)) - 1U;
  for_ids(args, begin, end, [&](std::int64_t n, unsigned id) {
    const bool is_own = id - own.first < own.count;
    if (__any_sync(kAll, is_own ? 1 : 0) == 0) return;
    const unsigned same = __match_any_sync(kAll, is_own ? id : kMasked);
    const auto rank = static_cast<unsigned>(__popc(same & lanes_before));
    const unsigned next = is_own ? of_warp[id - own.first] : 0;
    __syncwarp();
    if (is_own) {
      args.order[next + rank] = static_cast<std::int32_t>(n);
      if (rank == 0) of_warp[id - own.first] = next + static_cast<unsigned>(__popc(same));
    }
    __syncwarp();
  });
}

}  // namespace

namespace BRAID_GPU {

void run(const Stream& stream, const EmbeddingSort& all) {
  EmbeddingSort args = all;
  // Without gaps everything is one long row, which needs no division to find a place.
  if (args.ids.packed() && (!args.mask || args.mask.packed())) {
    const std::int64_t positions = args.ids.rows * args.ids.columns;
    args.ids = {args.ids.data, 1, positions, positions};
    if (args.mask) args.mask = {args.mask.data, 1, positions, positions};
  }
  constexpr std::int64_t kBlocks = 132;  // multiprocessors of an H100
  constexpr std::int64_t kStaticBytes = 1024;
  const std::int64_t positions = args.ids.rows * args.ids.columns;
  const std::int64_t warps = std::clamp<std::int64_t>(positions / kPositionsOfWarp, 1, kMostWarps);
  // Few positions and ids are not worth many blocks; but all counters of one must fit.
  constexpr std::int64_t kWorthABlock = 64;  // positions
  constexpr std::int64_t kIdsWorthABlock = 512;
  const std::int64_t wanted = std::clamp<std::int64_t>(
      std::max(positions / kWorthABlock, args.vocabulary / kIdsWorthABlock), 1, kBlocks);
  const std::int64_t most = (shared_bytes_of_block() - kStaticBytes) / (4 * warps);
  const std::int64_t ids_of_block =
      std::clamp<std::int64_t>((args.vocabulary + wanted - 1) / wanted, 1, most);
  const std::int64_t blocks =
      std::max<std::int64_t>((args.vocabulary + ids_of_block - 1) / ids_of_block, 1);
  launch_kernel<embedding_sort_kernel>(
      {.grid = blocks, .block = 32 * warps, .shared = 4 * warps * ids_of_block}, stream, args,
      static_cast<unsigned>(ids_of_block));
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
