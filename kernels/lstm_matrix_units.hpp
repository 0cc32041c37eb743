#pragma once
#include "kernels/lstm_products.hpp"
#include "kernels/matrix_operands.hpp"
#include "kernels/simt/matrix_units.hpp"

// The large tile of lstm_products.hpp on a GPU's matrix units. Each of its four warps holds 32 x 64
// sums in blocks of 16 x 8; two neighbouring lanes exchange halves of theirs, and have quads.
namespace braid::kernels {
namespace {

template <Precision precision>
struct MatrixUnitsTile {
  using Operands = MatrixOperands<precision>;
  static constexpr int kRows = LargeTile::kRows;
  static constexpr int kColumns = LargeTile::kColumns;
  static constexpr int kThreads = LargeTile::kThreads;
  static constexpr int kDepth = LargeTile::kDepth;
  static constexpr int kStages = LargeTile::kStages;
  // Its stages are short: more warps hide how long the copies of the next ones take.
  static constexpr int kBlocksOfTokens = 4;
  // Gaps after which at most two lanes of a warp read from the same bank.
  static constexpr int kPaddedRows = kRows + 8;
  static constexpr int kPaddedColumns = kColumns + 16;
  static constexpr int kGapOfRuns = 4;

  static constexpr int kWarpRows = 32;
  static constexpr int kWarpColumns = 64;
  static constexpr int kWarpsAcross = kColumns / kWarpColumns;
  static constexpr int kBlockRows = kWarpRows / 16;
  static constexpr int kBlockColumns = kWarpColumns / 8;
  static_assert(kRows / kWarpRows * kWarpsAcross * 32 == kThreads);
  static_assert(kDepth % Operands::kDepth == 0);

  // Of each block: columns 2 within and the next one of row `group`, and of the row 8 below it.
  using Sums = float[kBlockRows][kBlockColumns][4];

  static __device__ int first_row() {
    return static_cast<int>(threadIdx.x) / 32 / kWarpsAcross * kWarpRows;
  }
  static __device__ int first_column() {
    return static_cast<int>(threadIdx.x) / 32 % kWarpsAcross * kWarpColumns;
  }
  static __device__ int group() { return static_cast<int>(threadIdx.x) % 32 / 4; }
  static __device__ int within() { return static_cast<int>(threadIdx.x) % 4; }

  // Where the operands lie in a stage.
  struct Left {
    static constexpr bool kAlongDepth = false;
    static __device__ int place(int row, int k) { return k * kPaddedRows + row; }
  };
  // A column is counted in quads, whose columns lie one in each run.
  template <int kRuns>
  struct Right {
    static constexpr bool kAlongDepth = false;
    static __device__ int place(int column, int k) {
      constexpr int kRun = kColumns / kRuns + kGapOfRuns;
      const int place = kRuns == 1 ? column : column % kRuns * kRun + column / kRuns;
      return k * kPaddedColumns + place;
    }
  };

  template <class Columns>
  static __device__ void multiply(const float (*left)[kPaddedRows],
                                  const float (*right)[kPaddedColumns], Sums& sums) {
    using RightPart = Right<Columns::kRuns>;
    SIMT_UNROLL
    for (int k = 0; k < kDepth; k += Operands::kDepth) {
      unsigned a[kBlockRows][4];
      SIMT_UNROLL
      for (int i = 0; i < kBlockRows; ++i) {
        SIMT_UNROLL
        for (int part = 0; part < 4; ++part) {
          const int row = first_row() + 16 * i + 8 * (part % 2) + group();
          a[i][part] = Operands::template load<Left>(*left, row, k, part / 2, within());
        }
      }
      SIMT_UNROLL
      for (int j = 0; j < kBlockColumns; ++j) {
        const int column = first_column() + 8 * j + group();
        unsigned b[2];
        SIMT_UNROLL
        for (int half = 0; half < 2; ++half)
          b[half] = Operands::template load<RightPart>(*right, column, k, half, within());
        SIMT_UNROLL
        for (int i = 0; i < kBlockRows; ++i) Operands::multiply(sums[i][j], a[i], b);
      }
    }
  }
};

// As for the other tiles. All threads of the block come here together.
template <class Columns, Precision precision, class Body>
__device__ inline void for_quads(const TileSums<MatrixUnitsTile<precision>>& sums,
                                 const Body& body) {
  using Tile = MatrixUnitsTile<precision>;
  const bool upper = Tile::within() % 2 == 0;
  const int row = Tile::first_row() + Tile::group() + (upper ? 0 : 8);
  const int quad = (Tile::first_column() / 4) + Tile::within() / 2;
  SIMT_UNROLL
  for (int i = 0; i < Tile::kBlockRows; ++i) {
    SIMT_UNROLL
    for (int j = 0; j < Tile::kBlockColumns; ++j) {
      const float(&own)[4] = sums.at[i][j];
      // An even lane gives its lower half away for the upper one of its neighbour.
      const float first = __shfl_xor_sync(0xFFFFFFFFU, upper ? own[2] : own[0], 1);
      const float second = __shfl_xor_sync(0xFFFFFFFFU, upper ? own[3] : own[1], 1);
      body(row + 16 * i, quad + 2 * j,
           upper ? float4{own[0], own[1], first, second} : float4{first, second, own[2], own[3]});
    }
  }
}

// run.operator()<tile>(), for the products of all tokens.
template <class Run>
void with_tile_of_tokens(Precision precision, const Run& run) {
  if (!has_matrix_units()) precision = Precision::float32;
  switch (precision) {
    case Precision::float32: return run.template operator()<LargeTile>();
    case Precision::tf32: return run.template operator()<MatrixUnitsTile<Precision::tf32>>();
    case Precision::bfloat16:
      return run.template operator()<MatrixUnitsTile<Precision::bfloat16>>();
  }
}

}  // namespace
}  // namespace braid::kernels
