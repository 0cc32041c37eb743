// What follows from the gradients of the pre-activations, in one launch. First tiles of products
// (lstm_products.hpp), which no block waits for: the weights' gradients, sums over tokens, cut into
// splits; the inputs', tokens times the transposed kernel. Pieces of both are of unlike sizes, the
// large ones first: a block takes the next one that nobody has, and it does not matter who. Behind
// a barrier of the grid the splits' partial sums are added up in their order.
#include <algorithm>

#include "kernels/lstm_gpu.hpp"
#include "kernels/lstm_matrix_units.hpp"
#include "kernels/lstm_products.hpp"
#include "kernels/simt/facade.hpp"

namespace braid::kernels {
namespace {

constexpr int kThreads = LargeTile::kThreads;
constexpr int kWarps = kThreads / 32;
constexpr int kTokensAtOnce = kThreads;
constexpr int kClearedAtOnce = 8 * kWarps;  // inputs

struct GradientWork {
  // How the weight gradients are cut. Rows of the partial sums: E of the kernel, H of the recurrent
  // kernel, one of the bias.
  int of_kernel = 0;     // tiles
  int of_recurrent = 0;  // tiles
  int of_columns = 0;    // tiles
  int splits = 1;
  bool inputs_in_fours = false;
  bool kept_in_fours = false;
  bool grads_in_fours = false;  // of the inputs

  BRAID_HOST_DEVICE std::int64_t weight_pieces() const {
    return static_cast<std::int64_t>(of_kernel + of_recurrent) * of_columns * splits;
  }
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
  const LstmBackward& args = slice.args;
  const LstmTokens& tokens = slice.tokens;
  const std::int64_t features = args.shape.features;
  const std::int64_t wide = 4 * args.shape.units;
  const std::int64_t column_tiles = tiles_of(features, Tile::kColumns);
  const std::int64_t first_column = piece % column_tiles * Tile::kColumns;
  const int first_token = static_cast<int>(piece / column_tiles) * Tile::kRows;
  const int total = tokens.total();

  RowsOperand<Tile> z_grad(wide, true, [&](int row) -> const float* {
    const std::int64_t token = first_token + row;
    return token < total ? slice.z_grad + token * wide : nullptr;
  });
  const std::int64_t stride = in_whole_fours(features);
  auto kernel =
      right_operand<Tile, PlainColumns>(wide, {first_column, features, 0, true},
                                        [&](std::int64_t k) { return slice.kernel + k * stride; });
  TileSums<Tile> sums = {};
  add_product<PlainColumns>(stages, sums, z_grad, kernel, wide);
  for_quads<PlainColumns>(sums, [&](int row, int quad, float4 grad) {
    if (first_token + row >= total) return;
    float* out = args.in_grad.row(tokens.position_of(first_token + row).input);
    const std::int64_t column = first_column + 4 * quad;
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

// kSplit: the sums go to memory, to be added up; else to where they are wanted.
// A piece sums 64 x 128 of the weight gradients over the tokens of one split: inputs, or h before
// the token, times gradients of pre-activations. The first of a column of pieces sums the bias too.
template <bool kSplit, class Tile>
__device__ inline void sum_weight_gradients(ProductStages<Tile>& stages,
                                            const LstmBackwardSlice& slice,
                                            const GradientWork& work, int piece) {
  SIMT_SHARED(const float*, rows, [kTokensAtOnce]);
  const LstmBackward& args = slice.args;
  const LstmTokens& tokens = slice.tokens;
  const std::int64_t features = args.shape.features;
  const std::int64_t units = args.shape.units;
  const std::int64_t wide = 4 * units;
  const auto thread = static_cast<int>(threadIdx.x);
  const int tile = piece / work.splits;
  const int split = piece % work.splits;
  const int row_tile = tile / work.of_columns;
  const int first_column = tile % work.of_columns * Tile::kColumns;
  const bool of_inputs = row_tile < work.of_kernel;
  const int first_row = (of_inputs ? row_tile : row_tile - work.of_kernel) * Tile::kRows;

  const int total = tokens.total();
  const int share = (total + work.splits - 1) / work.splits;
  const int begin = min(split * share, total);
  const int end = min(begin + share, total);
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
    if (thread < count) rows[thread] = row_of(first + thread);
    __syncthreads();
    auto left = left_operand<Tile>(count,
                                   {first_row, of_inputs ? features : units, 0,
                                    of_inputs ? work.inputs_in_fours : work.kept_in_fours},
                                   [&](std::int64_t k) { return rows[k]; });
    auto right = right_operand<Tile, PlainColumns>(
        count, {first_column, wide, 0, true},
        [&](std::int64_t k) -> const float* { return slice.z_grad + (first + k) * wide; });
    add_product<PlainColumns>(stages, sums, left, right, count,
                              [&](const float(*stage)[Tile::kPaddedColumns]) {
                                if (row_tile > 0) return;
                                SIMT_UNROLL
                                for (int k = 0; k < Tile::kDepth; ++k) {
                                  column_sum += stage[k][thread];
                                }
                              });
  }

  const std::int64_t all_rows = features + units + 1;
  const std::int64_t above = of_inputs ? 0 : features;
  for_quads<PlainColumns>(sums, [&](int row, int quad, float4 sum) {
    const std::int64_t column = first_column + 4 * quad;
    if (first_row + row >= (of_inputs ? features : units) || column >= wide) return;
    if constexpr (kSplit) {
      float* partial = slice.partial + split * all_rows * wide;
      st_vec(partial + (above + first_row + row) * wide + column, sum);
    } else {
      give_unit(args, above + first_row + row, column / 4, sum);
    }
  });
  if (row_tile > 0 || first_column + thread >= wide) return;
  if constexpr (kSplit) {
    float* partial = slice.partial + split * all_rows * wide;
    partial[(all_rows - 1) * wide + first_column + thread] = column_sum;
  } else if (args.bias_grad != nullptr) {
    give_gate(args, args.bias_grad, first_column + thread, column_sum);
  }
}

// A thread adds up the splits of one unit's four gates, then of another one's.
__device__ inline void add_splits(const LstmBackwardSlice& slice, int splits) {
  const LstmBackward& args = slice.args;
  const std::int64_t units = args.shape.units;
  const std::int64_t count = (args.shape.features + units + 1) * units;
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * kThreads;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < count;
       i += step) {
    if (weight_grads(args, i / units) == nullptr) continue;
    Floats<4> sum = Floats<4>::load(slice.partial + i * 4);
    for (int split = 1; split < splits; ++split) {
      sum += Floats<4>::load(slice.partial + (split * count + i) * 4);
    }
    give_unit(args, i / units, i % units, sum.value);
  }
}

// Which piece the block is at, in shared memory: registers are for the products. A loop for each
// kind of piece, as a block never comes to an earlier one.
struct PiecesOfBlock {
  std::int64_t next;
  std::int64_t weights_end;
  std::int64_t inputs_end;
  std::int64_t end;
};

// Where sums are not split, each block has one piece, and there is no barrier.
template <bool kSplit, class Tile>
__global__ void __launch_bounds__(kThreads, kBlocksOfTokens)
    lstm_gradient_kernel(LstmBackwardSlice slice, GradientWork work) {
  SIMT_SHARED(ProductStages<Tile>, stages, [1]);
  SIMT_SHARED(PiecesOfBlock, pieces, [1]);
  const LstmBackward& args = slice.args;
  if (threadIdx.x == 0) {
    const std::int64_t weights_end = work.weight_pieces();
    const std::int64_t inputs_end = weights_end + input_pieces(args, slice.tokens.total());
    pieces[0] = {blockIdx.x, weights_end, inputs_end, inputs_end + clearing_pieces(args)};
  }
  __syncthreads();
  const auto take_next = [&] {
    __syncthreads();  // whoever is still at work on the piece
    if (threadIdx.x == 0) {
      pieces[0].next = kSplit ? gridDim.x + atomicAdd(slice.taken, 1U) : pieces[0].end;
    }
    __syncthreads();
  };
  SIMT_NO_UNROLL
  while (pieces[0].next < pieces[0].weights_end) {
    sum_weight_gradients<kSplit, Tile>(stages[0], slice, work, static_cast<int>(pieces[0].next));
    take_next();
  }
  SIMT_NO_UNROLL
  while (pieces[0].next < pieces[0].inputs_end) {
    make_input_gradients<Tile>(stages[0], slice, pieces[0].next - pieces[0].weights_end,
                               work.grads_in_fours);
    take_next();
  }
  SIMT_NO_UNROLL
  while (pieces[0].next < pieces[0].end) {
    clear_masked_inputs(args, pieces[0].next - pieces[0].inputs_end);
    take_next();
  }
  if constexpr (kSplit) {
    grid_sync();
    add_splits(slice, work.splits);
  }
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
    work.splits = static_cast<int>(lstm_weight_splits(shape));
  }
  const std::int64_t pieces =
      work.weight_pieces() + input_pieces(args, shape.rows * shape.steps) + clearing_pieces(args);
  if (pieces == 0) return;
  LaunchShape launch{.grid = pieces, .block = kThreads};
  if (work.splits == 1) {
    launch_kernel<lstm_gradient_kernel<false, Tile>>(launch, stream, slice, work);
    return;
  }
  launch.grid = std::min(pieces, lstm_blocks_at_once<lstm_gradient_kernel<true, Tile>>(launch));
  launch_cooperative<lstm_gradient_kernel<true, Tile>>(launch, stream, slice, work);
}

}  // namespace

namespace BRAID_GPU {

void find_lstm_gradients(const Stream& stream, const LstmBackwardSlice& slice) {
  with_tile_of_tokens(slice.args.precision,
                      [&]<class Tile>() { find_gradients<Tile>(stream, slice); });
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
