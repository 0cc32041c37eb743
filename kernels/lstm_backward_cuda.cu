// Up to 128 units a block takes 1, 2 or 4 rows back through all of their tokens. Sixteen lanes
// share four units: each keeps these units' weights of every sixteenth unit's gates in registers
// (of half of them beyond 64 units, the rest in shared memory), multiplies them with the gradients
// of the rows' gates out of shared memory, and exchanges sums until it has that of one unit and
// row, whose states' gradients it owns. Per step:
//   barriers 1;  chain: gates' gradients from shared memory, H / 4 fused multiply-adds, 4
//   exchanges, 3 multiply-adds, to shared memory;  from global memory: nothing that was not asked
//   for two steps before (one beyond 64 units); all factors that the forward pass fixes are ready
//   before the chain comes to them
#include <algorithm>

#include "kernels/lstm_choice.hpp"
#include "kernels/lstm_gates.hpp"
#include "kernels/lstm_gpu.hpp"
#include "kernels/lstm_sequence.hpp"
#include "kernels/lstm_transpose.hpp"
#include "kernels/simt/facade.hpp"

namespace braid::kernels {
namespace {

constexpr unsigned kAll = 0xFFFFFFFFU;
constexpr int kLanes = 16;

// kUnits: H rounded up; what lies beyond H is 0.
template <int kUnits, int kRows>
struct BackwardWeights {
  static constexpr int kThreads = 4 * kUnits;
  static constexpr int kInputs = kUnits / kLanes;  // units whose gates a lane reads
  static constexpr int kHeld = kInputs <= 4 ? kInputs : (kRows == 4 ? 3 : 4);
  static constexpr int kShared = kInputs - kHeld;
  static constexpr std::int64_t kSharedBytes = std::int64_t{64} * kShared * kThreads;

  float held[kHeld][4][4];  // [input][gate][unit]
  float* shared;

  static __device__ int input(int m) { return m * kLanes + static_cast<int>(threadIdx.x) % kLanes; }
  // Unit u here is unit u ^ (lane / 4) of the four, so that the same unit is the first one of those
  // lanes that are to keep it.
  static __device__ int unit(int u) {
    const int lane = static_cast<int>(threadIdx.x) % kLanes;
    return static_cast<int>(threadIdx.x) / kLanes * 4 + (u ^ (lane / 4));
  }
  __device__ BackwardWeights(const LstmBackward& args, float* memory) : shared(memory) {
    SIMT_UNROLL
    for (int u = 0; u < 4; ++u) {
      SIMT_UNROLL
      for (int gate = 0; gate < 4; ++gate) {
        SIMT_UNROLL
        for (int m = 0; m < kHeld; ++m) held[m][gate][u] = read(args, m, gate, u);
      }
    }
    SIMT_NO_UNROLL
    for (int i = 0; i < 16 * kShared; ++i) {
      at(kHeld + i / 16, i / 4 % 4)[i % 4] = read(args, kHeld + i / 16, i / 4 % 4, i % 4);
    }
  }
  __device__ float read(const LstmBackward& args, int m, int gate, int u) const {
    const auto units = static_cast<int>(args.shape.units);
    if (unit(u) >= units || input(m) >= units) return 0;
    return args.recurrent.row(unit(u))[gate * units + input(m)];
  }
  __device__ float* at(int m, int gate) const {
    return shared + 4 * (((m - kHeld) * 4 + gate) * kThreads + static_cast<int>(threadIdx.x));
  }
};

// What one input, a unit's four gates, makes of the sums.
template <int kRows>
__device__ inline void add_units(const float4& z_grad, const float (&w)[4][4], int r,
                                 float (&sums)[4][kRows]) {
  SIMT_UNROLL
  for (int u = 0; u < 4; ++u) {
    sums[u][r] += z_grad.x * w[0][u];
    sums[u][r] += z_grad.y * w[1][u];
    sums[u][r] += z_grad.z * w[2][u];
    sums[u][r] += z_grad.w * w[3][u];
  }
}

// The part of z_grad . recurrent^T that this lane's inputs make. Row r here is row r ^ own of the
// block.
template <int kUnits, int kRows>
__device__ inline void multiply_units(const BackwardWeights<kUnits, kRows>& weights,
                                      const float (&z_grad)[kRows][4 * kUnits], int own,
                                      float (&sums)[4][kRows]) {
  using Weights = BackwardWeights<kUnits, kRows>;
  const auto gates_of = [&](int r, int m) {
    return ld_vec<float4>(&z_grad[r ^ own][4 * Weights::input(m)]);
  };
  SIMT_UNROLL
  for (int m = 0; m < Weights::kHeld; ++m) {
    SIMT_UNROLL
    for (int r = 0; r < kRows; ++r) add_units(gates_of(r, m), weights.held[m], r, sums);
  }
  SIMT_NO_UNROLL
  for (int m = Weights::kHeld; m < Weights::kInputs; ++m) {
    float w[4][4];
    SIMT_UNROLL
    for (int gate = 0; gate < 4; ++gate) {
      const auto four = ld_vec<float4>(weights.at(m, gate));
      w[gate][0] = four.x;
      w[gate][1] = four.y;
      w[gate][2] = four.z;
      w[gate][3] = four.w;
    }
    SIMT_UNROLL
    for (int r = 0; r < kRows; ++r) add_units(gates_of(r, m), w, r, sums);
  }
}

// Adds the sixteen lanes' parts, always in the same pairs; each lane gets its own unit and row.
template <int kRows>
__device__ inline float own_unit_and_row(float (&sums)[4][kRows]) {
  SIMT_UNROLL
  for (int r = 0; r < kRows; ++r) {
    sums[0][r] += __shfl_xor_sync(kAll, sums[2][r], 8);
    sums[1][r] += __shfl_xor_sync(kAll, sums[3][r], 8);
  }
  SIMT_UNROLL
  for (int r = 0; r < kRows; ++r) sums[0][r] += __shfl_xor_sync(kAll, sums[1][r], 4);
  if constexpr (kRows == 4) {
    sums[0][0] += __shfl_xor_sync(kAll, sums[0][2], 2);
    sums[0][1] += __shfl_xor_sync(kAll, sums[0][3], 2);
    return sums[0][0] + __shfl_xor_sync(kAll, sums[0][1], 1);
  } else {
    const float sum = sums[0][0] + __shfl_xor_sync(kAll, sums[0][kRows - 1], 2);
    return sum + __shfl_xor_sync(kAll, sum, 1);
  }
}

// The gradients of a unit of a row's outputs, from the last token to the first.
class ArrivingGradients {
 public:
  __device__ ArrivingGradients(const Matrix<const float>& grads, const LstmTokens& tokens,
                               const LstmTokens::Row& row, int unit)
      : column_(grads, tokens, row, unit),
        tokens_(tokens),
        row_(row),
        until_(tokens.steps),
        from_(row.count > 0 ? tokens.place_of(row, row.count - 1) : tokens.steps) {}
  // Of that token. The place of the next one is asked for at once.
  __device__ float take(int step) {
    const float sum = column_.sum(from_, until_);
    until_ = from_;
    if (step > 0) from_ = tokens_.place_of(row_, step - 1);
    return sum;
  }
  // Of the state before the first token, when all have been taken.
  __device__ float take_rest() const { return column_.sum(0, until_); }

 private:
  SequenceColumn<const float> column_;
  const LstmTokens& tokens_;
  LstmTokens::Row row_;
  int until_;
  int from_;
};

// What a step reads from global memory.
struct KeptOfStep {
  float4 gates = {0, 0, 0, 0};
  float c_before = 0;
  float arriving = 0;
};

template <int kUnits, int kRows, bool kDefault>
__global__ void __launch_bounds__(4 * kUnits, 128 / kUnits)
    lstm_backward_kernel(LstmBackwardSlice slice) {
  SIMT_SHARED(float, z_rows, [2][kRows][4 * kUnits]);
  SIMT_DYN_SHARED(float, memory);
  const LstmBackward& args = slice.args;
  const LstmTokens& tokens = slice.tokens;
  // Blocks behind those of the rows make what the launch after this one reads.
  const int row_blocks = (tokens.rows + kRows - 1) / kRows;
  if (static_cast<int>(blockIdx.x) >= row_blocks) {
    const std::int64_t block = static_cast<int>(blockIdx.x) - row_blocks;
    const std::int64_t blocks = static_cast<int>(gridDim.x) - row_blocks;
    constexpr int kThreads = 4 * kUnits;
    transpose_gates(args.kernel, slice.kernel, block * kThreads + threadIdx.x, blocks * kThreads);
    return;
  }
  if (blockIdx.x == 0 && threadIdx.x == 0) *slice.taken = 0;
  const LstmFunctions functions{args.activation, args.recurrent_activation};
  const auto units = static_cast<int>(args.shape.units);
  const int unit = static_cast<int>(threadIdx.x / 4);
  constexpr int kLanesOfRow = 4 / kRows;
  const int own = static_cast<int>(threadIdx.x % 4) / kLanesOfRow;
  const std::int64_t place = static_cast<std::int64_t>(blockIdx.x) * kRows + own;
  const bool is_there = place < tokens.rows && unit < units;
  const bool writes = threadIdx.x % kLanesOfRow == 0;
  const LstmTokens::Row row = is_there ? tokens.row_at(place) : LstmTokens::Row{};
  // The first row of a block has the most tokens.
  const int steps = tokens.row_at(static_cast<std::int64_t>(blockIdx.x) * kRows).count;

  const BackwardWeights<kUnits, kRows> weights(args, memory);
  const auto of_state = [&](const Matrix<const float>& states) {
    return is_there && states ? states.row(row.index)[unit] : 0.0F;
  };
  float h_grad = of_state(args.last_output_grad) + of_state(args.last_h_grad);
  float c_grad = of_state(args.last_c_grad);
  const float initial_c = of_state(args.initial_c);
  const auto token_at = [&](int step) {
    return static_cast<std::int64_t>(row.first + step) * units + unit;
  };
  // Units beyond the last must not bring NaN into the sums.
  if (writes && unit >= units) {
    st_vec(&z_rows[0][own][4 * unit], float4{0, 0, 0, 0});
    st_vec(&z_rows[1][own][4 * unit], float4{0, 0, 0, 0});
  }

  const bool has_arriving = is_there && static_cast<bool>(args.sequence_grad);
  ArrivingGradients arriving(args.sequence_grad, tokens, row, unit);
  const auto kept_of = [&](int step) {
    KeptOfStep kept;
    if (step < 0 || step >= row.count) return kept;
    kept.gates = ld_vec<float4>(slice.kept.gates + token_at(step) * 4);
    kept.c_before = step > 0 ? slice.kept.c[token_at(step - 1)] : initial_c;
    if (has_arriving) kept.arriving = arriving.take(step);
    return kept;
  };
  float c = row.count > 0 ? slice.kept.c[token_at(row.count - 1)] : 0.0F;
  // Steps of more units take longer, and leave fewer registers.
  constexpr int kAhead = kUnits > 64 ? 1 : 2;
  KeptOfStep even = kept_of(steps - 1);
  KeptOfStep odd;
  if constexpr (kAhead == 2) odd = kept_of(steps - 2);
  CellSlopes slopes = cell_slopes<kDefault>(even.gates, c, even.c_before, functions);
  // now: what was kept of this step, and place for what is asked for next; before: of the step
  // before this one (the same place, where that is what is asked for next).
  const auto take_step = [&](int step, int stage, KeptOfStep& now, const KeptOfStep& before) {
    const bool is_token = step < row.count;
    if (is_token) {
      const float4 z_grad = cell_backward(slopes, h_grad + now.arriving, c_grad);
      c = now.c_before;
      if (writes) {
        st_vec(&z_rows[stage][own][4 * unit], z_grad);
        st_vec(slice.z_grad + token_at(step) * 4, z_grad);
      }
    }
    now = kept_of(step - kAhead);
    __syncthreads();
    const auto find_slopes = [&] {
      slopes = cell_slopes<kDefault>(before.gates, c, before.c_before, functions);
    };
    if constexpr (kAhead == 2) find_slopes();
    float sums[4][kRows] = {};
    multiply_units<kUnits, kRows>(weights, z_rows[stage], own, sums);
    if constexpr (kAhead == 1) find_slopes();
    const float sum = own_unit_and_row<kRows>(sums);
    if (is_token) h_grad = sum;
  };
  if constexpr (kAhead == 2) {
    for (int step = steps - 1; step >= 0; step -= 2) {
      take_step(step, 0, even, odd);
      if (step > 0) take_step(step - 1, 1, odd, even);
    }
  } else {
    for (int step = steps - 1; step >= 0; --step) take_step(step, step % 2, even, even);
  }
  if (!is_there || !writes) return;
  if (args.initial_h_grad) {
    const float rest = has_arriving ? arriving.take_rest() : 0.0F;
    args.initial_h_grad.row(row.index)[unit] = rest + h_grad;
  }
  if (args.initial_c_grad) args.initial_c_grad.row(row.index)[unit] = c_grad;
}

template <int kUnits>
void run_persistent(const Stream& stream, const LstmBackwardSlice& slice) {
  const LstmBackward& args = slice.args;
  const std::int64_t transposing =
      args.in_grad ? blocks_to_transpose(args.kernel, 4 * kUnits) : std::int64_t{0};
  // More rows of 64 units do not fit into the registers of every GPU.
  constexpr int kOtherRows = kUnits == 64 ? 2 : 4;
  with_rows_of_block<kUnits, kOtherRows>(args, [&]<int units, int rows, bool is_default>() {
    launch_kernel<lstm_backward_kernel<units, rows, is_default>>(
        {.grid = (args.shape.rows + rows - 1) / rows + transposing,
         .block = 4 * units,
         .shared = BackwardWeights<units, rows>::kSharedBytes},
        stream, slice);
  });
}

// Of rows `first` and those behind it.
LstmBackwardSlice slice_of(const LstmBackward& all, std::int64_t first) {
  LstmBackwardSlice slice{.args = all};
  LstmBackward& args = slice.args;
  LstmShape& shape = args.shape;
  shape.rows = std::min(shape.rows - first, lstm_slice_rows(shape));
  skip_rows(first * shape.steps, args.in, args.sequence_grad, args.in_grad);
  skip_rows(first, args.ids, args.mask, args.initial_h, args.initial_c, args.last_output_grad,
            args.last_h_grad, args.last_c_grad, args.initial_h_grad, args.initial_c_grad);
  args.accumulate = all.accumulate || first > 0;
  const LstmBackwardPlaces places = lstm_backward_places(all.shape);
  const auto scratch = [&](std::int64_t place) { return floats_at(all.scratch, place); };
  slice.z_grad = scratch(places.z_grad);
  slice.partial = scratch(places.partial);
  slice.kernel = scratch(places.kernel);
  slice.taken = reinterpret_cast<unsigned*>(scratch(places.taken));
  slice.recurrent = scratch(places.recurrent);
  slice.c_grad = scratch(places.c_grad);
  // What was saved is only read.
  auto* saved = const_cast<float*>(all.saved);
  slice.kept = lstm_kept(saved + first * lstm_gpu_saved_floats(shape), shape);
  slice.tokens =
      lstm_tokens(shape, lstm_mask(args).is_there(), args.go_backwards, slice.kept.tokens);
  return slice;
}

}  // namespace

namespace BRAID_GPU {

void run(const Stream& stream, const LstmBackward& args) {
  if (args.shape.units == 0) return;
  std::int64_t row = 0;
  do {
    const LstmBackwardSlice slice = slice_of(args, row);
    if (slice.args.shape.rows == 0) {
      // Gradients of weights are there nevertheless.
    } else if (args.shape.units <= 32) {
      run_persistent<32>(stream, slice);
    } else if (args.shape.units <= 64) {
      run_persistent<64>(stream, slice);
    } else if (args.shape.units <= kPersistentUnits &&
               shared_bytes_of_block() >= kBackwardSharedBytes) {
      run_persistent<128>(stream, slice);
    } else {
      run_lstm_steps(stream, slice);
    }
    find_lstm_gradients(stream, slice);
    row += lstm_slice_rows(args.shape);
  } while (row < args.shape.rows);
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
