#pragma once
#include "kernels/lstm_gpu.hpp"
#include "kernels/simt/facade.hpp"
#include "kernels/simt/rows.hpp"

// Products of matrices, a tile of the result for each block of threads: a thread keeps a square of
// sums in registers, and operands are copied to shared memory by themselves, a ring of stages
// ahead, one barrier a stage. Every sum runs over the depth in its order (within a group, where the
// threads are cut into groups that share a stage's depth among them).
namespace braid::kernels {
namespace {

template <int RowsOfThread, int ColumnsOfThread, int RowLanes, int ColumnLanes, int Groups,
          int Depth, int Stages>
struct TileShape {
  static constexpr int kRowsOfThread = RowsOfThread;
  static constexpr int kColumnsOfThread = ColumnsOfThread;
  static constexpr int kRowLanes = RowLanes;
  static constexpr int kColumnLanes = ColumnLanes;
  static constexpr int kGroups = Groups;
  static constexpr int kDepthOfGroup = Depth;
  static constexpr int kDepth = Depth * Groups;  // of a stage
  static constexpr int kStages = Stages;
  static constexpr int kBlocksOfTokens = 3;  // that a multiprocessor is to hold
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
using LargeTile = TileShape<8, 8, 8, 16, 1, 16, 3>;
using SmallTile = TileShape<4, 4, 4, 8, 8, 8, 2>;

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

// Blocks that a multiprocessor is to hold of the products of one step. Unless it is told, here and
// for those of all tokens, the compiler may aim at more of them, and spill registers for it.
constexpr int kBlocksOfStep = 2;

// Blocks of a cooperative launch at the most.
template <auto kernel, class Tile>
std::int64_t lstm_blocks_at_once(const LaunchShape& shape) {
  static_assert(Tile::kBlocksOfTokens <= kMostBlocksOfTokens);
  const std::int64_t wanted = Tile::kBlocksOfTokens * lstm_cut.multiprocessors;
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

// The left operand, from rows of memory that run along the depth: row_of(row of the tile) is where
// one starts, or null for one of zeros. Float by float it comes to lie across.
template <class Tile>
class RowsOperand {
 public:
  template <class RowOf>
  __device__ RowsOperand(int depth, const RowOf& row_of) : depth_(depth) {
    SIMT_UNROLL
    for (int i = 0; i < kRowsOfThread; ++i) {
      const float* row = row_of(first_row() + i * kRowsAtOnce);
      rows_[i] = reinterpret_cast<std::uintptr_t>(row) + sizeof(float) * along();
      filled_ |= (row == nullptr ? 0U : 1U) << static_cast<unsigned>(i);
    }
  }

  // Asks for the copies of a stage.
  __device__ void copy(float (*stage)[Tile::kPaddedRows], int k) const {
    float* const to = &stage[along()][first_row()];
    SIMT_UNROLL
    for (int i = 0; i < kRowsOfThread; ++i) {
      const bool is_filled = (filled_ >> static_cast<unsigned>(i) & 1U) != 0;
      SIMT_UNROLL
      for (int j = 0; j < Tile::kDepth; j += kAlong) {
        const std::uintptr_t from = rows_[i] + sizeof(float) * static_cast<unsigned>(k + j);
        cp_async_zero_fill<4>(to + j * Tile::kPaddedRows + i * kRowsAtOnce,
                              reinterpret_cast<const float*>(from),
                              is_filled && k + j < depth_ - along() ? 4 : 0);
      }
    }
  }

 private:
  // Lanes take so many neighbours of a row, the next ones those of another row: a sector of memory
  // each, and all banks of shared memory.
  static constexpr int kAlong = Tile::kThreads / Tile::kRows > 8 ? Tile::kThreads / Tile::kRows : 8;
  static constexpr int kRowsAtOnce = Tile::kThreads / kAlong;
  static constexpr int kRowsOfThread = Tile::kRows / kRowsAtOnce;
  static_assert(kRowsOfThread * kRowsAtOnce == Tile::kRows && Tile::kDepth % kAlong == 0);

  static __device__ int along() { return static_cast<int>(threadIdx.x) % kAlong; }
  static __device__ int first_row() { return static_cast<int>(threadIdx.x) / kAlong; }

  std::uintptr_t rows_[kRowsOfThread];  // addresses; of zeros nobody reads
  unsigned filled_ = 0;                 // a bit for each that is not of zeros
  int depth_;
};

// Where the columns of a tile lie in each row.
struct ColumnRange {
  std::int64_t first = 0;   // column of the first run
  std::int64_t count = 0;   // columns of a run; of those beyond nobody wants sums
  std::int64_t stride = 0;  // from run to run
  bool fours = false;       // rows start at 16 bytes and hold whole fours
};

// The right operand, or a left one that lies transposed: columns of rows of memory, one for each
// place of the depth. A thread copies four columns of several rows.
template <class Tile, int kWidth, int kRuns>
class ColumnCopies {
 public:
  __device__ explicit ColumnCopies(const ColumnRange& range) : fours_(range.fours) {
    const std::int64_t column = range.first + quad() % kQuadsOfRun * 4;
    offset_ = quad() / kQuadsOfRun * range.stride + column;
    const std::int64_t left = range.count - column;
    columns_ = static_cast<int>(left < 4 ? (left < 0 ? 0 : left) : 4);
  }

  // line_of(i, copy) calls copy(from where, whether it is there), for line `place() + i * kAtOnce`.
  template <int kPadded, class LineOf>
  __device__ void copy(float (*stage)[kPadded], const LineOf& line_of) const {
    if (columns_ == 0) return;
    float* const to = &stage[place()][4 * quad() + quad() / kQuadsOfRun * Tile::kGapOfRuns];
    if (fours_) {
      SIMT_UNROLL
      for (int i = 0; i < kLines; ++i) {
        line_of(i, [&](const float* from, bool is_there) {
          cp_async_zero_fill<16>(to + i * kAtOnce * kPadded, from, is_there ? 16 : 0);
        });
      }
      return;
    }
    SIMT_NO_UNROLL
    for (int i = 0; i < kLines; ++i) {
      line_of(i, [&](const float* from, bool is_there) {
        SIMT_NO_UNROLL
        for (int column = 0; column < columns_; ++column) {
          cp_async_zero_fill<4>(to + i * kAtOnce * kPadded + column, from + column,
                                is_there ? 4 : 0);
        }
      });
    }
  }

  __device__ std::int64_t offset() const { return offset_; }  // of the thread's columns in a row
  static __device__ int place() { return static_cast<int>(threadIdx.x) / kQuads; }

  static constexpr int kQuads = kWidth / 4;
  static constexpr int kAtOnce = Tile::kThreads / kQuads;

 private:
  static constexpr int kQuadsOfRun = kQuads / kRuns;
  static constexpr int kLines = Tile::kDepth / kAtOnce;
  static_assert(kLines * kAtOnce == Tile::kDepth && kQuadsOfRun * kRuns == kQuads);

  static __device__ int quad() { return static_cast<int>(threadIdx.x) % kQuads; }

  std::int64_t offset_;
  int columns_;  // of the thread's four
  bool fours_;
};

// Row k starts at rows + k * stride.
template <class Tile, class Columns>
class StridedOperand {
 public:
  __device__ StridedOperand(int depth, const ColumnRange& range, const float* rows,
                            std::int64_t stride)
      : copies_(range), stride_(stride), depth_(depth) {
    rows_ = rows + Copies::place() * stride + copies_.offset();
  }
  template <int kPadded>
  __device__ void copy(float (*stage)[kPadded], int k) const {
    const float* from = rows_ + k * stride_;
    copies_.copy(stage, [&](int i, const auto& copy) {
      copy(from, k + i * Copies::kAtOnce < depth_ - Copies::place());
      from += Copies::kAtOnce * stride_;
    });
  }

 private:
  using Copies = ColumnCopies<Tile, Tile::kColumns, Columns::kRuns>;
  Copies copies_;
  const float* rows_;
  std::int64_t stride_;
  int depth_;
};

// A left operand: row k starts at rows[k], in shared memory; null for zeros.
template <class Tile>
class GatheredOperand {
 public:
  __device__ GatheredOperand(int depth, const ColumnRange& range, const float* const* rows)
      : copies_(range), rows_(rows + Copies::place()), depth_(depth) {}
  __device__ void copy(float (*stage)[Tile::kPaddedRows], int k) const {
    copies_.copy(stage, [&](int i, const auto& copy) {
      const int line = k + i * Copies::kAtOnce;
      const float* row = line < depth_ - Copies::place() ? rows_[line] : nullptr;
      // Of zeros nobody reads: then any address will do.
      const auto from = reinterpret_cast<std::uintptr_t>(row) + sizeof(float) * copies_.offset();
      copy(reinterpret_cast<const float*>(from), row != nullptr);
    });
  }

 private:
  using Copies = ColumnCopies<Tile, Tile::kRows, 1>;
  Copies copies_;
  const float* const* rows_;
  int depth_;
};

// Where the operands of a product pass through shared memory. A kernel that has several products
// has one of these for all of them.
template <class Tile>
struct ProductStages {
  float left[Tile::kStages][Tile::kDepth][Tile::kPaddedRows];
  float right[Tile::kStages][Tile::kDepth][Tile::kPaddedColumns];
};

// sums += left . right. watch(stage) sees the right operand's part of each stage. All threads of
// the block come here together; before they come again, they must meet at a barrier.
template <class Columns, class Tile, class Left, class Right, class Watch>
__device__ inline void add_product(ProductStages<Tile>& stages, TileSums<Tile>& sums,
                                   const Left& left, const Right& right, int depth,
                                   const Watch& watch) {
  constexpr int kAhead = Tile::kStages - 1;
  const auto ask_for = [&](int k, int stage) {
    if (k < depth) {
      left.copy(stages.left[stage], k);
      right.copy(stages.right[stage], k);
    }
    cp_async_commit();
  };
  SIMT_UNROLL
  for (int stage = 0; stage < kAhead; ++stage) ask_for(stage * Tile::kDepth, stage);
  int stage = 0;
  int asked = kAhead;
  SIMT_NO_UNROLL
  for (int k = 0; k < depth; k += Tile::kDepth) {
    cp_async_wait<kAhead - 1>();
    __syncthreads();  // the stage is there, and the one before it has been read
    ask_for(k + kAhead * Tile::kDepth, asked);
    Tile::template multiply<Columns>(stages.left[stage], stages.right[stage], sums.at);
    watch(stages.right[stage]);
    asked = stage;
    stage = stage + 1 < Tile::kStages ? stage + 1 : 0;
  }
}
template <class Columns, class Tile, class Left, class Right>
__device__ inline void add_product(ProductStages<Tile>& stages, TileSums<Tile>& sums,
                                   const Left& left, const Right& right, int depth) {
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
