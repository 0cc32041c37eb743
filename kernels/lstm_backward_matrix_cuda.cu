// Steps back of up to 64 units on matrix units (lstm_matrix_steps.hpp). Two warps make the
// gradients of h of sixteen units, each by half of the gates; then each takes eight of the units,
// and gives the other one its part of the other eight. A lane has a unit, for two rows. Per step:
//   barriers 2, one of two warps;  chain: gates' gradients from shared memory, H / 8 products of
//   16 x 8 x 8, 2 additions, the other warp's part by way of shared memory, 3 multiply-adds, to
//   shared memory;  from global memory: copies to shared memory, asked for two steps before; all
//   factors that the forward pass fixes are ready before the chain comes to them
#include "kernels/lstm_matrix_steps.hpp"
#include "kernels/lstm_sequence.hpp"
#include "kernels/lstm_transpose.hpp"
#include "kernels/simt/rows.hpp"

namespace braid::kernels {
namespace {

template <int units>
struct BackwardOnMatrixUnits {
  static constexpr int kUnits = units;
  static constexpr int kThreads = 4 * kUnits;
  static constexpr int kSlots = 3;
  static constexpr int kInputs = kUnits / 8;  // units whose gates a lane reads

  static __device__ int pair() { return static_cast<int>(threadIdx.x) / 64; }
  static __device__ int half() { return static_cast<int>(threadIdx.x) / 32 % 2; }
  static __device__ int first_unit() { return 16 * pair() + group_of_lane(); }
  static __device__ int unit() { return first_unit() + 8 * half(); }
  static __device__ int input(int m) { return half() * kUnits / 2 + 4 * m + place_in_group(); }
};

template <class Shape>
struct RecurrentUnits {
  // [input][its first two gates, its last two]: of the warps' first units and of those eight behind
  // them, for one gate, then for the other.
  unsigned held[Shape::kInputs][2][4];

  __device__ explicit RecurrentUnits(const LstmBackward& args) {
    const auto units = static_cast<int>(args.shape.units);
    SIMT_UNROLL
    for (int m = 0; m < Shape::kInputs; ++m) {
      SIMT_UNROLL
      for (int half = 0; half < 2; ++half) {
        SIMT_UNROLL
        for (int i = 0; i < 4; ++i) {
          const int unit = Shape::first_unit() + i % 2 * 8;
          const int input = Shape::input(m);
          const int gate = 2 * half + i / 2;
          const bool is_there = unit < units && input < units;
          held[m][half][i] =
              is_there ? to_tf32(args.recurrent.row(unit)[gate * units + input]) : 0U;
        }
      }
    }
  }
};

template <class Shape>
struct BackwardOnMatrixMemory {
  SwizzledRows<4 * Shape::kUnits> z_grad[2];  // of alternate steps; a unit's gates are a quad
  float given[Shape::kThreads][2];            // sums for the lane in the other warp
  // What a thread has asked for of the next steps of its rows: one slot a step.
  float gates[Shape::kSlots][2][Shape::kThreads][4];
  float c_before[Shape::kSlots][2][Shape::kThreads];
  float arriving[Shape::kSlots][2][Shape::kThreads];
};

template <int kUnits>
__global__ void __launch_bounds__(4 * kUnits, 128 / kUnits)
    lstm_backward_matrix_kernel(LstmBackwardSlice slice) {
  using Shape = BackwardOnMatrixUnits<kUnits>;
  constexpr int kSlots = Shape::kSlots;
  SIMT_DYN_SHARED(float, memory);
  auto* const shared = reinterpret_cast<BackwardOnMatrixMemory<Shape>*>(memory);
  const LstmBackward& args = slice.args;
  const LstmTokens& tokens = slice.tokens;
  const auto thread = static_cast<int>(threadIdx.x);
  // Blocks behind those of the rows make what the launch after this one reads.
  const int row_blocks = (tokens.rows + kRowsOnMatrixUnits - 1) / kRowsOnMatrixUnits;
  if (static_cast<int>(blockIdx.x) >= row_blocks) {
    const std::int64_t block = static_cast<int>(blockIdx.x) - row_blocks;
    const std::int64_t blocks = static_cast<int>(gridDim.x) - row_blocks;
    transpose_gates(args.kernel, slice.kernel, block * Shape::kThreads + thread,
                    blocks * Shape::kThreads);
    return;
  }
  const auto units = static_cast<int>(args.shape.units);
  const int unit = Shape::unit();
  const int own_row = 2 * place_in_group();  // and the next one
  const int first_place = static_cast<int>(blockIdx.x) * kRowsOnMatrixUnits;
  // The first row of a block has the most tokens.
  const int steps = tokens.row_at(first_place).count;

  LstmTokens::Row rows[2];
  bool is_there[2];
  SIMT_UNROLL
  for (int r = 0; r < 2; ++r) {
    const int place = first_place + own_row + r;
    is_there[r] = place < tokens.rows && unit < units;
    rows[r] = is_there[r] ? tokens.row_at(place) : LstmTokens::Row{};
  }
  // 32 bits, as a slice is no larger.
  const auto place_of = [&](int r, int step) {
    return static_cast<unsigned>(rows[r].first + step) * static_cast<unsigned>(units) +
           static_cast<unsigned>(unit);
  };
  ArrivingGradients arriving[2] = {{args.sequence_grad, tokens, rows[0], unit},
                                   {args.sequence_grad, tokens, rows[1], unit}};
  const auto has_arriving = static_cast<bool>(args.sequence_grad);
  unsigned at[2] = {place_of(0, steps - 1), place_of(1, steps - 1)};  // of the token at work
  const auto ask_for = [&](int step, int slot) {
    SIMT_UNROLL
    for (int r = 0; r < 2; ++r) {
      if (step < 0 || step >= rows[r].count) continue;
      const unsigned at = place_of(r, step);
      cp_async<16>(shared->gates[slot][r][thread], slice.kept.gates + std::size_t{at} * 4);
      float* const c_before = &shared->c_before[slot][r][thread];
      if (step > 0) {
        cp_async<4>(c_before, slice.kept.c + (at - static_cast<unsigned>(units)));
      } else {
        *c_before = args.initial_c ? args.initial_c.row(rows[r].index)[unit] : 0.0F;
      }
      if (has_arriving) arriving[r].take(step, &shared->arriving[slot][r][thread]);
    }
    cp_async_commit();
  };
  SIMT_UNROLL
  for (int i = 0; i < kSlots; ++i) ask_for(steps - 1 - i, i);

  const RecurrentUnits<Shape> weights(args);
  float h_grad[2] = {};
  float c_grad[2] = {};
  float c[2] = {};
  SIMT_UNROLL
  for (int r = 0; r < 2; ++r) {
    // Units beyond the last must not bring NaN into the sums.
    if (unit >= units) {
      st_vec(shared->z_grad[0].quad(own_row + r, unit), float4{0, 0, 0, 0});
      st_vec(shared->z_grad[1].quad(own_row + r, unit), float4{0, 0, 0, 0});
    }
    if (!is_there[r]) continue;
    const auto of_state = [&](const Matrix<const float>& states) {
      return states ? states.row(rows[r].index)[unit] : 0.0F;
    };
    h_grad[r] = of_state(args.last_output_grad) + of_state(args.last_h_grad);
    c_grad[r] = of_state(args.last_c_grad);
    if (rows[r].count > 0) c[r] = slice.kept.c[place_of(r, rows[r].count - 1)];
  }

  CellSlopes slopes[2] = {};
  float c_before[2] = {};
  float from_output[2] = {};
  // Of what has come of a step, when c is that after it.
  const auto find_slopes = [&](int slot) {
    SIMT_UNROLL
    for (int r = 0; r < 2; ++r) {
      c_before[r] = shared->c_before[slot][r][thread];
      if (has_arriving) from_output[r] = shared->arriving[slot][r][thread];
      slopes[r] = default_slopes(ld_vec<float4>(shared->gates[slot][r][thread]), quick_tanh(c[r]),
                                 c_before[r]);
    }
  };
  cp_async_wait<kSlots - 1>();
  find_slopes(0);
  int slot = 0;
  for (int step = steps - 1; step >= 0; --step) {
    SIMT_UNROLL
    for (int r = 0; r < 2; ++r) {
      if (step >= rows[r].count) continue;
      const float4 z_grad = cell_backward(slopes[r], h_grad[r] + from_output[r], c_grad[r]);
      c[r] = c_before[r];
      st_vec(shared->z_grad[step % 2].quad(own_row + r, unit),
             float4{rounded_to_tf32(z_grad.x), rounded_to_tf32(z_grad.y), rounded_to_tf32(z_grad.z),
                    rounded_to_tf32(z_grad.w)});
      st_vec(slice.z_grad + std::size_t{at[r]} * 4, z_grad);
    }
    cp_async_wait<kSlots - 2>();
    __syncthreads();

    // The threads have time for this while the gates' gradients come.
    SIMT_UNROLL
    for (int r = 0; r < 2; ++r) at[r] -= static_cast<unsigned>(units);
    ask_for(step - kSlots, slot);
    slot = slot + 1 == kSlots ? 0 : slot + 1;
    float sums[2][4] = {};
    SIMT_UNROLL
    for (int m = 0; m < Shape::kInputs; ++m) {
      const OperandPairs of_gates(shared->z_grad[step % 2].quad(group_of_lane(), Shape::input(m)));
      mma_m16n8k8_tf32(sums[0], weights.held[m][0], of_gates.first);
      mma_m16n8k8_tf32(sums[1], weights.held[m][1], of_gates.second);
    }
    SIMT_UNROLL
    for (int i = 0; i < 4; ++i) sums[0][i] += sums[1][i];
    const bool gives_first = Shape::half() == 1;
    st_vec(shared->given[thread ^ 32],
           gives_first ? float2{sums[0][0], sums[0][1]} : float2{sums[0][2], sums[0][3]});
    find_slopes(slot);
    named_barrier_sync(1 + Shape::pair(), 64);
    const auto given = ld_vec<float2>(shared->given[thread]);
    const float own[2] = {gives_first ? sums[0][2] : sums[0][0],
                          gives_first ? sums[0][3] : sums[0][1]};
    if (step < rows[0].count) h_grad[0] = own[0] + given.x;
    if (step < rows[1].count) h_grad[1] = own[1] + given.y;
  }
  SIMT_UNROLL
  for (int r = 0; r < 2; ++r) {
    if (!is_there[r]) continue;
    if (args.initial_h_grad) {
      const float rest = has_arriving ? arriving[r].take_rest() : 0.0F;
      args.initial_h_grad.row(rows[r].index)[unit] = rest + h_grad[r];
    }
    if (args.initial_c_grad) args.initial_c_grad.row(rows[r].index)[unit] = c_grad[r];
  }
}

template <int kUnits>
void run_on_matrix_units(const Stream& stream, const LstmBackwardSlice& slice) {
  using Shape = BackwardOnMatrixUnits<kUnits>;
  const LstmBackward& args = slice.args;
  const std::int64_t transposing =
      slice.wants_inputs() ? blocks_to_transpose(args.kernel, Shape::kThreads) : std::int64_t{0};
  launch_kernel<lstm_backward_matrix_kernel<kUnits>>(
      {.grid = (args.shape.rows + kRowsOnMatrixUnits - 1) / kRowsOnMatrixUnits + transposing,
       .block = Shape::kThreads,
       .shared = sizeof(BackwardOnMatrixMemory<Shape>)},
      stream, slice);
}

}  // namespace

namespace BRAID_GPU {

bool run_lstm_on_matrix_units(const Stream& stream, const LstmBackwardSlice& slice) {
  return with_units_on_matrix_units(
      slice.args, [&]<int units>() { run_on_matrix_units<units>(stream, slice); });
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
