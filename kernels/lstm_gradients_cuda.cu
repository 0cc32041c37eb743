// What follows from the gradients of the pre-activations, all of them tiles of products
// (lstm_products.hpp): the inputs' gradients, tokens times the transposed kernel; the weights',
// sums over tokens, cut into splits whose partial sums a last launch adds up in their order.
#include <algorithm>

#include "kernels/lstm_gpu.hpp"
#include "kernels/lstm_products.hpp"
#include "kernels/simt/elements.hpp"
#include "kernels/simt/facade.hpp"

namespace braid::kernels {
namespace {

constexpr int kTurned = 32;  // rows and columns of the tile that a block transposes
constexpr int kTurnThreads = 256;
constexpr int kTurnWarps = kTurnThreads / 32;

// out[u * 4 + gate, n] = weights[n, gate * H + u]; columns behind the last, up to whole fours, are
// 0.
__device__ inline void transpose_tile(const Matrix<const float>& weights, std::int64_t tile,
                                      float* out) {
  SIMT_SHARED(float, turned, [kTurned][kTurned + 1]);
  const std::int64_t inputs = weights.rows;
  const std::int64_t wide = weights.columns;
  const std::int64_t units = wide / 4;
  const std::int64_t stride = in_whole_fours(inputs);
  const std::int64_t column_tiles = tiles_of(wide, kTurned);
  const std::int64_t first_column = tile % column_tiles * kTurned;
  const std::int64_t first_input = tile / column_tiles * kTurned;
  const int lane = static_cast<int>(threadIdx.x) % kTurned;
  const int warp = static_cast<int>(threadIdx.x) / kTurned;
  for (int i = warp; i < kTurned; i += kTurnWarps) {
    const bool inside = first_input + i < inputs && first_column + lane < wide;
    turned[i][lane] = inside ? weights.row(first_input + i)[first_column + lane] : 0.0F;
  }
  __syncthreads();
  for (int i = warp; i < kTurned; i += kTurnWarps) {
    const std::int64_t column = first_column + i;
    if (column >= wide || first_input + lane >= stride) continue;
    out[(column % units * 4 + column / units) * stride + first_input + lane] = turned[lane][i];
  }
}

__global__ void lstm_transpose_kernel(Matrix<const float> weights, float* out) {
  transpose_tile(weights, blockIdx.x, out);
}

// The first blocks transpose the kernel; a warp of the others clears the gradients of one masked
// input, then of the next.
__global__ void lstm_prepare_inputs_kernel(LstmBackwardSlice slice, int transposing) {
  const LstmBackward& args = slice.args;
  if (static_cast<int>(blockIdx.x) < transposing) {
    transpose_tile(args.kernel, blockIdx.x, slice.kernel);
    return;
  }
  const auto steps = static_cast<int>(args.shape.steps);
  const int inputs = static_cast<int>(args.shape.rows) * steps;
  const int clearing = static_cast<int>(gridDim.x) - transposing;
  for (int n = (static_cast<int>(blockIdx.x) - transposing) * kTurnWarps +
               static_cast<int>(threadIdx.x) / 32;
       n < inputs; n += clearing * kTurnWarps) {
    if (args.mask.row(n / steps)[n % steps] != 0) continue;
    float* row = args.in_grad.row(n);
    for (std::int64_t e = threadIdx.x % 32; e < args.shape.features; e += 32) row[e] = 0;
  }
}

// A block makes the gradients of 128 columns of 64 tokens' inputs.
__global__ void __launch_bounds__(LargeTile::kThreads)
    lstm_input_gradient_kernel(LstmBackwardSlice slice, bool out_in_fours) {
  const LstmBackward& args = slice.args;
  const LstmTokens& tokens = slice.tokens;
  const std::int64_t features = args.shape.features;
  const std::int64_t wide = 4 * args.shape.units;
  const auto column_tiles =
      static_cast<unsigned>((features + LargeTile::kColumns - 1) / LargeTile::kColumns);
  const std::int64_t first_column =
      static_cast<std::int64_t>(blockIdx.x % column_tiles) * LargeTile::kColumns;
  const int first_token = static_cast<int>(blockIdx.x / column_tiles) * LargeTile::kRows;
  const int total = tokens.total();
  if (first_token >= total) return;

  RowsOperand<LargeTile> z_grad(wide, true, [&](int row) -> const float* {
    const std::int64_t token = first_token + row;
    return token < total ? slice.z_grad + token * wide : nullptr;
  });
  const std::int64_t stride = in_whole_fours(features);
  auto kernel = right_operand<LargeTile, PlainColumns>(
      wide, {first_column, features, 0, true},
      [&](std::int64_t k) { return slice.kernel + k * stride; });
  TileSums<LargeTile> sums = {};
  add_product<PlainColumns>(sums, z_grad, kernel, wide);
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

// How the weight gradients are cut. Rows of the partial sums: E of the kernel, H of the recurrent
// kernel, one of the bias.
struct WeightTiles {
  int of_kernel = 0;
  int of_recurrent = 0;
  int of_columns = 0;
  int splits = 1;
  bool in_fours = false;
  bool kept_in_fours = false;
};

constexpr int kTokensAtOnce = LargeTile::kThreads;

// A block sums 64 x 128 of the weight gradients over the tokens of one split: inputs, or h before
// the token, times gradients of pre-activations. The first of a column of blocks sums the bias too.
__global__ void __launch_bounds__(LargeTile::kThreads)
    lstm_weight_gradient_kernel(LstmBackwardSlice slice, WeightTiles tiles) {
  SIMT_SHARED(const float*, rows, [kTokensAtOnce]);
  const LstmBackward& args = slice.args;
  const LstmTokens& tokens = slice.tokens;
  const std::int64_t features = args.shape.features;
  const std::int64_t units = args.shape.units;
  const std::int64_t wide = 4 * units;
  const auto thread = static_cast<int>(threadIdx.x);
  const int tile = static_cast<int>(blockIdx.x) / tiles.splits;
  const int split = static_cast<int>(blockIdx.x) % tiles.splits;
  const int row_tile = tile / tiles.of_columns;
  const int first_column = tile % tiles.of_columns * LargeTile::kColumns;
  const bool of_inputs = row_tile < tiles.of_kernel;
  const int first_row = (of_inputs ? row_tile : row_tile - tiles.of_kernel) * LargeTile::kRows;

  const int total = tokens.total();
  const int share = (total + tiles.splits - 1) / tiles.splits;
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
    return args.table.row(args.ids.row(row)[position.input % tokens.steps]);
  };

  TileSums<LargeTile> sums = {};
  float column_sum = 0;
  for (int first = begin; first < end; first += kTokensAtOnce) {
    const int count = min(kTokensAtOnce, end - first);
    __syncthreads();  // whoever is still at work on the tokens before
    if (thread < count) rows[thread] = row_of(first + thread);
    __syncthreads();
    auto left = left_operand<LargeTile>(count,
                                        {first_row, of_inputs ? features : units, 0,
                                         of_inputs ? tiles.in_fours : tiles.kept_in_fours},
                                        [&](std::int64_t k) { return rows[k]; });
    auto right = right_operand<LargeTile, PlainColumns>(
        count, {first_column, wide, 0, true},
        [&](std::int64_t k) -> const float* { return slice.z_grad + (first + k) * wide; });
    add_product<PlainColumns>(sums, left, right, count,
                              [&](const float(*stage)[LargeTile::kColumns]) {
                                if (row_tile > 0) return;
                                SIMT_UNROLL
                                for (int k = 0; k < LargeTile::kDepth; ++k) {
                                  column_sum += stage[k][thread];
                                }
                              });
  }

  const std::int64_t all_rows = features + units + 1;
  float* partial = slice.partial + split * all_rows * wide;
  const std::int64_t above = of_inputs ? 0 : features;
  for_quads<PlainColumns>(sums, [&](int row, int quad, float4 sum) {
    const std::int64_t column = first_column + 4 * quad;
    if (first_row + row >= (of_inputs ? features : units) || column >= wide) return;
    st_vec(partial + (above + first_row + row) * wide + column, sum);
  });
  if (row_tile == 0 && first_column + thread < wide) {
    partial[(all_rows - 1) * wide + first_column + thread] = column_sum;
  }
}

// A thread adds up the splits of one unit's four gates.
__global__ void lstm_weight_sum_kernel(LstmBackwardSlice slice, int splits) {
  const LstmBackward& args = slice.args;
  const std::int64_t features = args.shape.features;
  const std::int64_t units = args.shape.units;
  const std::int64_t all_rows = features + units + 1;
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * kElementThreads;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kElementThreads + threadIdx.x;
       i < all_rows * units; i += step) {
    const std::int64_t row = i / units;
    const std::int64_t unit = i % units;
    float* out = args.bias_grad;
    if (row < features) {
      out = args.kernel_grad ? args.kernel_grad.row(row) : nullptr;
    } else if (row < features + units) {
      out = args.recurrent_grad ? args.recurrent_grad.row(row - features) : nullptr;
    }
    if (out == nullptr) continue;
    Floats<4> sum = Floats<4>::load(slice.partial + i * 4);
    for (int split = 1; split < splits; ++split) {
      sum += Floats<4>::load(slice.partial + (split * all_rows * units + i) * 4);
    }
    const float gates[4] = {sum.value.x, sum.value.y, sum.value.z, sum.value.w};
    for (int gate = 0; gate < 4; ++gate) {
      float& to = out[gate * units + unit];
      to = args.accumulate ? to + gates[gate] : gates[gate];
    }
  }
}

void find_input_gradients(const Stream& stream, const LstmBackwardSlice& slice) {
  const LstmBackward& args = slice.args;
  const std::int64_t inputs = args.shape.rows * args.shape.steps;
  const std::int64_t features = args.shape.features;
  if (inputs == 0 || features == 0) return;
  const std::int64_t transposing =
      tiles_of(features, kTurned) * tiles_of(4 * args.shape.units, kTurned);
  const std::int64_t clearing = args.mask ? blocks_for(inputs, kTurnWarps) : 0;
  launch_kernel<lstm_prepare_inputs_kernel>({.grid = transposing + clearing, .block = kTurnThreads},
                                            stream, slice, static_cast<int>(transposing));
  launch_kernel<lstm_input_gradient_kernel>(
      {.grid = tiles_of<LargeTile>(inputs, features), .block = LargeTile::kThreads}, stream, slice,
      in_fours(args.in_grad));
}

}  // namespace

namespace BRAID_GPU {

void transpose_lstm_weights(const Stream& stream, Matrix<const float> weights, float* out) {
  if (weights.rows == 0 || weights.columns == 0) return;
  launch_kernel<lstm_transpose_kernel>(
      {.grid = tiles_of(weights.rows, kTurned) * tiles_of(weights.columns, kTurned),
       .block = kTurnThreads},
      stream, weights, out);
}

void find_lstm_gradients(const Stream& stream, const LstmBackwardSlice& slice) {
  const LstmBackward& args = slice.args;
  const LstmShape& shape = args.shape;
  if (args.in_grad) find_input_gradients(stream, slice);
  if (!args.kernel_grad && !args.recurrent_grad && args.bias_grad == nullptr) return;
  // The bias is summed beside the first of the others, wanted or not.
  const bool kernel = args.kernel_grad && shape.features > 0;
  const WeightTiles cut{
      .of_kernel = kernel ? static_cast<int>(tiles_of(shape.features, LargeTile::kRows)) : 0,
      .of_recurrent = args.recurrent_grad || !kernel
                          ? static_cast<int>(tiles_of(shape.units, LargeTile::kRows))
                          : 0,
      .of_columns = static_cast<int>(tiles_of(4 * shape.units, LargeTile::kColumns)),
      .splits = static_cast<int>(lstm_weight_splits(shape)),
      .in_fours = in_fours(args.in, args.table),
      .kept_in_fours = shape.units % 4 == 0 && in_fours(args.initial_h) &&
                       reinterpret_cast<std::uintptr_t>(slice.kept.h) % 16 == 0};
  launch_kernel<lstm_weight_gradient_kernel>(
      {.grid = static_cast<std::int64_t>(cut.of_kernel + cut.of_recurrent) * cut.of_columns *
               cut.splits,
       .block = LargeTile::kThreads},
      stream, slice, cut);
  launch_kernel<lstm_weight_sum_kernel>(
      element_shape((shape.features + shape.units + 1) * shape.units), stream, slice, cut.splits);
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
