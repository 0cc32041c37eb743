#pragma once
#include <algorithm>

#include "kernels/embedding_ids.hpp"
#include "kernels/simt/elements.hpp"

// Sorts positions by one digit of their ids after the other, the lowest first. Blocks share the
// positions: they count the digits of theirs, a launch of its own makes of the counts how many of
// each digit stand in the blocks before, and they put theirs where the digits and blocks before
// leave off. Where the segments begin is looked up in the sorted ids. The time does not depend on
// which ids there are.
namespace braid::kernels {
namespace {

constexpr int kWarpsByDigits = 16;
constexpr unsigned kThreadsByDigits = 32 * kWarpsByDigits;

struct DigitPass {
  EmbeddingSort sort;
  const unsigned* from;  // ids and positions, one pair after the other; not in the first pass
  unsigned* to;          // as many; not in the last pass
  unsigned* sorted_ids;  // in the last pass alone
  unsigned* counts;      // [block][digit]
  unsigned* totals;      // [digit]
  unsigned* sorted;      // how many positions count, known when the first pass has ended
  int shift;
  unsigned digits;  // values of one

  __device__ unsigned digit_of(unsigned id) const { return id >> shift & (digits - 1); }
};

enum class Pass { first, further };

template <Pass pass>
__device__ inline Piece piece_of_block(const DigitPass& args) {
  const std::int64_t count =
      pass == Pass::first ? args.sort.ids.rows * args.sort.ids.columns : std::int64_t{*args.sorted};
  return Piece{0, count}.part(blockIdx.x, gridDim.x);
}

// Calls body(id and position) for those of the warp's piece, as the pass before left them. Ids that
// no table has are masked: not all of their digits are looked at, so they would stand anywhere.
template <Pass pass, class Body>
__device__ inline void for_positions(const DigitPass& args, const Piece& piece, const Body& body) {
  if constexpr (pass == Pass::first) {
    const auto vocabulary = static_cast<unsigned>(args.sort.vocabulary);
    for_ids(args.sort, piece, [&](const IdAtPosition& at) {
      body({at.id < vocabulary ? at.id : kMasked, at.position});
    });
  } else {
    const auto load = [&](std::int64_t n, const auto& is_there, IdAtPosition(&to)[kAtOnce]) {
      const unsigned* const pairs = args.from + 2 * n;
      SIMT_UNROLL
      for (int i = 0; i < kAtOnce; ++i) {
        const uint2 pair = is_there(i) ? ld_vec<uint2>(pairs + 64 * i) : uint2{kMasked, 0};
        to[i] = {pair.x, pair.y};
      }
    };
    for_batches(piece, load, body);
  }
}

template <Pass pass>
__global__ void __launch_bounds__(kThreadsByDigits) count_digits_kernel(DigitPass args) {
  SIMT_DYN_SHARED(unsigned, counters);  // [digit]
  for (unsigned i = threadIdx.x; i < args.digits; i += blockDim.x) counters[i] = 0;
  __syncthreads();
  const Piece piece = piece_of_block<pass>(args).part(threadIdx.x / 32, blockDim.x / 32);
  for_positions<pass>(args, piece, [&](const IdAtPosition& at) {
    if (at.id != kMasked) atomicAdd(&counters[args.digit_of(at.id)], 1U);
  });
  __syncthreads();
  unsigned* const counts = args.counts + std::int64_t{blockIdx.x} * args.digits;
  for (unsigned i = threadIdx.x; i < args.digits; i += blockDim.x) counts[i] = counters[i];
}

// A warp takes a digit: of its counts become the sums of the blocks before.
__global__ void sum_digits_kernel(DigitPass args, std::int64_t blocks) {
  for_each_by_warp(AllBlocks{}, args.digits, [&](std::int64_t digit) {
    unsigned sum = 0;
    for (std::int64_t first = 0; first < blocks; first += kPositionsOfWarp) {
      unsigned counts[kAtOnce];
      std::int64_t block = first + static_cast<std::int64_t>(threadIdx.x % 32);
      SIMT_UNROLL
      for (int i = 0; i < kAtOnce; ++i, block += 32) {
        counts[i] = block < blocks ? args.counts[block * args.digits + digit] : 0;
      }
      block -= kPositionsOfWarp;
      SIMT_UNROLL
      for (int i = 0; i < kAtOnce; ++i, block += 32) {
        const unsigned up_to_lane = sum_up_to_lane(counts[i]);
        if (block < blocks) args.counts[block * args.digits + digit] = sum + up_to_lane - counts[i];
        sum += __shfl_sync(kAll, up_to_lane, 31);
      }
    }
    if (threadIdx.x % 32 == 0) args.totals[digit] = sum;
  });
}

template <Pass pass>
__global__ void __launch_bounds__(kThreadsByDigits) place_by_digit_kernel(DigitPass args) {
  SIMT_SHARED(unsigned, warp_sums, [kMostWarps]);
  SIMT_DYN_SHARED(unsigned, counters);  // [warp][digit]: a count, then the place of the next one
  const unsigned warps = blockDim.x / 32;
  const Piece piece = piece_of_block<pass>(args).part(threadIdx.x / 32, warps);
  unsigned* const of_warp = counters + threadIdx.x / 32 * args.digits;
  for (unsigned i = threadIdx.x; i < warps * args.digits; i += blockDim.x) counters[i] = 0;
  __syncthreads();
  for_positions<pass>(args, piece, [&](const IdAtPosition& at) {
    if (at.id != kMasked) atomicAdd(&of_warp[args.digit_of(at.id)], 1U);
  });

  const unsigned* const before = args.counts + std::int64_t{blockIdx.x} * args.digits;
  unsigned place = 0;
  for (unsigned i = 0; i < args.digits; i += blockDim.x) {
    const unsigned digit = i + threadIdx.x;
    const SumBefore sum = sum_before(digit < args.digits ? args.totals[digit] : 0, warp_sums);
    if (digit < args.digits) {
      counts_to_places(counters + digit, args.digits, warps, place + sum.before + before[digit]);
    }
    place += sum.all;
  }
  if (pass == Pass::first && blockIdx.x == 0 && threadIdx.x == 0) *args.sorted = place;
  __syncthreads();

  for_positions<pass>(args, piece, [&](const IdAtPosition& at) {
    place_key(of_warp, at.id != kMasked, args.digit_of(at.id), [&](unsigned to) {
      if (args.to != nullptr) {
        st_vec(args.to + 2 * std::int64_t{to}, uint2{at.id, at.position});
      } else {
        args.sort.order[to] = static_cast<std::int32_t>(at.position);
        args.sorted_ids[to] = at.id;
      }
    });
  });
}

// Segment v begins at the first of the sorted ids that is not below v.
__global__ void find_segments_kernel(DigitPass args) {
  for_elements<1>(1, args.sort.vocabulary + 1, [&](std::int64_t, std::int64_t v) {
    std::int64_t begin = 0;
    std::int64_t end = *args.sorted;
    while (begin < end) {
      const std::int64_t middle = (begin + end) / 2;
      if (std::int64_t{args.sorted_ids[middle]} < v) {
        begin = middle + 1;
      } else {
        end = middle;
      }
    }
    args.sort.segments[v] = static_cast<std::int32_t>(begin);
  });
}

template <Pass pass>
void launch_pass(const Stream& stream, const DigitPass& args, std::int64_t blocks,
                 std::int64_t warps) {
  const std::int64_t bytes = 4 * std::int64_t{args.digits};
  launch_kernel<count_digits_kernel<pass>>(
      {.grid = blocks, .block = kThreadsByDigits, .shared = bytes}, stream, args);
  launch_kernel<sum_digits_kernel>({.grid = blocks_for(args.digits, 8), .block = 256}, stream, args,
                                   blocks);
  launch_kernel<place_by_digit_kernel<pass>>(
      {.grid = blocks, .block = 32 * warps, .shared = warps * bytes}, stream, args);
}

inline void sort_by_digits(const Stream& stream, const EmbeddingSort& sort,
                           const EmbeddingDigits& digits) {
  constexpr std::int64_t kStaticBytes = 1024;
  const std::int64_t positions = sort.ids.rows * sort.ids.columns;
  const std::int64_t warps = std::min<std::int64_t>(
      (shared_bytes_of_block() - kStaticBytes) / (4 * digits.values()), kWarpsByDigits);
  // Lists of pairs, which passes read and write in turn; the last one leaves ids alone in the list
  // that it does not read.
  auto* const scratch = reinterpret_cast<unsigned*>(sort.scratch);
  unsigned* lists[] = {scratch, digits.count > 1 ? scratch + 2 * positions : scratch};
  unsigned* const counts = lists[1] + (digits.count > 2 ? 2 : 1) * positions;
  DigitPass pass{.sort = sort, .counts = counts, .digits = static_cast<unsigned>(digits.values())};
  pass.totals = counts + digits.blocks * digits.values();
  pass.sorted = pass.totals + digits.values();
  for (int number = 0; number < digits.count; ++number) {
    const bool is_last = number == digits.count - 1;
    unsigned* const list = lists[number % 2];
    pass.shift = number * digits.bits;
    pass.to = is_last ? nullptr : list;
    pass.sorted_ids = is_last ? list : nullptr;
    if (number == 0) {
      launch_pass<Pass::first>(stream, pass, digits.blocks, warps);
    } else {
      launch_pass<Pass::further>(stream, pass, digits.blocks, warps);
    }
    pass.from = list;
  }
  launch_kernel<find_segments_kernel>(element_shape(sort.vocabulary + 1), stream, pass);
}

}  // namespace
}  // namespace braid::kernels
