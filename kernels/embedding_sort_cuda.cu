// One launch sorts few positions: each block owns a range of ids, looks at all positions, and
// places those of its ids. Blocks wait for none: each finds out itself how many positions stand
// before its own. That all of them read all ids, out of the second-level cache, costs less than
// further launches would, until there are too many: those are sorted by digits.
#include <algorithm>

#include "kernels/embedding_digits.hpp"
#include "kernels/embedding_ids.hpp"

namespace braid::kernels {
namespace {

// Which ids a block owns.
struct IdRange {
  unsigned first;
  unsigned count;
};

// What a warp's list holds of a position: the key, and how far into its piece it stands. Both have
// 16 bits at most, as a block's memory would not hold more of either.
constexpr unsigned kBitsOfKey = 16;

// kHasLists: a warp looks for the ids of its block, once it has seen all, in a list; else at all
// again.
template <bool kHasLists>
__global__ void __launch_bounds__(32 * kMostWarps, 1)
    embedding_sort_kernel(EmbeddingSort args, unsigned ids_of_block, unsigned list_length) {
  SIMT_SHARED(unsigned, warp_sums, [kMostWarps]);
  // Of each warp counters [id]: a count, then the place of the next one; then lists, if there are.
  SIMT_DYN_SHARED(unsigned, counters);
  const std::int64_t positions = args.ids.rows * args.ids.columns;
  const auto vocabulary = static_cast<unsigned>(args.vocabulary);
  const unsigned first_id = blockIdx.x * ids_of_block;
  const IdRange own{first_id, min(ids_of_block, vocabulary - first_id)};
  const unsigned lane = threadIdx.x % 32;
  const unsigned warp = threadIdx.x / 32;
  const unsigned warps = blockDim.x / 32;
  const Piece piece = Piece{0, positions}.part(warp, warps);
  unsigned* const of_warp = counters + warp * own.count;
  unsigned* const list = counters + warps * ids_of_block + warp * list_length;

  for (unsigned i = threadIdx.x; i < warps * own.count; i += blockDim.x) counters[i] = 0;
  __syncthreads();
  unsigned before = 0;
  unsigned found = 0;  // by the warp
  for_ids(args, piece, [&](const IdAtPosition& at) {
    const unsigned key = at.id - own.first;
    const bool is_own = key < own.count;
    before += key >> 31U;  // 1 if the id is lower
    if constexpr (kHasLists) {
      const unsigned all_own = __ballot_sync(kAll, is_own ? 1 : 0);
      if (all_own == 0) return;
      const auto rank = static_cast<unsigned>(__popc(all_own & ((1U << lane) - 1U)));
      const unsigned distance = at.position - static_cast<unsigned>(piece.begin);
      if (is_own) list[found + rank] = distance << kBitsOfKey | key;
      found += static_cast<unsigned>(__popc(all_own));
    } else {
      if (is_own) atomicAdd(&of_warp[key], 1U);
    }
  });
  if constexpr (kHasLists) {
    __syncwarp();
    for (unsigned i = lane; i < found; i += 32) {
      atomicAdd(&of_warp[list[i] & ((1U << kBitsOfKey) - 1U)], 1U);
    }
  }
  unsigned place = sum_before(before, warp_sums).all;

  // Counts become places: ids one behind the other.
  for (unsigned i = 0; i < own.count; i += blockDim.x) {
    const unsigned id = i + threadIdx.x;
    unsigned total = 0;
    if (id < own.count) total = sum_of_warps(counters + id, own.count, warps);
    const SumBefore sum = sum_before(total, warp_sums);
    const unsigned next = place + sum.before;
    place += sum.all;
    if (id >= own.count) continue;
    args.segments[own.first + id] = static_cast<std::int32_t>(next);
    counts_to_places(counters + id, own.count, warps, next);
  }
  if (blockIdx.x == gridDim.x - 1 && threadIdx.x == 0) {
    args.segments[vocabulary] = static_cast<std::int32_t>(place);
  }
  __syncthreads();

  if constexpr (kHasLists) {
    for (unsigned first = 0; first < found; first += 32) {
      const bool is_there = first + lane < found;
      const unsigned entry = is_there ? list[first + lane] : 0;
      place_key(of_warp, is_there, entry & ((1U << kBitsOfKey) - 1U), [&](unsigned to) {
        args.order[to] = static_cast<std::int32_t>(piece.begin + (entry >> kBitsOfKey));
      });
    }
  } else {
    for_ids(args, piece, [&](const IdAtPosition& at) {
      const unsigned key = at.id - own.first;
      place_key(of_warp, key < own.count, key,
                [&](unsigned to) { args.order[to] = static_cast<std::int32_t>(at.position); });
    });
  }
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
  const EmbeddingDigits digits =
      embedding_digits(args.ids.rows * args.ids.columns, args.vocabulary);
  if (args.scratch != nullptr && digits.count > 0) return sort_by_digits(stream, args, digits);
  constexpr std::int64_t kStaticBytes = 1024;
  const std::int64_t positions = args.ids.rows * args.ids.columns;
  const std::int64_t warps = std::clamp<std::int64_t>(positions / kPositionsOfWarp, 1, kMostWarps);
  // Few positions and ids are not worth many blocks; but all counters of one must fit.
  constexpr std::int64_t kWorthABlock = 64;  // positions
  constexpr std::int64_t kIdsWorthABlock = 512;
  const std::int64_t wanted = std::clamp<std::int64_t>(
      std::max(positions / kWorthABlock, args.vocabulary / kIdsWorthABlock), 1, kMultiprocessors);
  const std::int64_t most = (shared_bytes_of_block() - kStaticBytes) / (4 * warps);
  const std::int64_t ids_of_block =
      std::clamp<std::int64_t>((args.vocabulary + wanted - 1) / wanted, 1, most);
  const std::int64_t blocks =
      std::max<std::int64_t>((args.vocabulary + ids_of_block - 1) / ids_of_block, 1);
  LaunchShape shape{.grid = blocks, .block = 32 * warps, .shared = 4 * warps * ids_of_block};
  // Where a list of a warp's whole piece fits, too, it looks at all ids but once.
  const std::int64_t list_length = (positions + 32 * warps - 1) / (32 * warps) * 32;
  const std::int64_t bytes = shape.shared + 4 * warps * list_length;
  const auto own = static_cast<unsigned>(ids_of_block);
  if (bytes <= shared_bytes_of_block() - kStaticBytes) {
    shape.shared = bytes;
    launch_kernel<embedding_sort_kernel<true>>(shape, stream, args, own,
                                               static_cast<unsigned>(list_length));
  } else {
    launch_kernel<embedding_sort_kernel<false>>(shape, stream, args, own, 0U);
  }
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
