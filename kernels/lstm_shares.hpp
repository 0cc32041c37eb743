#pragma once
#include "kernels/host_device.hpp"

// How blocks share out what follows from the gradients of the pre-activations, so that all of them
// end together. Work is counted in stages of products (lstm_products.hpp). A tile of the inputs'
// gradients belongs to one block; the others' numbers of them may be smaller by one. The stages of
// all tiles of the weight gradients, one tile behind the other, are cut into ranges, one a block,
// that make up for it. Where a tile's stages are cut, and so in which order its sums are added up,
// follows from the numbers of stages and blocks alone.
namespace braid::kernels {

struct LstmShares {
  std::int64_t weight_stages;
  std::int64_t laden;      // the first blocks, which have one tile of the inputs more
  std::int64_t of_laden;   // stages of the range of one of them
  std::int64_t of_others;  // and of another block's

  // No range is shorter: for less a block's partial sums would not be worth their way to memory.
  static constexpr std::int64_t kLeastStages = 4;

  BRAID_HOST_DEVICE static LstmShares of(std::int64_t weight_stages, std::int64_t input_tiles,
                                         std::int64_t stages_of_input_tile, std::int64_t blocks) {
    const std::int64_t all = weight_stages + input_tiles * stages_of_input_tile;
    const std::int64_t fair = (all + blocks - 1) / blocks;
    const std::int64_t tiles = input_tiles / blocks;
    const auto left = [&](std::int64_t tiles_of_block) {
      const std::int64_t stages = fair - tiles_of_block * stages_of_input_tile;
      return stages < kLeastStages ? kLeastStages : stages;
    };
    return {weight_stages, input_tiles % blocks, left(tiles + 1), left(tiles)};
  }

  // Where a block's range begins, which ends where the next one's begins.
  BRAID_HOST_DEVICE std::int64_t begin_of(std::int64_t block) const {
    const std::int64_t begin =
        block < laden ? block * of_laden : laden * of_laden + (block - laden) * of_others;
    return begin < weight_stages ? begin : weight_stages;
  }
  BRAID_HOST_DEVICE std::int64_t block_of(std::int64_t stage) const {
    const std::int64_t of_first = laden * of_laden;
    return stage < of_first ? stage / of_laden : laden + (stage - of_first) / of_others;
  }
};

}  // namespace braid::kernels
