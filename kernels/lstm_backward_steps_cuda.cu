// LSTMs of many units, backward: a launch for each step, from the last to the first, and one more
// for the state before them. A block makes the gradients of h of a tile of rows and units from the
// gates' gradients of the step behind, z_grad . recurrent^T, and with them those of its own gates.
// Rows stand in the order of their numbers of tokens, so that tiles without one end at once.
#include "kernels/lstm_choice.hpp"
#include "kernels/lstm_gates.hpp"
#include "kernels/lstm_gpu.hpp"
#include "kernels/lstm_products.hpp"
#include "kernels/lstm_transpose.hpp"
#include "kernels/lstm_unit_states.hpp"
#include "kernels/simt/elements.hpp"
#include "kernels/simt/facade.hpp"

namespace braid::kernels {
namespace {

// Transposes what steps and gradients read transposed.
__global__ void lstm_prepare_steps_kernel(LstmBackwardSlice slice) {
  const LstmBackward& args = slice.args;
  const std::int64_t threads = static_cast<std::int64_t>(gridDim.x) * kElementThreads;
  const std::int64_t thread = static_cast<std::int64_t>(blockIdx.x) * kElementThreads + threadIdx.x;
  transpose_gates(args.recurrent, slice.recurrent, thread, threads);
  if (slice.wants_inputs()) transpose_gates(args.kernel, slice.kernel, thread, threads);
}

template <bool kDefault>
__device__ inline void go_back(const LstmBackwardSlice& slice, const LstmTokens::Row& row, int step,
                               std::int64_t place, int unit, float sum) {
  BackwardUnit<kDefault> state(slice, row, step, place, unit);
  if (!state.has_step()) return;
  if (step < 0) return state.write_initial(slice.args, row, unit, sum);
  state.write(slice, row, step, place, unit, state.go_back(sum));
}

template <class Tile, bool kDefault>
__global__ void __launch_bounds__(Tile::kThreads, kBlocksOfStep)
    lstm_backward_step_kernel(LstmBackwardSlice slice, int step) {
  SIMT_SHARED(LstmTokens::Row, rows, [Tile::kRows]);
  SIMT_SHARED(ProductStages<Tile>, stages, [1]);
  const LstmTokens& tokens = slice.tokens;
  const std::int64_t units = slice.args.shape.units;
  const std::int64_t wide = 4 * units;
  const auto unit_tiles = static_cast<unsigned>((units + Tile::kColumns - 1) / Tile::kColumns);
  const int first_unit = static_cast<int>(blockIdx.x % unit_tiles) * Tile::kColumns;
  const std::int64_t first_place = static_cast<std::int64_t>(blockIdx.x / unit_tiles) * Tile::kRows;
  const auto thread = static_cast<int>(threadIdx.x);
  if (thread < Tile::kRows) {
    rows[thread] = first_place + thread < tokens.rows ? tokens.row_at(first_place + thread)
                                                      : LstmTokens::Row{};
  }
  __syncthreads();
  if (rows[0].count <= step) return;

  const RowsOperand<Tile> z_grad(static_cast<int>(wide), [&](int row) -> const float* {
    if (step + 1 >= rows[row].count) return nullptr;
    return slice.z_grad + (rows[row].first + step + std::int64_t{1}) * wide;
  });
  const StridedOperand<Tile, PlainColumns> recurrent(
      static_cast<int>(wide), {first_unit, units, 0, true}, slice.recurrent, in_whole_fours(units));
  TileSums<Tile> sums = {};
  // Where no row has a step behind this one there is nothing to multiply.
  add_product<PlainColumns>(stages[0], sums, z_grad, recurrent,
                            rows[0].count > step + 1 ? static_cast<int>(wide) : 0);
  for_quads<PlainColumns>(sums, [&](int tile_row, int quad, float4 sum) {
    const std::int64_t place = first_place + tile_row;
    if (place >= tokens.rows) return;
    const float of_unit[4] = {sum.x, sum.y, sum.z, sum.w};
    const int unit = first_unit + 4 * quad;
    SIMT_UNROLL
    for (int u = 0; u < 4; ++u) {
      if (unit + u < units)
        go_back<kDefault>(slice, rows[tile_row], step, place, unit + u, of_unit[u]);
    }
  });
}

}  // namespace

namespace BRAID_GPU {

void run_lstm_steps(const Stream& stream, const LstmBackwardSlice& slice) {
  const LstmBackward& args = slice.args;
  const LstmShape& shape = args.shape;
  launch_kernel<lstm_prepare_steps_kernel>(
      {.grid = blocks_to_transpose(args.recurrent, kElementThreads), .block = kElementThreads},
      stream, slice);
  const std::int64_t last = args.initial_h_grad || args.initial_c_grad ? -1 : 0;
  with_tile_of_step(args, shape.units, [&]<class Tile, bool is_default>() {
    for (std::int64_t step = shape.steps - 1; step >= last; --step) {
      launch_kernel<lstm_backward_step_kernel<Tile, is_default>>(
          {.grid = tiles_of<Tile>(shape.rows, shape.units), .block = Tile::kThreads}, stream, slice,
          static_cast<int>(step));
    }
  });
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
