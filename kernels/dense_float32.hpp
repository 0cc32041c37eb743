#pragma once
#include "kernels/dense_product.hpp"

// Products of float32. Lanes of a warp stand in 4 rows and 8 columns, so that lane i and i ^ 1
// share a column, i and i ^ 2 a row: loads of fours then take half the time. Each lane holds
// kThreadRows x kThreadColumns sums, and each sum is one chain of fused multiply-adds in the order
// of the depth: its bits depend neither on the tile's size nor on the rows and columns beside it.
namespace braid::kernels {
namespace {

template <Neighbours of_a, Neighbours of_b, int kTileRows, int kTileColumns, int kTileDepth,
          int kPipeline, int kThreadRows, int kThreadColumns>
struct Float32Tile {
  static constexpr int kRows = kTileRows;
  static constexpr int kColumns = kTileColumns;
  static constexpr int kDepth = kTileDepth;
  static constexpr int kStages = kPipeline;
  // Places of the sum that are read at once, where they are neighbours: as many as there are
  // registers for.
  static constexpr int kSums = kThreadRows * kThreadColumns;
  static constexpr int kStep = kSums >= 16 ? 2 : 4;
  static constexpr int kBlocksOfMultiprocessor = kSums >= 16 ? 2 : 3;
  // A line's gap: 4 floats let 8 lines be read in fours at once, 8 only keep the alignment.
  static constexpr bool kAlongA = of_a == Neighbours::along_depth;
  static constexpr bool kAlongB = of_b == Neighbours::along_depth;
  using A = DenseTile<of_a, kRows, kDepth, kAlongA ? 4 : 8>;
  using B = DenseTile<of_b, kColumns, kDepth, kAlongB ? 4 : 8>;

  // Neighbouring rows or columns that one thread holds.
  static constexpr int kRowsAtOnce = kAlongA ? 1 : (kThreadRows < 4 ? kThreadRows : 4);
  static constexpr int kColumnsAtOnce = kAlongB ? 1 : (kThreadColumns < 4 ? kThreadColumns : 4);
  static constexpr int kWarpRows = 4 * kThreadRows;
  static constexpr int kWarpColumns = 8 * kThreadColumns;
  static constexpr int kWarpsAcross = kColumns / kWarpColumns;
  static constexpr int kThreads = kRows / kWarpRows * kWarpsAcross * 32;
  static_assert(kThreads * kSums == kRows * kColumns);

  // Sums as they are stored: groups of neighbouring columns.
  static constexpr int kWidth = kColumnsAtOnce;
  static constexpr int kGroupsOfRow = kThreadColumns / kWidth;
  static constexpr int kGroups = kThreadRows * kGroupsOfRow;
  float sums[kGroups][kWidth];
  int first_row;
  int first_column;

  __device__ Float32Tile() {
    const int warp = static_cast<int>(threadIdx.x / 32);
    const int lane = static_cast<int>(threadIdx.x % 32);
    const int row = lane / 16 * 2 + lane % 2;
    const int column = lane / 2 % 8;
    first_row = warp / kWarpsAcross * kWarpRows + row * kRowsAtOnce;
    first_column = warp % kWarpsAcross * kWarpColumns + column * kColumnsAtOnce;
  }
  __device__ int row_of(int i) const {
    return first_row + i / kRowsAtOnce * 4 * kRowsAtOnce + i % kRowsAtOnce;
  }
  __device__ int column_of(int j) const {
    return first_column + j / kColumnsAtOnce * 8 * kColumnsAtOnce + j % kColumnsAtOnce;
  }
  __device__ int row_of_group(int group) const { return row_of(group / kGroupsOfRow); }
  __device__ int column_of_group(int group) const {
    return column_of(group % kGroupsOfRow * kWidth);
  }

  __device__ void multiply(const float* a, const float* b, int depth) {
    for (int k = 0; k < depth; k += kStep) {
      float left[kThreadRows][kStep];
      if constexpr (kAlongA) {
        SIMT_UNROLL
        for (int i = 0; i < kThreadRows; ++i) load_floats(a + A::place(row_of(i), k), left[i]);
      }
      if constexpr (kAlongB) {
        SIMT_UNROLL
        for (int j = 0; j < kThreadColumns; ++j) {
          float right[kStep];
          load_floats(b + B::place(column_of(j), k), right);
          SIMT_UNROLL
          for (int step = 0; step < kStep; ++step) {
            SIMT_UNROLL
            for (int i = 0; i < kThreadRows; ++i) add_product(i, j, left[i][step], right[step]);
          }
        }
      } else {
        SIMT_UNROLL
        for (int step = 0; step < kStep; ++step) {
          if constexpr (!kAlongA) {
            SIMT_UNROLL
            for (int i = 0; i < kThreadRows; i += kRowsAtOnce) {
              float rows[kRowsAtOnce];
              load_floats(a + A::place(row_of(i), k + step), rows);
              SIMT_UNROLL
              for (int more = 0; more < kRowsAtOnce; ++more) left[i + more][step] = rows[more];
            }
          }
          SIMT_UNROLL
          for (int j = 0; j < kThreadColumns; j += kColumnsAtOnce) {
            float right[kColumnsAtOnce];
            load_floats(b + B::place(column_of(j), k + step), right);
            SIMT_UNROLL
            for (int i = 0; i < kThreadRows; ++i) {
              SIMT_UNROLL
              for (int more = 0; more < kColumnsAtOnce; ++more)
                add_product(i, j + more, left[i][step], right[more]);
            }
          }
        }
      }
    }
  }

  __device__ void add_product(int i, int j, float left, float right) {
    float& sum = sums[i * kGroupsOfRow + j / kWidth][j % kWidth];
    sum = fmaf(left, right, sum);
  }
};

// Of row programs.
template <Neighbours a, Neighbours b>
using MiddleFloat32Tile = Float32Tile<a, b, 64, 64, 16, 3, 4, 4>;
template <Neighbours a, Neighbours b>
using SmallFloat32Tile = Float32Tile<a, b, 32, 32, 32, 4, 2, 2>;

}  // namespace
}  // namespace braid::kernels
