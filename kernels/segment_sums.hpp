#pragma once
#include <cstdint>

#include "kernels/embedding.hpp"
#include "kernels/simt/facade.hpp"
#include "kernels/simt/rows.hpp"

// Sums of the rows of each id, of positions that are sorted by id. Every warp has a piece of them,
// as long as any other one, however often an id comes: what begins and ends within a piece is a sum
// at once; of an id that goes on in the next pieces each leaves what it has, and behind a barrier
// of the grid the warp of its first piece adds that up, in the order of the pieces.
namespace braid::kernels {
namespace {

constexpr int kWarpsOfSums = 8;
constexpr int kThreadsOfSums = kWarpsOfSums * 32;

struct SortedPositions {
  Matrix<const std::int32_t> ids;       // [B, T]
  const std::int32_t* order = nullptr;  // as EmbeddingSort leaves them
  const std::int32_t* segments = nullptr;
  std::int64_t first = 0;  // ids first .. last - 1 are wanted
  std::int64_t last = 0;
  int piece = 32;  // positions of one, a multiple of 32

  std::int64_t pieces_at_most() const { return (ids.rows * ids.columns + piece - 1) / piece; }
  __device__ std::int32_t id_of(std::int32_t position) const {
    const auto steps = static_cast<std::int32_t>(ids.columns);
    return ids.row(position / steps)[position % steps];
  }
};

// Where pieces leave what they have of ids that they share with others: two rows a piece, that of
// the id it begins with and that of the one it ends with.
struct SharedSums {
  float* rows = nullptr;  // [pieces, 2, columns]
  std::int64_t columns = 0;

  __device__ float* of_first(std::int64_t piece) const { return rows + 2 * piece * columns; }
  __device__ float* of_last(std::int64_t piece) const { return rows + (2 * piece + 1) * columns; }
};

template <int Width>
__device__ inline void give_sum(float* to, Floats<Width> sum, bool accumulate) {
  if (accumulate) {
    Floats<Width> before = Floats<Width>::load(to);
    before += sum;
    sum = before;
  }
  sum.store(to);
}

// A warp's part of the columns of one piece. index_of(position) is the row of a position, or -1 if
// it has none.
template <int Width, class IndexOf>
__device__ inline void sum_piece(const SortedPositions& sorted, int piece, int column,
                                 const Matrix<const float>& rows, const IndexOf& index_of,
                                 const Matrix<float>& sums, const SharedSums& shared,
                                 bool accumulate) {
  constexpr int kAtOnce = 8;
  constexpr unsigned kAll = 0xFFFFFFFFU;
  const auto lane = static_cast<int>(threadIdx.x % 32);
  const bool has_column = column < sums.columns;
  const std::int64_t all = sorted.segments[sorted.first];
  const auto begin = static_cast<std::int32_t>(all + std::int64_t{piece} * sorted.piece);
  const auto end = static_cast<std::int32_t>(min(all + (piece + std::int64_t{1}) * sorted.piece,
                                                 std::int64_t{sorted.segments[sorted.last]}));
  const std::int32_t length = end - begin;
  Floats<Width> sum{};
  bool is_shared = false;  // the id at work began in a piece before
  bool is_open = false;    // and goes on
  SIMT_NO_UNROLL
  for (std::int32_t first = 0; first < length; first += 32) {
    std::int32_t id = 0;
    std::int32_t index = -1;
    bool is_end = false;
    bool began_before = false;
    if (first + lane < length) {
      const std::int32_t place = begin + first + lane;
      const std::int32_t position = sorted.order[place];
      id = sorted.id_of(position);
      index = index_of(position);
      is_end = sorted.segments[id + 1] == place + 1;
      began_before = place == begin && sorted.segments[id] < begin;
    }
    const unsigned ends = __ballot_sync(kAll, is_end ? 1 : 0);
    if (__ballot_sync(kAll, began_before ? 1 : 0) != 0) is_shared = true;
    const int count = min(32, length - first);
    SIMT_NO_UNROLL
    for (int i = 0; i < count; i += kAtOnce) {
      Floats<Width> values[kAtOnce];
      SIMT_UNROLL
      for (int j = 0; j < kAtOnce; ++j) {
        const std::int32_t row = __shfl_sync(kAll, index, i + j);
        if (has_column && row >= 0) values[j] = Floats<Width>::load(rows.row(row) + column);
      }
      SIMT_UNROLL
      for (int j = 0; j < kAtOnce; ++j) {
        if (i + j >= count) break;
        sum += values[j];
        is_open = (ends >> static_cast<unsigned>(i + j) & 1U) == 0;
        const std::int32_t own = __shfl_sync(kAll, id, i + j);
        if (is_open) continue;
        if (has_column && is_shared) sum.store(shared.of_first(piece) + column);
        if (has_column && !is_shared) give_sum(sums.row(own) + column, sum, accumulate);
        sum = {};
        is_shared = false;
      }
    }
  }
  if (!is_open || !has_column) return;
  sum.store((is_shared ? shared.of_first(piece) : shared.of_last(piece)) + column);
}

// Adds up what the pieces behind this one have of the id that it ends with, if it is the first one
// that has it.
template <int Width>
__device__ inline void join_pieces(const SortedPositions& sorted, int piece, int column,
                                   const Matrix<float>& sums, const SharedSums& shared,
                                   bool accumulate) {
  constexpr int kAtOnce = 8;
  const std::int64_t all = sorted.segments[sorted.first];
  const std::int64_t begin = all + std::int64_t{piece} * sorted.piece;
  const std::int64_t next = begin + sorted.piece;
  if (next >= sorted.segments[sorted.last] || column >= sums.columns) return;
  const std::int32_t id = sorted.id_of(sorted.order[next - 1]);
  const std::int32_t end = sorted.segments[id + 1];
  if (end <= next || sorted.segments[id] < begin) return;
  const std::int64_t last = (end - 1 - all) / sorted.piece;
  auto sum = Floats<Width>::load(shared.of_last(piece) + column);
  SIMT_NO_UNROLL
  for (std::int64_t at = piece + 1; at <= last; at += kAtOnce) {
    Floats<Width> values[kAtOnce];
    SIMT_UNROLL
    for (int j = 0; j < kAtOnce; ++j) {
      if (at + j <= last) values[j] = Floats<Width>::load(shared.of_first(at + j) + column);
    }
    SIMT_UNROLL
    for (int j = 0; j < kAtOnce; ++j) sum += values[j];
  }
  give_sum(sums.row(id) + column, sum, accumulate);
}

// A warp clears the sums of ids that no position has.
__device__ inline void clear_sums(const SortedPositions& sorted, std::int64_t first,
                                  const Matrix<float>& sums) {
  const auto lane = static_cast<int>(threadIdx.x % 32);
  const std::int64_t own = first + lane;
  const bool is_empty = own < sorted.last && sorted.segments[own] == sorted.segments[own + 1];
  unsigned empty = __ballot_sync(0xFFFFFFFFU, is_empty ? 1 : 0);
  while (empty != 0) {
    float* row = sums.row(first + __ffs(static_cast<int>(empty)) - 1);
    for (std::int64_t column = lane; column < sums.columns; column += 32) row[column] = 0;
    empty &= empty - 1;
  }
}

// sums[v] = the sum of rows[index_of(n)] over the positions n of the id v, for all ids wanted; with
// accumulate it is added to what is there. All blocks of a cooperative launch come here.
template <int Width, class IndexOf>
__device__ inline void sum_segments(const SortedPositions& sorted, const Matrix<const float>& rows,
                                    const IndexOf& index_of, const Matrix<float>& sums,
                                    float* shared_rows, bool accumulate) {
  const SharedSums shared{shared_rows, sums.columns};
  const auto warp = static_cast<int>(blockIdx.x * kWarpsOfSums + threadIdx.x / 32);
  const auto warps = static_cast<int>(gridDim.x * kWarpsOfSums);
  // Of rows that fit into any memory there are not so many.
  const auto wide = static_cast<int>((sums.columns + 32 * Width - 1) / (32 * Width));
  const std::int64_t count = sorted.segments[sorted.last] - sorted.segments[sorted.first];
  const int items = static_cast<int>((count + sorted.piece - 1) / sorted.piece) * wide;
  const auto column_of = [&](int item) {
    return (item % wide * 32 + static_cast<int>(threadIdx.x % 32)) * Width;
  };
  SIMT_NO_UNROLL
  for (int item = warp; item < items; item += warps) {
    sum_piece<Width>(sorted, item / wide, column_of(item), rows, index_of, sums, shared,
                     accumulate);
  }
  if (!accumulate) {
    SIMT_NO_UNROLL
    for (std::int64_t id = sorted.first + std::int64_t{32} * warp; id < sorted.last;
         id += std::int64_t{32} * warps)
      clear_sums(sorted, id, sums);
  }
  grid_sync();
  SIMT_NO_UNROLL
  for (int item = warp; item < items; item += warps)
    join_pieces<Width>(sorted, item / wide, column_of(item), sums, shared, accumulate);
}

// Enough blocks for every piece, and for every 32 ids.
template <auto kernel>
LaunchShape sums_launch(const SortedPositions& sorted, std::int64_t columns, int width) {
  const std::int64_t wide = (columns + 32 * width - 1) / (32 * width);
  const std::int64_t pieces = sorted.pieces_at_most() * wide;
  const std::int64_t ids = (sorted.last - sorted.first + 31) / 32;
  LaunchShape shape{.block = kThreadsOfSums};
  const std::int64_t wanted = ((pieces > ids ? pieces : ids) + kWarpsOfSums - 1) / kWarpsOfSums;
  const std::int64_t fitting = blocks_at_once<kernel>(shape);
  shape.grid = wanted < fitting ? wanted : fitting;
  return shape;
}

}  // namespace
}  // namespace braid::kernels
