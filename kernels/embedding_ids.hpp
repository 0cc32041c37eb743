#pragma once
#include "kernels/embedding.hpp"
#include "kernels/simt/facade.hpp"

// How the kernels that sort positions by id read, count and place them. A warp takes a piece of the
// positions, counts those of each key in counters of its own, and goes through its piece again, in
// order, once the sums over keys and warps have made places of the counts: equal keys stay in
// order, however many there are, and no warp waits for another.
namespace braid::kernels {
namespace {

constexpr int kMostWarps = 32;
constexpr int kAtOnce = 8;  // positions that a lane asks for at once
constexpr int kPositionsOfWarp = 32 * kAtOnce;
constexpr unsigned kAll = 0xFFFFFFFFU;
constexpr unsigned kMasked = 0x7FFFFFFFU;  // no id, nor is what lies above

struct IdAtPosition {
  unsigned id;
  unsigned position;
};

// Positions first .. end - 1, as blocks and their warps share them.
struct Piece {
  std::int64_t begin;
  std::int64_t end;

  // The piece of one of `count` that share this one; each a multiple of a warp's lanes long.
  __device__ Piece part(std::int64_t number, std::int64_t count) const {
    const std::int64_t share = (end - begin + 32 * count - 1) / (32 * count) * 32;
    const std::int64_t first = min(begin + share * number, end);
    return {first, min(first + share, end)};
  }
};

// Calls body(id and position) for each position of the warp's piece, in order, 32 neighbours at a
// time; with kMasked for what lies behind the piece. `load` fills in those of positions n, n + 32
// and so on, as far as they are there.
template <class Load, class Body>
__device__ inline void for_batches(const Piece& piece, const Load& load, const Body& body) {
  SIMT_NO_UNROLL
  for (std::int64_t first = piece.begin; first < piece.end; first += kPositionsOfWarp) {
    const int lane = static_cast<int>(threadIdx.x % 32);
    const int left =
        static_cast<int>(min(piece.end - first, std::int64_t{kPositionsOfWarp})) - lane;
    IdAtPosition ids[kAtOnce];
    load(
        first + lane, [&](int i) { return 32 * i < left; }, ids);
    SIMT_UNROLL
    for (int i = 0; i < kAtOnce; ++i) body(ids[i]);
  }
}

// Of ids without gaps. What memory is asked for comes first and what is done with it last: no load
// waits for another.
template <class IsThere>
__device__ inline void load_ids(const EmbeddingSort& args, std::int64_t n, const IsThere& is_there,
                                IdAtPosition (&to)[kAtOnce]) {
  const std::int32_t* const ids = args.ids.data + n;
  SIMT_UNROLL
  for (int i = 0; i < kAtOnce; ++i) {
    to[i] = {is_there(i) ? min(static_cast<unsigned>(ids[32 * i]), kMasked) : kMasked,
             static_cast<unsigned>(n) + 32U * static_cast<unsigned>(i)};
  }
  if (args.mask.data != nullptr) {
    const std::uint8_t* const mask = args.mask.data + n;
    std::uint8_t valid[kAtOnce];
    SIMT_UNROLL
    for (int i = 0; i < kAtOnce; ++i) valid[i] = is_there(i) ? mask[32 * i] : std::uint8_t{0};
    SIMT_UNROLL
    for (int i = 0; i < kAtOnce; ++i) {
      if (valid[i] == 0) to[i].id = kMasked;
    }
  }
  if (args.padding < 0) return;
  SIMT_UNROLL
  for (int i = 0; i < kAtOnce; ++i) {
    if (to[i].id == static_cast<unsigned>(args.padding)) to[i].id = kMasked;
  }
}

// Of ids in rows with gaps, which are seldom: one position at a time.
template <class Body>
__device__ inline void for_ids_of_rows(const EmbeddingSort& args, const Piece& piece,
                                       const Body& body) {
  SIMT_NO_UNROLL
  for (std::int64_t first = piece.begin; first < piece.end; first += 32) {
    const std::int64_t n = first + static_cast<std::int64_t>(threadIdx.x % 32);
    IdAtPosition at{kMasked, static_cast<unsigned>(n)};
    if (n < piece.end) {
      const std::int64_t row = n / args.ids.columns;
      const std::int64_t column = n - row * args.ids.columns;
      const std::int32_t id = args.ids.row(row)[column];
      const bool counts = args.mask.data == nullptr || args.mask.row(row)[column] != 0;
      if (counts && id != args.padding) at.id = min(static_cast<unsigned>(id), kMasked);
    }
    body(at);
  }
}

template <class Body>
__device__ inline void for_ids(const EmbeddingSort& args, const Piece& piece, const Body& body) {
  if (args.ids.rows > 1) return for_ids_of_rows(args, piece, body);
  const auto load = [&](std::int64_t n, const auto& is_there, IdAtPosition(&to)[kAtOnce]) {
    load_ids(args, n, is_there, to);
  };
  for_batches(piece, load, body);
}

// The sum of the values of the threads before this one, and of all: a tree of fixed shape.
struct SumBefore {
  unsigned before;
  unsigned all;
};
__device__ inline unsigned sum_up_to_lane(unsigned value) {
  for (unsigned offset = 1; offset < 32; offset *= 2) {
    const unsigned left = __shfl_up_sync(kAll, value, offset);
    if (threadIdx.x % 32 >= offset) value += left;
  }
  return value;
}
__device__ inline SumBefore sum_before(unsigned value, unsigned* warp_sums) {
  const unsigned lane = threadIdx.x % 32;
  const unsigned warp = threadIdx.x / 32;
  const unsigned sum = sum_up_to_lane(value);
  __syncthreads();  // whoever still reads the sums of a call before this one
  if (lane == 31) warp_sums[warp] = sum;
  __syncthreads();
  const unsigned sums = sum_up_to_lane(lane < blockDim.x / 32 ? warp_sums[lane] : 0);
  const unsigned before = __shfl_sync(kAll, sums, static_cast<int>(warp)) - warp_sums[warp];
  return {before + sum - value, __shfl_sync(kAll, sums, 31)};
}

constexpr int kCountersAtOnce = 8;

// The sum of one key's counters, which lie `stride` apart.
__device__ inline unsigned sum_of_warps(const unsigned* counters, unsigned stride, unsigned warps) {
  unsigned sum = 0;
  SIMT_NO_UNROLL
  for (unsigned first = 0; first < warps; first += kCountersAtOnce) {
    SIMT_UNROLL
    for (unsigned i = 0; i < kCountersAtOnce; ++i) {
      if (first + i < warps) sum += counters[(first + i) * stride];
    }
  }
  return sum;
}

// One key's counts become places: from `next` on, of each warp what it found, in their order.
__device__ inline void counts_to_places(unsigned* counters, unsigned stride, unsigned warps,
                                        unsigned next) {
  SIMT_NO_UNROLL
  for (unsigned first = 0; first < warps; first += kCountersAtOnce) {
    unsigned counts[kCountersAtOnce];
    SIMT_UNROLL
    for (unsigned i = 0; i < kCountersAtOnce; ++i) {
      counts[i] = first + i < warps ? counters[(first + i) * stride] : 0;
    }
    SIMT_UNROLL
    for (unsigned i = 0; i < kCountersAtOnce; ++i) {
      if (first + i < warps) counters[(first + i) * stride] = next;
      next += counts[i];
    }
  }
}

// Calls put(place) for a lane whose key is one of the warp's counters; all lanes together. Lanes of
// one key stand behind each other.
template <class Put>
__device__ inline void place_key(unsigned* of_warp, bool is_counted, unsigned key, const Put& put) {
  if (__any_sync(kAll, is_counted ? 1 : 0) == 0) return;
  const unsigned same = __match_any_sync(kAll, is_counted ? key : kMasked);
  const unsigned lanes_before = (1U << (threadIdx.x % 32)) - 1U;
  const auto rank = static_cast<unsigned>(__popc(same & lanes_before));
  const unsigned next = is_counted ? of_warp[key] : 0;
  __syncwarp();
  if (is_counted) {
    put(next + rank);
    if (rank == 0) of_warp[key] = next + static_cast<unsigned>(__popc(same));
  }
  __syncwarp();
}

}  // namespace
}  // namespace braid::kernels
