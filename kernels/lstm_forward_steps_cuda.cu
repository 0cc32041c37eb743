// LSTMs of many units, forward: a launch for each step. A block makes the gates of a tile of rows
// and units, h . recurrent, and turns them into states; rows stand in the order of their numbers of
// tokens, so that tiles without one end at once. h alternates between two buffers, as other blocks
// still read that of the step before.
#include "kernels/lstm_choice.hpp"
#include "kernels/lstm_gates.hpp"
#include "kernels/lstm_gpu.hpp"
#include "kernels/lstm_products.hpp"
#include "kernels/lstm_unit_states.hpp"
#include "kernels/simt/elements.hpp"
#include "kernels/simt/facade.hpp"

namespace braid::kernels {
namespace {

// A thread takes one unit of one row to its state before the first token. What lies behind the
// units is 0 in both buffers.
__global__ void lstm_start_kernel(LstmForwardSlice slice) {
  const LstmForward& args = slice.args;
  const std::int64_t stride = in_whole_fours(args.shape.units);
  for_elements<1>(args.shape.rows, stride, [&](std::int64_t place, std::int64_t column) {
    float* h = slice.h + place * stride + column;
    if (column >= args.shape.units) {
      *h = 0;
      h[args.shape.rows * stride] = 0;
      return;
    }
    *h = begin_unit(slice, slice.tokens.row_at(place), place, static_cast<int>(column));
  });
}

template <class Tile, bool kDefault>
__global__ void __launch_bounds__(Tile::kThreads, kBlocksOfStep)
    lstm_forward_step_kernel(LstmForwardSlice slice, int step, bool recurrent_in_fours) {
  SIMT_SHARED(LstmTokens::Row, rows, [Tile::kRows]);
  SIMT_SHARED(std::int32_t, z_rows, [Tile::kRows]);
  SIMT_SHARED(ProductStages<Tile>, stages, [1]);
  const LstmForward& args = slice.args;
  const LstmTokens& tokens = slice.tokens;
  const LstmFunctions functions{args.activation, args.recurrent_activation};
  const auto units = static_cast<int>(args.shape.units);
  constexpr int kUnits = Tile::kColumns / 4;
  const auto unit_tiles = static_cast<unsigned>((units + kUnits - 1) / kUnits);
  const int first_unit = static_cast<int>(blockIdx.x % unit_tiles) * kUnits;
  const std::int64_t first_place = static_cast<std::int64_t>(blockIdx.x / unit_tiles) * Tile::kRows;
  const auto thread = static_cast<int>(threadIdx.x);
  if (thread < Tile::kRows) {
    rows[thread] = first_place + thread < tokens.rows ? tokens.row_at(first_place + thread)
                                                      : LstmTokens::Row{};
  }
  __syncthreads();
  if (rows[0].count <= step) return;
  // Needed behind the product: it has time to come.
  std::int32_t z_row = 0;
  if (thread < Tile::kRows && step < rows[thread].count)
    z_row = slice.z_row(rows[thread].first + step);

  const std::int64_t stride = in_whole_fours(units);
  const std::int64_t buffer = args.shape.rows * stride;
  const float* from = slice.h + step % 2 * buffer;
  float* to = slice.h + (step + 1) % 2 * buffer;
  const RowsOperand<Tile> h_rows(units, [&](int row) -> const float* {
    return step < rows[row].count ? from + (first_place + row) * stride : nullptr;
  });
  const StridedOperand<Tile, GateColumns> recurrent(units,
                                                    {first_unit, units, units, recurrent_in_fours},
                                                    args.recurrent.data, args.recurrent.stride);
  TileSums<Tile> sums = {};
  add_product<GateColumns>(stages[0], sums, h_rows, recurrent, units);
  if (thread < Tile::kRows) z_rows[thread] = z_row;
  __syncthreads();
  for_quads<GateColumns>(sums, [&](int tile_row, int quad, float4 sum) {
    const LstmTokens::Row& row = rows[tile_row];
    const int unit = first_unit + quad;
    if (step >= row.count || unit >= units) return;
    const auto inputs =
        ld_vec<float4>(slice.z + (std::int64_t{z_rows[tile_row]} * units + unit) * 4);
    const std::int64_t place = first_place + tile_row;
    const CellState state = cell_forward<kDefault>(
        {inputs.x + sum.x, inputs.y + sum.y, inputs.z + sum.z, inputs.w + sum.w},
        slice.c[place * units + unit], functions);
    to[place * stride + unit] = state.h;
    end_step(slice, row, step, place, unit, state);
  });
}

}  // namespace

namespace BRAID_GPU {

void run_lstm_steps(const Stream& stream, const LstmForwardSlice& slice) {
  const LstmShape& shape = slice.args.shape;
  const bool recurrent_in_fours = shape.units % 4 == 0 && in_fours(slice.args.recurrent);
  launch_kernel<lstm_start_kernel>(element_shape(shape.rows * shape.units), stream, slice);
  with_tile_of_step(slice.args, 4 * shape.units, [&]<class Tile, bool is_default>() {
    for (std::int64_t step = 0; step < shape.steps; ++step) {
      launch_kernel<lstm_forward_step_kernel<Tile, is_default>>(
          {.grid = tiles_of<Tile>(shape.rows, 4 * shape.units), .block = Tile::kThreads}, stream,
          slice, static_cast<int>(step), recurrent_in_fours);
    }
  });
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
