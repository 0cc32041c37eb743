#pragma once
#include "kernels/dense_product.hpp"
#include "kernels/matrix_operands.hpp"

// Products on a GPU's matrix units. A warp holds kWarpRows x kWarpColumns sums in blocks of 16 x 8,
// and adds 8 (tf32) or 16 (bfloat16) places of the depth at once: the order depends on the depth
// alone. Operands wait in shared memory as float32, and are rounded on their way to the units.
namespace braid::kernels {
namespace {

template <Precision precision, Neighbours of_a, Neighbours of_b, int kTileRows, int kTileColumns,
          int kTileDepth, int kPipeline, int kWarpRows, int kWarpColumns>
struct MatrixUnitTile {
  using Operands = MatrixOperands<precision>;
  static constexpr int kRows = kTileRows;
  static constexpr int kColumns = kTileColumns;
  static constexpr int kDepth = kTileDepth;
  static constexpr int kStages = kPipeline;
  static constexpr int kStep = Operands::kDepth;
  static constexpr int kBlocksOfMultiprocessor = 2;
  template <Neighbours neighbours>
  static constexpr int kGap =
      neighbours == Neighbours::along_depth ? Operands::kGapAlong : Operands::kGapAcross;
  using A = DenseTile<of_a, kRows, kDepth, kGap<of_a>>;
  using B = DenseTile<of_b, kColumns, kDepth, kGap<of_b>>;
  static constexpr int kWarpsAcross = kColumns / kWarpColumns;
  static constexpr int kThreads = kDenseThreads;
  static_assert(kRows / kWarpRows * kWarpsAcross * 32 == kThreads);

  // Sums as they are stored: a block's upper and lower half, two columns each.
  static constexpr int kBlockRows = kWarpRows / 16;
  static constexpr int kBlockColumns = kWarpColumns / 8;
  static constexpr int kWidth = 2;
  static constexpr int kGroups = kBlockRows * kBlockColumns * 2;
  float sums[kGroups][kWidth];
  int first_row;
  int first_column;
  int group_of_lane;
  int within;

  __device__ MatrixUnitTile() {
    const int warp = static_cast<int>(threadIdx.x / 32);
    const int lane = static_cast<int>(threadIdx.x % 32);
    first_row = warp / kWarpsAcross * kWarpRows;
    first_column = warp % kWarpsAcross * kWarpColumns;
    group_of_lane = lane / 4;
    within = lane % 4;
  }
  __device__ int row_of_group(int group) const {
    return first_row + group / 2 / kBlockColumns * 16 + group % 2 * 8 + group_of_lane;
  }
  __device__ int column_of_group(int group) const {
    return first_column + group / 2 % kBlockColumns * 8 + 2 * within;
  }

  __device__ void multiply(const float* a, const float* b, int depth) {
    for (int k = 0; k < depth; k += kStep) {
      unsigned right[kBlockColumns][2];
      SIMT_UNROLL
      for (int j = 0; j < kBlockColumns; ++j) {
        SIMT_UNROLL
        for (int half = 0; half < 2; ++half) {
          right[j][half] =
              Operands::template load<B>(b, first_column + 8 * j + group_of_lane, k, half, within);
        }
      }
      SIMT_UNROLL
      for (int i = 0; i < kBlockRows; ++i) {
        unsigned left[4];
        SIMT_UNROLL
        for (int part = 0; part < 4; ++part) {
          left[part] = Operands::template load<A>(
              a, first_row + 16 * i + 8 * (part % 2) + group_of_lane, k, part / 2, within);
        }
        SIMT_UNROLL
        for (int j = 0; j < kBlockColumns; ++j) {
          const int group = 2 * (i * kBlockColumns + j);
          float block[4] = {sums[group][0], sums[group][1], sums[group + 1][0], sums[group + 1][1]};
          Operands::multiply(block, left, right[j]);
          sums[group][0] = block[0];
          sums[group][1] = block[1];
          sums[group + 1][0] = block[2];
          sums[group + 1][1] = block[3];
        }
      }
    }
  }
};

}  // namespace
}  // namespace braid::kernels
