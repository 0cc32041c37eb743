#pragma once
#include "kernels/lstm_gpu.hpp"
#include "kernels/simt/facade.hpp"
#include "kernels/simt/rows.hpp"

// Products of matrices, a tile of the result for each block of threads: a thread keeps a square of
// sums in registers, and operands come through shared memory, one stage ahead, one barrier a stage.
// Every sum runs over the depth in its order (within a group, where the threads are cut into groups
// that share a stage's depth among them).
namespace braid::kernels {
namespace {

template <int RowsOfThread, int ColumnsOfThread, int RowLanes, int ColumnLanes, int Groups,
          int Depth>
struct TileShape {
  static constexpr int kRowsOfThread = RowsOfThread;
  static constexpr int kColumnsOfThread = ColumnsOfThread;
  static constexpr int kRowLanes = RowLanes;
  static constexpr int kColumnLanes = ColumnLanes;
  static constexpr int kGroups = Groups;
  static constexpr int kDepthOfGroup = Depth;
  static constexpr int kDepth = Depth * Groups;  // of a stage
  static constexpr int kRows = RowsOfThread * RowLanes;
  static constexpr int kColumns = ColumnsOfThread * ColumnLanes;
  static constexpr int kThreadsOfGroup = RowLanes * ColumnLanes;
  static constexpr int kThreads = kThreadsOfGroup * Groups;
  static constexpr int kPaddedRows = kRows + 4;
  static constexpr int kPaddedColumns = kColumns;
  static constexpr int kGapOfRuns = 0;

  static __device__ int group() { return static_cast<int>(threadIdx.x) / kThreadsOfGroup; }
  static __device__ int row_lane() {
    return static_cast<int>(threadIdx.x) % kThreadsOfGroup / ColumnLanes;
  }
  static __device__ int column_lane() { return static_cast<int>(threadIdx.x) % ColumnLanes; }
  // Rows of a thread come in fours, so that neighbouring lanes read neighbouring addresses.
  static __device__ int row(int i) {
    return i / 4 * (kRows * 4 / RowsOfThread) + row_lane() * 4 + i % 4;
  }

  using Sums = float[RowsOfThread][ColumnsOfThread];
  // sums += the product of what a stage holds.
  template <class Columns>
  static __device__ void multiply(const float (*left)[kPaddedRows],
                                  const float (*right)[kPaddedColumns], Sums& sums) {
    const int first = group() * kDepthOfGroup;
    SIMT_UNROLL
    for (int at = 0; at < kDepthOfGroup; ++at) {
      float rows[kRowsOfThread];
      float columns[kColumnsOfThread];
      SIMT_UNROLL
      for (int i = 0; i < kRowsOfThread; i += 4) {
        const auto four = ld_vec<float4>(&left[first + at][row(i)]);
        rows[i] = four.x;
        rows[i + 1] = four.y;
        rows[i + 2] = four.z;
        rows[i + 3] = four.w;
      }
      Columns::template read<TileShape>(right[first + at], columns);
      SIMT_UNROLL
      for (int i = 0; i < kRowsOfThread; ++i) {
        SIMT_UNROLL
        for (int j = 0; j < kColumnsOfThread; ++j) sums[i][j] += rows[i] * columns[j];
      }
    }
  }
};

// 64 x 128, for many rows; 16 x 32 by eight groups, where few blocks would have anything to do.
using LargeTile = TileShape<8, 8, 8, 16, 1, 16>;
using SmallTile = TileShape<4, 4, 4, 8, 8, 8>;

BRAID_HOST_DEVICE inline std::int64_t tiles_of(std::int64_t count, std::int64_t of_tile) {
  return (count + of_tile - 1) / of_tile;
}
template <class Tile>
std::int64_t tiles_of(std::int64_t rows, std::int64_t columns) {
  return tiles_of(rows, Tile::kRows) * tiles_of(columns, Tile::kColumns);
}
// True where every multiprocessor has one of the large tiles.
inline bool fills_large_tiles(std::int64_t rows, std::int64_t columns) {
  return tiles_of<LargeTile>(rows, columns) >= lstm_cut.multiprocessors;
}

// Blocks that a multiprocessor is to hold of the products of all tokens, and of those of one step.
// Unless it is told, the compiler may aim at more of them, and spill registers for it.
constexpr int kBlocksOfTokens = 3;
constexpr int kBlocksOfStep = 2;

// Blocks of a cooperative launch at the most.
template <auto kernel>
std::int64_t lstm_blocks_at_once(const LaunchShape& shape) {
  const std::int64_t wanted = kBlocksOfTokens * lstm_cut.multiprocessors;
  const std::int64_t fitting = blocks_at_once<kernel>(shape);
  return wanted < fitting ? wanted : fitting;
}

template <class Tile>
struct TileSums {
  typename Tile::Sums at;
};

// How the columns of a tile lie in the matrix: side by side, or as four runs, one a gate, of the
// same units. A thread has them in fours ("quads"): neighbouring columns, or a unit's gates.
struct PlainColumns {
  static constexpr int kRuns = 1;
  template <class Tile>
  static __device__ int quad(int q) {
    return Tile::column_lane() + q * Tile::kColumnLanes;
  }
  template <class Tile>
  static __device__ void read(const float* row, float (&out)[Tile::kColumnsOfThread]) {
    SIMT_UNROLL
    for (int q = 0; q < Tile::kColumnsOfThread / 4; ++q) {
      const auto four = ld_vec<float4>(row + 4 * quad<Tile>(q));
      out[4 * q] = four.x;
      out[4 * q + 1] = four.y;
      out[4 * q + 2] = four.z;
      out[4 * q + 3] = four.w;
    }
  }
};
struct GateColumns {
  static constexpr int kRuns = 4;
  template <class Tile>
  static __device__ int quad(int q) {
    return Tile::column_lane() * (Tile::kColumnsOfThread / 4) + q;
  }
  template <class Tile>
  static __device__ void read(const float* row, float (&out)[Tile::kColumnsOfThread]) {
    static_assert(Tile::kColumnsOfThread == 8 || Tile::kColumnsOfThread == 4);
    SIMT_UNROLL
    for (int gate = 0; gate < 4; ++gate) {
      const float* run = row + gate * (Tile::kColumns / 4) + quad<Tile>(0);
      if constexpr (Tile::kColumnsOfThread == 8) {
        const auto units = ld_vec<float2>(run);
        out[gate] = units.x;
        out[4 + gate] = units.y;
      } else {
        out[gate] = *run;
      }
    }
  }
};

__device__ inline float4 four_or_less(const float* from, std::int64_t column, std::int64_t columns,
                                      bool fours) {
  float4 value = {0, 0, 0, 0};
  if (fours) {
    if (column < columns) value = ld_vec<float4>(from + column);
    return value;
  }
  if (column < columns) value.x = from[column];
  if (column + 1 < columns) value.y = from[column + 1];
  if (column + 2 < columns) value.z = from[column + 2];
  if (column + 3 < columns) value.w = from[column + 3];
  return value;
}

// The left operand, from rows of memory that run along the depth: row_of(row of the tile) is where
// one starts, or null for a row of zeros. With `fours`, rows start at 16 bytes and hold whole
// fours.
template <class Tile>
class RowsOperand {
 public:
  template <class RowOf>
  __device__ RowsOperand(std::int64_t depth, bool fours, const RowOf& row_of)
      : depth_(depth), fours_(fours) {
    SIMT_UNROLL
    for (int i = 0; i < kLoads; ++i) rows_[i] = row_of(row(i));
  }

  __device__ void fetch(std::int64_t k) {
    SIMT_UNROLL
    for (int i = 0; i < kLoads; ++i) {
      values_[i] = rows_[i] == nullptr ? float4{0, 0, 0, 0}
                                       : four_or_less(rows_[i], k + 4 * quad(), depth_, fours_);
    }
  }
  __device__ void put(float (*stage)[Tile::kPaddedRows]) const {
    SIMT_UNROLL
    for (int i = 0; i < kLoads; ++i) {
      stage[4 * quad()][row(i)] = values_[i].x;
      stage[4 * quad() + 1][row(i)] = values_[i].y;
      stage[4 * quad() + 2][row(i)] = values_[i].z;
      stage[4 * quad() + 3][row(i)] = values_[i].w;
    }
  }

 private:
  static constexpr int kQuads = Tile::kDepth / 4;
  static constexpr int kRowsAtOnce = Tile::kThreads / kQuads;
  static constexpr int kLoads = Tile::kRows / kRowsAtOnce;
  static_assert(kLoads * kRowsAtOnce == Tile::kRows);

  static __device__ int quad() { return static_cast<int>(threadIdx.x) % kQuads; }
  static __device__ int row(int i) {
    return static_cast<int>(threadIdx.x) / kQuads + i * kRowsAtOnce;
  }

  const float* rows_[kLoads];
  float4 values_[kLoads];
  std::int64_t depth_;
  bool fours_;
};

// Where the columns of a tile lie in each row.
struct ColumnRange {
  std::int64_t first = 0;   // column of the first run
  std::int64_t count = 0;   // columns of a run; beyond are zeros
  std::int64_t stride = 0;  // from run to run
  bool fours = false;
};

// The right operand (or a left one that lies transposed): row_of(k) is the memory of the columns at
// depth k, null for zeros.
template <class Tile, int kWidth, int kRuns, class RowOf>
class ColumnsOperand {
 public:
  __device__ ColumnsOperand(std::int64_t depth, const ColumnRange& range, const RowOf& row_of)
      : depth_(depth), range_(range), row_of_(row_of) {}

  __device__ void fetch(std::int64_t k) {
    SIMT_UNROLL
    for (int i = 0; i < kLoads; ++i) {
      const std::int64_t at = k + place(i);
      const float* row = at < depth_ ? row_of_(at) : nullptr;
      values_[i] = row == nullptr ? float4{0, 0, 0, 0}
                                  : four_or_less(row + quad() / kQuadsOfRun * range_.stride,
                                                 range_.first + quad() % kQuadsOfRun * 4,
                                                 range_.count, range_.fours);
    }
  }
  template <int kPadded>
  __device__ void put(float (*stage)[kPadded]) const {
    SIMT_UNROLL
    for (int i = 0; i < kLoads; ++i)
      st_vec(&stage[place(i)][4 * quad() + quad() / kQuadsOfRun * Tile::kGapOfRuns], values_[i]);
  }

 private:
  static constexpr int kQuads = kWidth / 4;
  static constexpr int kQuadsOfRun = kQuads / kRuns;
  static constexpr int kAtOnce = Tile::kThreads / kQuads;
  static constexpr int kLoads = Tile::kDepth / kAtOnce;
  static_assert(kLoads * kAtOnce == Tile::kDepth && kQuadsOfRun * kRuns == kQuads);

  static __device__ int quad() { return static_cast<int>(threadIdx.x) % kQuads; }
  static __device__ int place(int i) {
    return static_cast<int>(threadIdx.x) / kQuads + i * kAtOnce;
  }

  float4 values_[kLoads];
  std::int64_t depth_;
  ColumnRange range_;
  RowOf row_of_;
};

template <class Tile, class Columns, class RowOf>
__device__ inline auto right_operand(std::int64_t depth, const ColumnRange& range,
                                     const RowOf& row_of) {
  return ColumnsOperand<Tile, Tile::kColumns, Columns::kRuns, RowOf>(depth, range, row_of);
}
template <class Tile, class RowOf>
__device__ inline auto left_operand(std::int64_t depth, const ColumnRange& range,
                                    const RowOf& row_of) {
  return ColumnsOperand<Tile, Tile::kRows, 1, RowOf>(depth, range, row_of);
}

// Where the operands of a product pass through shared memory. A kernel that has several products
// has one of these for all of them.
template <class Tile>
struct ProductStages {
  float left[2][Tile::kDepth][Tile::kPaddedRows];
  float right[2][Tile::kDepth][Tile::kPaddedColumns];
};

// sums += left . right. watch(stage) sees the right operand's part of each stage. All threads of
// the block come here together; before they come again, they must meet at a barrier.
template <class Columns, class Tile, class Left, class Right, class Watch>
__device__ inline void add_product(ProductStages<Tile>& stages, TileSums<Tile>& sums, Left& left,
                                   Right& right, std::int64_t depth, const Watch& watch) {
  int stage = 0;
  if (depth > 0) {
    left.fetch(0);
    right.fetch(0);
  }
  for (std::int64_t k = 0; k < depth; k += Tile::kDepth) {
    left.put(stages.left[stage]);
    right.put(stages.right[stage]);
    __syncthreads();
    if (k + Tile::kDepth < depth) {
      left.fetch(k + Tile::kDepth);
      right.fetch(k + Tile::kDepth);
    }
    Tile::template multiply<Columns>(stages.left[stage], stages.right[stage], sums.at);
    watch(stages.right[stage]);
    stage ^= 1;
  }
}
template <class Columns, class Tile, class Left, class Right>
__device__ inline void add_product(ProductStages<Tile>& stages, TileSums<Tile>& sums, Left& left,
                                   Right& right, std::int64_t depth) {
  add_product<Columns>(stages, sums, left, right, depth,
                       [](const float(*)[Tile::kPaddedColumns]) {});
}

// Calls body(row, quad, sums of the quad) for everything in the tile; groups are added up in their
// order.
template <class Columns, class Tile, class Body>
__device__ inline void for_quads(const TileSums<Tile>& sums, const Body& body) {
  constexpr int kQuadsOfThread = Tile::kColumnsOfThread / 4;
  const auto quad_of = [&](int i, int q) {
    const float* four = sums.at[i] + 4 * q;
    return float4{four[0], four[1], four[2], four[3]};
  };
  if constexpr (Tile::kGroups == 1) {
    SIMT_UNROLL
    for (int i = 0; i < Tile::kRowsOfThread; ++i) {
      SIMT_UNROLL
      for (int q = 0; q < kQuadsOfThread; ++q) {
        body(Tile::row(i), Columns::template quad<Tile>(q), quad_of(i, q));
      }
    }
  } else {
    SIMT_SHARED(float, parts, [Tile::kGroups][Tile::kRows][Tile::kColumns]);
    SIMT_UNROLL
    for (int i = 0; i < Tile::kRowsOfThread; ++i) {
      SIMT_UNROLL
      for (int q = 0; q < kQuadsOfThread; ++q) {
        st_vec(&parts[Tile::group()][Tile::row(i)][4 * Columns::template quad<Tile>(q)],
               quad_of(i, q));
      }
    }
    __syncthreads();
    constexpr int kQuads = Tile::kColumns / 4;
    for (int item = static_cast<int>(threadIdx.x); item < Tile::kRows * kQuads;
         item += Tile::kThreads) {
      const int row = item / kQuads;
      const int quad = item % kQuads;
      Floats<4> sum = Floats<4>::load(&parts[0][row][4 * quad]);
      for (int group = 1; group < Tile::kGroups; ++group) {
        sum += Floats<4>::load(&parts[group][row][4 * quad]);
      }
      body(row, quad, sum.value);
    }
  }
}

}  // namespace
}  // namespace braid::kernels
