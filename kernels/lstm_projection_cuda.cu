// What all steps need of their inputs, in one launch. Where steps may be masked, warps count the
// valid ones of a row each; then they give each row its tokens: the sum over all rows before it
// says where they start, comparisons with the rows of its piece at which place of the order it
// stands. Then blocks multiply tiles of tokens with the kernel, or of the table's rows, where these
// are fewer. Each of the three reads what all blocks left of the one before (but for the table's
// rows): barriers of the grid lie between them, so all blocks run at once.
#include <algorithm>

#include "kernels/lstm_gpu.hpp"
#include "kernels/lstm_matrix_units.hpp"
#include "kernels/lstm_products.hpp"
#include "kernels/simt/facade.hpp"

namespace braid::kernels {
namespace {

constexpr int kThreads = LargeTile::kThreads;
constexpr int kWarps = kThreads / 32;
constexpr unsigned kAll = 0xFFFFFFFFU;

__device__ inline int total_of_warp(int value) {
  for (int offset = 16; offset > 0; offset /= 2) value += __shfl_xor_sync(kAll, value, offset);
  return value;
}

// Calls body(row) for the rows of this warp.
template <class Body>
__device__ inline void for_rows(int rows, const Body& body) {
  const int step = static_cast<int>(gridDim.x) * kWarps;
  SIMT_NO_UNROLL
  for (int row = static_cast<int>(blockIdx.x * kWarps + threadIdx.x / 32); row < rows; row += step)
    body(row);
}

__device__ inline void count_tokens(const LstmMask& mask, const LstmTokens& tokens) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  for_rows(tokens.rows, [&](int row) {
    int count = 0;
    for (int t = lane; t < tokens.steps; t += 32) count += mask.is_valid(row, t) ? 1 : 0;
    count = total_of_warp(count);
    if (lane == 0) tokens.counts[row] = count;
  });
}

// The row of z that belongs to an input's id.
__device__ inline std::int32_t z_row_of(const LstmForward& args, std::int32_t input) {
  const auto steps = static_cast<std::int32_t>(args.shape.steps);
  const std::int32_t id = args.ids.row(input / steps)[input % steps];
  const auto count = static_cast<std::int32_t>(args.table.rows);
  return id >= 0 && id < count ? id : count;
}

__device__ inline void place_tokens(const LstmForwardSlice& slice, const LstmMask& mask) {
  const LstmTokens& tokens = slice.tokens;
  const int lane = static_cast<int>(threadIdx.x % 32);
  const std::int32_t* counts = tokens.counts;
  for_rows(tokens.rows, [&](int row) {
    const int own = counts[row];
    int before = 0;
    for (int r = lane; r < row; r += 32) before += counts[r];
    before = total_of_warp(before);

    const int piece = row / static_cast<int>(kSortedRows) * static_cast<int>(kSortedRows);
    const int end = min(piece + static_cast<int>(kSortedRows), tokens.rows);
    int rank = 0;
    for (int r = piece + lane; r < end; r += 32) {
      rank += counts[r] > own || (counts[r] == own && r < row) ? 1 : 0;
    }
    rank = total_of_warp(rank);
    if (lane == 0) {
      tokens.first[row] = before;
      tokens.order[piece + rank] = row;
      if (row == tokens.rows - 1) tokens.first[row + 1] = before + own;
    }

    int found = 0;
    for (int first = 0; first < tokens.steps; first += 32) {
      const int k = first + lane;
      const int t = tokens.go_backwards ? tokens.steps - 1 - k : k;
      const bool is_token = k < tokens.steps && mask.is_valid(row, t);
      const unsigned votes = __ballot_sync(kAll, is_token ? 1 : 0);
      const int place = found + __popc(votes & ((1U << static_cast<unsigned>(lane)) - 1U));
      if (is_token) {
        tokens.at_positions[row * tokens.steps + t] = before + place;
        if (slice.z_rows != nullptr) {
          slice.z_rows[before + place] = z_row_of(slice.args, row * tokens.steps + t);
        }
        tokens.positions[before + place] = static_cast<std::uint32_t>(row * tokens.steps + t) |
                                           (place == 0 ? LstmTokens::kRowStart : 0U);
      }
      found += __popc(votes);
    }
  });
}

// Where every step is a token, and there is a thread for each.
__device__ inline void find_z_rows(const LstmForwardSlice& slice) {
  const LstmTokens& tokens = slice.tokens;
  const int token = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (token < tokens.total())
    slice.z_rows[token] = z_row_of(slice.args, tokens.position_of(token).input);
}

constexpr int kUnitsOfTile = LargeTile::kColumns / 4;

// What threads of a block tell each other about a tile.
template <class Tile>
struct ProjectionMemory {
  const float* rows[Tile::kRows];  // inputs; absent where there is none, or an id is no row's
  float bias[kUnitsOfTile][4];
};

// A block makes 64 rows of z for 32 units.
template <class Tile>
__device__ inline void project_tile(ProductStages<Tile>& stages, ProjectionMemory<Tile>& memory,
                                    const LstmForwardSlice& slice, bool kernel_in_fours,
                                    unsigned tile) {
  const LstmForward& args = slice.args;
  const LstmTokens& tokens = slice.tokens;
  const auto units = static_cast<int>(args.shape.units);
  const auto unit_tiles = static_cast<unsigned>((units + kUnitsOfTile - 1) / kUnitsOfTile);
  const int first_unit = static_cast<int>(tile % unit_tiles) * kUnitsOfTile;
  const int first_row = static_cast<int>(tile / unit_tiles) * Tile::kRows;
  const auto total = static_cast<int>(slice.rows_of_z());
  const auto input_of = [&](int token) -> const float* {
    if (token >= total) return nullptr;
    if (slice.z_rows != nullptr) return token + 1 < total ? args.table.row(token) : nullptr;
    const int position = tokens.position_of(token).input;
    if (args.in) return args.in.row(position);
    const std::int32_t id = args.ids.row(position / tokens.steps)[position % tokens.steps];
    return id >= 0 && id < args.table.rows ? args.table.row(id) : nullptr;
  };
  const auto thread = static_cast<int>(threadIdx.x);
  if (thread < Tile::kRows) memory.rows[thread] = input_of(first_row + thread);
  if (args.bias != nullptr && first_unit + thread / 4 < units)
    memory.bias[thread / 4][thread % 4] = args.bias[thread % 4 * units + first_unit + thread / 4];
  __syncthreads();
  const auto features = static_cast<int>(args.shape.features);
  const RowsOperand<Tile> in(features, [&](int row) { return memory.rows[row]; });
  const StridedOperand<Tile, GateColumns> kernel(
      features, {first_unit, units, units, kernel_in_fours}, args.kernel.data, args.kernel.stride);
  TileSums<Tile> sums = {};
  add_product<GateColumns>(stages, sums, in, kernel, features);
  for_quads<GateColumns>(sums, [&](int row, int quad, float4 z) {
    const int unit = first_unit + quad;
    const std::int64_t row_of_z = first_row + row;
    if (row_of_z >= total || unit >= units) return;
    if (args.bias != nullptr) {
      const auto bias = ld_vec<float4>(memory.bias[quad]);
      z = {z.x + bias.x, z.y + bias.y, z.z + bias.z, z.w + bias.w};
    }
    // Nobody is to learn from an id that could not be checked before the launch.
    if (args.ids && memory.rows[row] == nullptr) z = {NAN, NAN, NAN, NAN};
    st_vec(slice.z + (row_of_z * units + unit) * 4, z);
  });
}

// Which tile the block is at, in shared memory: registers are for the products.
struct TilesOfBlock {
  unsigned next;
  unsigned end;
};

template <class Tile>
__global__ void __launch_bounds__(kThreads, Tile::kBlocksOfTokens)
    lstm_projection_kernel(LstmForwardSlice slice, bool kernel_in_fours) {
  SIMT_SHARED(ProductStages<Tile>, stages, [1]);
  SIMT_SHARED(ProjectionMemory<Tile>, memory, [1]);
  SIMT_SHARED(TilesOfBlock, tiles, [1]);
  const LstmForward& args = slice.args;
  const LstmTokens& tokens = slice.tokens;
  if (tokens.positions != nullptr) {
    count_tokens(lstm_mask(args), tokens);
    grid_sync();
    place_tokens(slice, lstm_mask(args));
    if (slice.z_rows == nullptr) grid_sync();
  } else if (slice.z_rows != nullptr) {
    find_z_rows(slice);
  }
  if (threadIdx.x == 0) {
    const std::int64_t all =
        tiles_of(slice.rows_of_z(), LargeTile::kRows) * tiles_of(args.shape.units, kUnitsOfTile);
    // The last blocks begin: the first ones may still be placing tokens.
    tiles[0] = {gridDim.x - 1 - blockIdx.x, static_cast<unsigned>(slice.makes_z ? all : 0)};
  }
  __syncthreads();
  SIMT_NO_UNROLL
  while (tiles[0].next < tiles[0].end) {
    project_tile<Tile>(stages[0], memory[0], slice, kernel_in_fours, tiles[0].next);
    // Within the tile all threads have met: nobody has yet to see which one it is.
    if (threadIdx.x == 0) tiles[0].next += gridDim.x;
    __syncthreads();
  }
}

template <class Tile>
void project(const Stream& stream, const LstmForwardSlice& slice) {
  const LstmForward& args = slice.args;
  const LstmShape& shape = args.shape;
  const std::int64_t inputs = shape.rows * shape.steps;
  if (inputs == 0) return;
  const bool kernel_in_fours = shape.units % 4 == 0 && in_fours(args.kernel);
  const bool of_table = slice.z_rows != nullptr;
  const std::int64_t tiles =
      tiles_of<LargeTile>(of_table ? slice.rows_of_z() : inputs, 4 * shape.units);
  LaunchShape launch{.grid = slice.makes_z ? tiles : 1, .block = kThreads};
  if (slice.tokens.positions == nullptr) {
    if (of_table) launch.grid = std::max(launch.grid.x, tiles_of(inputs, kThreads));
    launch_kernel<lstm_projection_kernel<Tile>>(launch, stream, slice, kernel_in_fours);
    return;
  }
  launch.grid = std::min(std::max(launch.grid.x, tiles_of(shape.rows, kWarps)),
                         lstm_blocks_at_once<lstm_projection_kernel<Tile>, Tile>(launch));
  launch_cooperative<lstm_projection_kernel<Tile>>(launch, stream, slice, kernel_in_fours);
}

}  // namespace

namespace BRAID_GPU {

void project_lstm_inputs(const Stream& stream, const LstmForwardSlice& slice) {
  with_tile_of_tokens(slice.args.precision, [&]<class Tile>() { project<Tile>(stream, slice); });
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
