#pragma once
#include "kernels/dense_column.hpp"
#include "kernels/dense_float32.hpp"
#include "kernels/dense_kernel.hpp"

// Products of one block's rows, in float32: it makes one tile after another. The bits are those of
// all other tiles.
namespace braid::kernels {
namespace {

using WeightsTile = MiddleFloat32Tile<Neighbours::across, Neighbours::across>;

template <class Tile>
constexpr std::int64_t kFloatsOfTile = Tile::kStages* kFloatsOfStage<Tile>;
constexpr std::int64_t larger(std::int64_t a, std::int64_t b) { return a > b ? a : b; }
template <Neighbours b>
constexpr std::int64_t kFloatsOfProduct =
    larger(kFloatsOfTile<FewRowsFloat32Tile<Neighbours::along_depth, b>>,
           kFloatsOfTile<SmallFloat32Tile<Neighbours::along_depth, b>>);
// Floats of shared memory that all of them take.
constexpr std::int64_t kFloatsOfDenseRows =
    larger(larger(kFloatsOfProduct<Neighbours::across>, kFloatsOfProduct<Neighbours::along_depth>),
           kFloatsOfTile<WeightsTile>);

template <class Tile>
__device__ inline void make_tiles(DenseProduct args, float* memory) {
  find_alignment(args);
  args.depth_of_part = args.depth;
  const std::int64_t tiles = tiles_of<Tile>(args);
  for (std::int64_t tile = 0; tile < tiles; ++tile) {
    make_tile<Tile>(args, tile, 0, memory);
    __syncthreads();  // the last stage has been read
  }
}

template <Neighbours b>
__device__ inline void multiply_rows(DenseProduct args, float* memory) {
  if (args.columns == 1) {
    if (b == Neighbours::along_depth) args = column_of_row(args);
    find_alignment_of_column(args);
    return multiply_column<OneBlock>(args);
  }
  using FewRows = FewRowsFloat32Tile<Neighbours::along_depth, b>;
  if (args.rows <= FewRows::kRows) {
    make_tiles<FewRows>(args, memory);
  } else {
    make_tiles<SmallFloat32Tile<Neighbours::along_depth, b>>(args, memory);
  }
}

__device__ inline void run_rows(const DenseForward& args, float* memory) {
  if (args.out.rows > 0) multiply_rows<Neighbours::across>(product_of(args), memory);
}
__device__ inline void run_rows(const DenseInputGradient& args, float* memory) {
  if (args.in_grad.rows > 0) multiply_rows<Neighbours::along_depth>(product_of(args), memory);
}
__device__ inline void run_rows(const DenseWeightGradient& args, float* memory) {
  make_tiles<WeightsTile>(product_of(args), memory);
}

}  // namespace
}  // namespace braid::kernels
