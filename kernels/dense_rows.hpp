#pragma once
#include "kernels/dense_column.hpp"
#include "kernels/dense_few_places.hpp"
#include "kernels/dense_few_rows.hpp"
#include "kernels/dense_float32.hpp"
#include "kernels/dense_held.hpp"
#include "kernels/dense_kernel.hpp"
#include "kernels/dense_long_depth.hpp"
#include "kernels/dense_outer_products.hpp"

// Products of one block's rows, in float32. Where there is little to do it is done without tiles;
// else the block makes one tile after another. The bits are those of all other tiles.
namespace braid::kernels {
namespace {

using WeightsTile = MiddleFloat32Tile<Neighbours::across, Neighbours::across>;

template <class Tile>
constexpr std::int64_t kFloatsOfTile = Tile::kStages* kFloatsOfStage<Tile>;
constexpr std::int64_t larger(std::int64_t a, std::int64_t b) { return a > b ? a : b; }
template <Neighbours b>
constexpr std::int64_t kFloatsOfProduct =
    larger(kFloatsOfTile<SmallFloat32Tile<Neighbours::along_depth, b>>,
           kFloatsOfTile<MiddleFloat32Tile<Neighbours::along_depth, b>>);
// Floats of shared memory that all of them take.
constexpr std::int64_t kFloatsOfDenseRows =
    larger(larger(kFloatsOfProduct<Neighbours::across>, kFloatsOfProduct<Neighbours::along_depth>),
           larger(kFloatsOfTile<WeightsTile>, LongDepth::kFloats));
static_assert(kFloatsOfInputs <= kFloatsOfDenseRows && HeldProduct::kFloats <= kFloatsOfDenseRows);

template <class Tile>
__device__ inline void make_tiles(DenseProduct args, float* memory) {
  args.depth_of_part = args.depth;
  const std::int64_t tiles = tiles_of<Tile>(args);
  SIMT_NO_UNROLL
  for (std::int64_t tile = 0; tile < tiles; ++tile) {
    make_tile<Tile>(args, tile, 0, memory);
    __syncthreads();  // the last stage has been read
  }
}

// Of outputs and of gradients of inputs, whose rows are those of a batch.
template <Neighbours b>
__device__ inline void make_row_tiles(const DenseProduct& args, float* memory) {
  using Small = SmallFloat32Tile<Neighbours::along_depth, b>;
  if (args.rows <= Small::kRows) {
    make_tiles<Small>(args, memory);
  } else {
    make_tiles<MiddleFloat32Tile<Neighbours::along_depth, b>>(args, memory);
  }
}

// Which product a step of a row program makes.
enum class RowProduct : std::uint8_t { forward, input_gradient, weight_gradient };

// All kinds go through the same code as far as they can: the next step finds it fetched.
__device__ __forceinline__ void multiply_rows(const OneBlock& block, RowProduct kind,
                                              DenseProduct args, float* memory) {
  const bool of_weights = kind == RowProduct::weight_gradient;
  const bool b_along_depth = kind == RowProduct::input_gradient;
  if (args.columns == 0 || (args.rows == 0 && args.column_sums == nullptr)) return;
  if (!of_weights && args.columns == 1) {
    if (b_along_depth) args = column_of_row(args);
    find_alignment_of_column(args);
    if (args.rows <= kDenseThreads / 32) return multiply_column<1>(block, args);
    return multiply_column<kRowsOfColumn>(block, args);
  }
  find_alignment(args);
  const auto a_stride = static_cast<int>(args.a_stride);
  const auto b_stride = static_cast<int>(args.b_stride);
  const ElementSteps steps{.a_row = of_weights ? 1 : a_stride,
                           .a_place = of_weights ? a_stride : 1,
                           .b_place = b_along_depth ? 1 : b_stride,
                           .b_column = b_along_depth ? b_stride : 1};
  if (!of_weights && args.rows <= kFewRows) {
    if (!b_along_depth && has_long_depth(args)) return multiply_long_depth(args, memory);
    return multiply_few_rows(args, b_along_depth);
  }
  constexpr int kFewColumns = 4;
  const bool has_few_places = args.depth <= kFewPlaces;
  if (of_weights && has_few_places && args.columns < kFewColumns)
    return multiply_few_columns(args, steps);
  if (of_weights && has_outer_products(args)) return add_outer_products(args, memory);
  if (has_few_places) return multiply_few_places(args, steps);
  const HeldProduct held(args, !of_weights, b_along_depth);
  if (held.fits()) return multiply_held(args, held, memory);
  if (of_weights && args.columns <= kFewColumns) return multiply_few_columns(args, steps);
  if (of_weights) return make_tiles<WeightsTile>(args, memory);
  if (b_along_depth) return make_row_tiles<Neighbours::along_depth>(args, memory);
  make_row_tiles<Neighbours::across>(args, memory);
}

}  // namespace
}  // namespace braid::kernels
