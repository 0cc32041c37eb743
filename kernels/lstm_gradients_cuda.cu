// What follows from the gradients of the pre-activations, in one launch: tiles of products
// (lstm_products.hpp), which no block waits for. Those of the weights' gradients are sums over
// tokens, those of the inputs' are tokens times the transposed kernel. Usually blocks share all of
// them (lstm_shares.hpp): behind a barrier of the grid what they have of the weights' gradients is
// added up, in their order.
#include <algorithm>

#include "kernels/lstm_gpu.hpp"
#include "kernels/lstm_matrix_units.hpp"
#include "kernels/lstm_products.hpp"
#include "kernels/lstm_shares.hpp"
#include "kernels/simt/facade.hpp"

namespace braid::kernels {
namespace {

constexpr int kThreads = LargeTile::kThreads;
constexpr int kWarps = kThreads / 32;
constexpr int kTokensAtOnce = 2 * kThreads;
constexpr int kClearedAtOnce = 8 * kWarps;  // inputs

struct GradientWork {
  // Tiles of the weight gradients.
  int of_kernel = 0;
  int of_recurrent = 0;
  int of_columns = 0;
  LstmSlots slots;  // where blocks share them
  bool inputs_in_fours = false;
  bool kept_in_fours = false;
  bool grads_in_fours = false;  // of the inputs

  BRAID_HOST_DEVICE int weight_tiles() const { return (of_kernel + of_recurrent) * of_columns; }
};

// The gradients of the inputs of so many tokens.
BRAID_HOST_DEVICE inline std::int64_t input_pieces(const LstmBackward& args, std::int64_t tokens) {
  if (!args.in_grad) return 0;
  return tiles_of(tokens, LargeTile::kRows) * tiles_of(args.shape.features, LargeTile::kColumns);
}
// Those of masked inputs are 0. Behind ids they are nobody's.
BRAID_HOST_DEVICE inline std::int64_t clearing_pieces(const LstmBackward& args) {
  if (!args.in_grad || !args.mask || args.ids) return 0;
  return tiles_of(args.shape.rows * args.shape.steps, kClearedAtOnce);
}

// Where the gradients of a row of the partial sums go; absent if not wanted.
__device__ inline float* weight_grads(const LstmBackward& args, std::int64_t row) {
  const LstmShape& shape = args.shape;
  if (row < shape.features) return args.kernel_grad ? args.kernel_grad.row(row) : nullptr;
  if (row == shape.features + shape.units) return args.bias_grad;
  return args.recurrent_grad ? args.recurrent_grad.row(row - shape.features) : nullptr;
}
__device__ inline void give_gate(const LstmBackward& args, float* grads, std::int64_t place,
                                 float sum) {
  float& to = grads[place % 4 * args.shape.units + place / 4];
  to = args.accumulate ? to + sum : sum;
}

__device__ inline void give_unit(const LstmBackward& args, std::int64_t row, std::int64_t unit,
                                 const float4& sums) {
  float* grads = weight_grads(args, row);
  if (grads == nullptr) return;
  const float gates[4] = {sums.x, sums.y, sums.z, sums.w};
  SIMT_UNROLL
  for (int gate = 0; gate < 4; ++gate) give_gate(args, grads, unit * 4 + gate, gates[gate]);
}

// A piece makes the gradients of 128 columns of 64 tokens' inputs.
template <class Tile>
__device__ inline void make_input_gradients(ProductStages<Tile>& stages,
                                            const LstmBackwardSlice& slice, std::int64_t piece,
                                            bool out_in_fours) {
  SIMT_SHARED(float*, outs, [Tile::kRows]);  // absent where there is no token
  const LstmBackward& args = slice.args;
  const LstmTokens& tokens = slice.tokens;
  const std::int64_t features = args.shape.features;
  const std::int64_t wide = 4 * args.shape.units;
  const std::int64_t column_tiles = tiles_of(features, Tile::kColumns);
  const std::int64_t first_column = piece % column_tiles * Tile::kColumns;
  const int first_token = static_cast<int>(piece / column_tiles) * Tile::kRows;
  const int total = tokens.total();

  // Behind the product's barriers everybody sees them.
  if (threadIdx.x < Tile::kRows) {
    const int token = first_token + static_cast<int>(threadIdx.x);
    outs[threadIdx.x] = token < total ? args.in_grad.row(tokens.position_of(token).input) : nullptr;
  }
  const RowsOperand<Tile> z_grad(static_cast<int>(wide), [&](int row) -> const float* {
    const std::int64_t token = first_token + row;
    return token < total ? slice.z_grad + token * wide : nullptr;
  });
  const StridedOperand<Tile, PlainColumns> kernel(static_cast<int>(wide),
                                                  {first_column, features, 0, true}, slice.kernel,
                                                  in_whole_fours(features));
  TileSums<Tile> sums = {};
  add_product<PlainColumns>(stages, sums, z_grad, kernel, static_cast<int>(wide));
  for_quads<PlainColumns>(sums, [&](int row, int quad, float4 grad) {
    float* const out = outs[row];
    const std::int64_t column = first_column + 4 * quad;
    if (out == nullptr) return;
    if (out_in_fours) {
      if (column < features) st_vec(out + column, grad);
      return;
    }
    if (column < features) out[column] = grad.x;
    if (column + 1 < features) out[column + 1] = grad.y;
    if (column + 2 < features) out[column + 2] = grad.z;
    if (column + 3 < features) out[column + 3] = grad.w;
  });
}

// A warp clears the gradients of one masked input, then of the next.
__device__ inline void clear_masked_inputs(const LstmBackward& args, std::int64_t piece) {
  const std::int64_t steps = args.shape.steps;
  const std::int64_t end = min((piece + 1) * kClearedAtOnce, args.shape.rows * steps);
  for (std::int64_t n = piece * kClearedAtOnce + threadIdx.x / 32; n < end; n += kWarps) {
    if (args.mask.row(n / steps)[n % steps] != 0) continue;
    float* row = args.in_grad.row(n);
    for (std::int64_t e = threadIdx.x % 32; e < args.shape.features; e += 32) row[e] = 0;
  }
}

// kShare: the sums go to the slot, to be added to others; else to where they are wanted.
// Sums of 64 x 128 weight gradients over some tokens: inputs, or h before the token, times
// gradients of pre-activations. The first tile of a column of them sums the bias too.
template <bool kShare, class Tile>
__device__ inline void sum_weight_gradients(ProductStages<Tile>& stages,
                                            const LstmBackwardSlice& slice,
                                            const GradientWork& work, int tile, int begin, int end,
                                            float* slot) {
  SIMT_SHARED(const float*, rows, [kTokensAtOnce]);
  const LstmBackward& args = slice.args;
  const LstmTokens& tokens = slice.tokens;
  const std::int64_t features = args.shape.features;
  const std::int64_t units = args.shape.units;
  const std::int64_t wide = 4 * units;
  const auto thread = static_cast<int>(threadIdx.x);
  const int row_tile = tile / work.of_columns;
  const int first_column = tile % work.of_columns * Tile::kColumns;
  const bool of_inputs = row_tile < work.of_kernel;
  const int first_row = (of_inputs ? row_tile : row_tile - work.of_kernel) * Tile::kRows;

  const auto row_of = [&](int token) -> const float* {
    const LstmTokens::Position position = tokens.position_of(token);
    const int row = position.input / tokens.steps;
    if (!of_inputs) {
      if (!position.starts_row) return slice.kept.h + (token - std::int64_t{1}) * units;
      return args.initial_h ? args.initial_h.row(row) : nullptr;
    }
    if (args.in) return args.in.row(position.input);
    const std::int32_t id = args.ids.row(row)[position.input % tokens.steps];
    return id >= 0 && id < args.table.rows ? args.table.row(id) : nullptr;
  };

  TileSums<Tile> sums = {};
  float column_sum = 0;
  for (int first = begin; first < end; first += kTokensAtOnce) {
    const int count = min(kTokensAtOnce, end - first);
    __syncthreads();  // whoever is still at work on the tokens before
    SIMT_NO_UNROLL
    for (int i = thread; i < count; i += kThreads) rows[i] = row_of(first + i);
    __syncthreads();
    const GatheredOperand<Tile> left(count,
                                     {first_row, of_inputs ? features : units, 0,
                                      of_inputs ? work.inputs_in_fours : work.kept_in_fours},
                                     rows);
    const StridedOperand<Tile, PlainColumns> right(count, {first_column, wide, 0, true},
                                                   slice.z_grad + first * wide, wide);
    add_product<PlainColumns>(stages, sums, left, right, count,
                              [&](const float(*stage)[Tile::kPaddedColumns]) {
                                if (row_tile > 0) return;
                                SIMT_UNROLL
                                for (int k = 0; k < Tile::kDepth; ++k) {
                                  column_sum += stage[k][thread];
                                }
                              });
  }

  const std::int64_t above = of_inputs ? 0 : features;
  for_quads<PlainColumns>(sums, [&](int row, int quad, float4 sum) {
    const std::int64_t column = first_column + 4 * quad;
    if (first_row + row >= (of_inputs ? features : units) || column >= wide) return;
    if constexpr (kShare) {
      st_vec(slot + row * work.slots.columns + 4 * quad, sum);
    } else {
      give_unit(args, above + first_row + row, column / 4, sum);
    }
  });
  if (row_tile > 0 || first_column + thread >= wide) return;
  if constexpr (kShare) {
    slot[(work.slots.rows - 1) * work.slots.columns + thread] = column_sum;
  } else if (args.bias_grad != nullptr) {
    give_gate(args, args.bias_grad, first_column + thread, column_sum);
  }
}

constexpr int kTokensOfStage = LargeTile::kDepth;

// A thread adds up what blocks have of one of the weight gradients, then of another one.
__device__ inline void add_shares(const LstmBackwardSlice& slice, const GradientWork& work,
                                  const LstmShares& shares) {
  constexpr int kAtOnce = 16;  // what takes time is waiting for memory
  const LstmBackward& args = slice.args;
  const std::int64_t features = args.shape.features;
  const std::int64_t units = args.shape.units;
  const std::int64_t wide = 4 * units;
  const std::int64_t floats = work.slots.floats();
  const std::int64_t stages = shares.weight_stages / work.weight_tiles();
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * kThreads;
  SIMT_NO_UNROLL
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
       i < (features + units + 1) * wide; i += step) {
    const std::int64_t row = i / wide;
    const std::int64_t column = i % wide;
    float* grads = weight_grads(args, row);
    if (grads == nullptr) continue;
    // Its row among those of its kind; the bias has its own place.
    const std::int64_t place = row < features ? row : row - features;
    const bool of_bias = place == units && row >= features;
    const std::int64_t row_tile =
        of_bias ? 0 : place / LargeTile::kRows + (row < features ? 0 : work.of_kernel);
    const std::int64_t tile = row_tile * work.of_columns + column / LargeTile::kColumns;
    const std::int64_t block = shares.block_of(tile * stages);
    std::int64_t left = stages == 0 ? 0 : shares.block_of((tile + 1) * stages - 1) - block + 1;
    const std::int64_t row_of_slot = of_bias ? work.slots.rows - 1 : place % LargeTile::kRows;
    const float* from = slice.partial + (block + tile) * floats + row_of_slot * work.slots.columns +
                        column % LargeTile::kColumns;
    float sum = 0;
    SIMT_NO_UNROLL
    for (; left > 0; left -= kAtOnce, from += kAtOnce * floats) {
      float values[kAtOnce];
      SIMT_UNROLL
      for (int j = 0; j < kAtOnce; ++j) values[j] = j < left ? from[j * floats] : 0.0F;
      SIMT_UNROLL
      for (int j = 0; j < kAtOnce; ++j) sum += values[j];
    }
    give_gate(args, grads, column, sum);
  }
}

// What the block is at, in shared memory: registers are for the products.
struct WorkOfBlock {
  LstmShares shares;
  std::int64_t stages_of_tile;
  // Of the weight gradients.
  std::int64_t stage;
  std::int64_t end;
  std::int64_t next;  // piece of the inputs' gradients
};

// Blocks share all products.
template <class Tile>
__global__ void __launch_bounds__(kThreads, Tile::kBlocksOfTokens)
    lstm_shared_gradient_kernel(LstmBackwardSlice slice, GradientWork work) {
  SIMT_SHARED(ProductStages<Tile>, stages, [1]);
  SIMT_SHARED(WorkOfBlock, at, [1]);
  const LstmBackward& args = slice.args;
  const std::int64_t block = blockIdx.x;
  if (threadIdx.x == 0) {
    const std::int64_t total = slice.tokens.total();
    const std::int64_t stages_of_tile = tiles_of(total, kTokensOfStage);
    const LstmShares shares =
        LstmShares::of(work.weight_tiles() * stages_of_tile, input_pieces(args, total),
                       tiles_of(4 * args.shape.units, Tile::kDepth), gridDim.x);
    at[0] = {shares, stages_of_tile, shares.begin_of(block), shares.begin_of(block + 1), block};
  }
  __syncthreads();
  SIMT_NO_UNROLL
  while (at[0].stage < at[0].end) {
    const std::int64_t tile = at[0].stage / at[0].stages_of_tile;
    const auto total = static_cast<std::int64_t>(slice.tokens.total());
    const auto token_at = [&](std::int64_t stage) {
      const std::int64_t of_tile = stage - tile * at[0].stages_of_tile;
      return static_cast<int>(min(min(of_tile, at[0].stages_of_tile) * kTokensOfStage, total));
    };
    sum_weight_gradients<true>(stages[0], slice, work, static_cast<int>(tile),
                               token_at(at[0].stage), token_at(at[0].end),
                               slice.partial + (block + tile) * work.slots.floats());
    __syncthreads();  // whoever is still at work on the tile
    if (threadIdx.x == 0) at[0].stage = min((tile + 1) * at[0].stages_of_tile, at[0].end);
    __syncthreads();
  }
  SIMT_NO_UNROLL
  while (at[0].next < input_pieces(args, slice.tokens.total())) {
    make_input_gradients(stages[0], slice, at[0].next, work.grads_in_fours);
    __syncthreads();
    if (threadIdx.x == 0) at[0].next += gridDim.x;
    __syncthreads();
  }
  for (std::int64_t piece = block; piece < clearing_pieces(args); piece += gridDim.x)
    clear_masked_inputs(args, piece);
  grid_sync();
  add_shares(slice, work, at[0].shares);
}

// A block has one piece, and there is no barrier.
template <class Tile>
__global__ void __launch_bounds__(kThreads, Tile::kBlocksOfTokens)
    lstm_gradient_kernel(LstmBackwardSlice slice, GradientWork work) {
  SIMT_SHARED(ProductStages<Tile>, stages, [1]);
  const LstmBackward& args = slice.args;
  const int total = slice.tokens.total();
  std::int64_t piece = blockIdx.x;
  if (piece < work.weight_tiles()) {
    sum_weight_gradients<false>(stages[0], slice, work, static_cast<int>(piece), 0, total, nullptr);
    return;
  }
  piece -= work.weight_tiles();
  if (piece < input_pieces(args, total)) {
    make_input_gradients(stages[0], slice, piece, work.grads_in_fours);
    return;
  }
  piece -= input_pieces(args, total);
  if (piece < clearing_pieces(args)) clear_masked_inputs(args, piece);
}

template <class Tile>
void find_gradients(const Stream& stream, const LstmBackwardSlice& slice) {
  const LstmBackward& args = slice.args;
  const LstmShape& shape = args.shape;
  GradientWork work{.inputs_in_fours = in_fours(args.in, args.table),
                    .kept_in_fours = shape.units % 4 == 0 && in_fours(args.initial_h) &&
                                     reinterpret_cast<std::uintptr_t>(slice.kept.h) % 16 == 0,
                    .grads_in_fours = in_fours(args.in_grad)};
  if (args.kernel_grad || args.recurrent_grad || args.bias_grad != nullptr) {
    const auto tiles = [](std::int64_t count, std::int64_t of_tile) {
      return static_cast<int>(tiles_of(count, of_tile));
    };
    // The bias is summed beside the first of the others, wanted or not.
    const bool kernel = args.kernel_grad && shape.features > 0;
    work.of_kernel = kernel ? tiles(shape.features, LargeTile::kRows) : 0;
    work.of_recurrent = args.recurrent_grad || !kernel ? tiles(shape.units, LargeTile::kRows) : 0;
    work.of_columns = tiles(4 * shape.units, LargeTile::kColumns);
  }
  const bool share = work.weight_tiles() > 0 && lstm_shares_weights(shape);
  const std::int64_t inputs = shape.rows * shape.steps;
  const std::int64_t pieces =
      work.weight_tiles() *
          (share ? tiles_of(inputs, LstmShares::kLeastStages * kTokensOfStage) : 1) +
      input_pieces(args, inputs) + clearing_pieces(args);
  if (pieces == 0) return;
  LaunchShape launch{.grid = pieces, .block = kThreads};
  if (!share) {
    launch_kernel<lstm_gradient_kernel<Tile>>(launch, stream, slice, work);
    return;
  }
  work.slots = lstm_slots(shape);
  launch.grid =
      std::min(pieces, lstm_blocks_at_once<lstm_shared_gradient_kernel<Tile>, Tile>(launch));
  launch_cooperative<lstm_shared_gradient_kernel<Tile>>(launch, stream, slice, work);
}

}  // namespace

namespace BRAID_GPU {

void find_lstm_gradients(const Stream& stream, const LstmBackwardSlice& slice) {
  with_tile_of_tokens(slice.args.precision,
                      [&]<class Tile>() { find_gradients<Tile>(stream, slice); });
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
