#pragma once
#include "kernels/dense_product.hpp"
#include "kernels/functions.hpp"
#include "kernels/simt/elements.hpp"

// Products with one column of results.
namespace braid::kernels {
namespace {

// Of a alone: b's elements are b_stride apart.
BRAID_HOST_DEVICE inline void find_alignment_of_column(DenseProduct& args) {
  args.operands_in_fours = in_fours(args.a, args.a_stride);
}

// The product with the transpose of a kernel of one row.
BRAID_HOST_DEVICE inline DenseProduct column_of_row(DenseProduct args) {
  args.b_stride = 1;
  return args;
}

// Four neighbouring terms, of which `inside` are there.
__device__ inline void load_terms(const float* from, int inside, bool in_fours, float (&terms)[4]) {
  if (in_fours && inside >= 4) {
    load_floats(from, terms);
    return;
  }
  SIMT_UNROLL
  for (int i = 0; i < 4; ++i) terms[i] = i < inside ? from[i] : 0.0F;
}

// A warp takes kRows rows, all of which it asks for at once; its lanes take the depth in fours. The
// order of a sum depends on the depth alone. Behind the last row the first of them stands again.
template <int kRows, class Blocks>
__device__ inline void multiply_column(const Blocks& blocks, const DenseProduct& args) {
  using Index = IndexOf<Blocks>;
  const auto lane = static_cast<Index>(threadIdx.x % 32);
  const auto rows = static_cast<Index>(args.rows);
  const auto depth = static_cast<Index>(args.depth);
  const auto a_stride = static_cast<Index>(args.a_stride);
  const auto b_stride = static_cast<Index>(args.b_stride);
  for_each_by_warp(blocks, (rows + kRows - 1) / kRows, [&](Index group) {
    const Index first = group * kRows;
    const auto is_there = [&](Index row) { return first + row < rows; };
    float sums[kRows] = {};
    for (Index k = 4 * lane; k < depth; k += 4 * 32) {
      const int inside = depth - k < 4 ? static_cast<int>(depth - k) : 4;
      float left[kRows][4];
      float right[4];
      SIMT_UNROLL
      for (Index row = 0; row < kRows; ++row) {
        load_terms(args.a + (first + (is_there(row) ? row : 0)) * a_stride + k, inside,
                   args.operands_in_fours, left[row]);
      }
      SIMT_UNROLL
      for (int i = 0; i < 4; ++i) right[i] = args.b[(k + (i < inside ? i : 0)) * b_stride];
      SIMT_UNROLL
      for (int i = 0; i < 4; ++i) {
        SIMT_UNROLL
        for (int row = 0; row < kRows; ++row) {
          const float sum = fmaf(left[row][i], right[i], sums[row]);
          sums[row] = i < inside ? sum : sums[row];
        }
      }
    }
    float own = 0;  // of the lane's row
    SIMT_UNROLL
    for (Index row = 0; row < kRows; ++row) {
      const float sum = sum_of_warp(sums[row]);
      own = row == lane ? sum : own;
    }
    if (lane >= kRows || !is_there(lane)) return;
    float& out = args.out[(first + lane) * static_cast<Index>(args.out_stride)];
    if (args.accumulate) own += out;
    if (args.bias != nullptr) own += *args.bias;
    with_kind(args.activation.kind,
              [&]<ActivationKind kind>() { out = function_of<kind>(own, args.activation); });
  });
}

// Rows that a warp takes at once where there are more than warps. (Few rows end sooner by a warp
// each.)
constexpr int kRowsOfColumn = 4;

}  // namespace
}  // namespace braid::kernels
