// Up to 128 units a block takes 1, 2 or 4 rows through all of their tokens. Four lanes share a
// unit: each keeps the four gates' recurrent weights of every fourth quad of inputs in registers
// (of half of them beyond 64 units, the rest in shared memory), multiplies them with the rows' h
// out of shared memory, and exchanges sums until it has those of one row, whose cell state it owns.
// kRows rows of H units, per step:
//   barriers 1;  chain: h from shared memory, H / 4 fused multiply-adds, 2 exchanges, 2 activations
//   one behind the other, h to shared memory;  from global memory: nothing that was not asked for
//   two steps before (one beyond 64 units, and for where a mask lets outputs go)
#include <algorithm>

#include "kernels/lstm_choice.hpp"
#include "kernels/lstm_gates.hpp"
#include "kernels/lstm_gpu.hpp"
#include "kernels/lstm_sequence.hpp"
#include "kernels/simt/facade.hpp"

namespace braid::kernels {
namespace {

constexpr unsigned kAll = 0xFFFFFFFFU;

// kUnits: H rounded up; what lies beyond H is 0.
template <int kUnits>
struct ForwardWeights {
  static constexpr int kThreads = 4 * kUnits;
  static constexpr int kInputs = kUnits / 16;  // of a lane, in fours
  static constexpr int kHeld = kInputs <= 4 ? kInputs : 4;
  static constexpr int kShared = kInputs - kHeld;
  static constexpr std::int64_t kSharedBytes = std::int64_t{64} * kShared * kThreads;

  float held[kHeld][4][4];  // [four][input][gate]
  float* shared;

  static __device__ int input(int j) {
    return j / 4 * 16 + static_cast<int>(threadIdx.x % 4) * 4 + j % 4;
  }
  __device__ float4 read(const LstmForward& args, int j) const {
    const auto units = static_cast<int>(args.shape.units);
    const int unit = static_cast<int>(threadIdx.x / 4);
    if (unit >= units || input(j) >= units) return {0, 0, 0, 0};
    const float* row = args.recurrent.row(input(j)) + unit;
    return {row[0], row[units], row[2 * units], row[3 * units]};
  }
  __device__ ForwardWeights(const LstmForward& args, float* memory) : shared(memory) {
    SIMT_UNROLL
    for (int j = 0; j < 4 * kHeld; ++j) {
      const float4 gates = read(args, j);
      held[j / 4][j % 4][0] = gates.x;
      held[j / 4][j % 4][1] = gates.y;
      held[j / 4][j % 4][2] = gates.z;
      held[j / 4][j % 4][3] = gates.w;
    }
    SIMT_NO_UNROLL
    for (int j = 4 * kHeld; j < 4 * kInputs; ++j) st_vec(at(j / 4, j % 4), read(args, j));
  }
  __device__ float* at(int four, int e) const {
    return shared + 4 * (((four - kHeld) * 4 + e) * kThreads + static_cast<int>(threadIdx.x));
  }
};

// What two neighbouring inputs make of a row's sums.
__device__ inline void add_pair(float first, float second, const float (&first_w)[4],
                                const float (&second_w)[4], float (&sums)[4]) {
  SIMT_UNROLL
  for (int gate = 0; gate < 4; ++gate) {
    sums[gate] += first * first_w[gate];
    sums[gate] += second * second_w[gate];
  }
}

// The part of h . recurrent that this lane's inputs make. Row r here is row r ^ own of the block,
// so that the same row is the first one of those lanes that are to keep it.
template <int kUnits, int kRows>
__device__ inline void multiply_gates(const ForwardWeights<kUnits>& weights,
                                      const float (&h)[kRows][kUnits], int own,
                                      float (&sums)[kRows][4]) {
  using Weights = ForwardWeights<kUnits>;
  const auto row_at = [&](int r, int j) { return &h[r ^ own][Weights::input(4 * j)]; };
  SIMT_UNROLL
  for (int j = 0; j < Weights::kHeld; ++j) {
    SIMT_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const auto inputs = ld_vec<float4>(row_at(r, j));
      add_pair(inputs.x, inputs.y, weights.held[j][0], weights.held[j][1], sums[r]);
      add_pair(inputs.z, inputs.w, weights.held[j][2], weights.held[j][3], sums[r]);
    }
  }
  // Two inputs at a time: for more there are no registers beside the held weights.
  SIMT_NO_UNROLL
  for (int pair = 2 * Weights::kHeld; pair < 2 * Weights::kInputs; ++pair) {
    const int j = pair / 2;
    const int e = pair % 2 * 2;
    float w[2][4];
    SIMT_UNROLL
    for (int i = 0; i < 2; ++i) {
      const auto gates = ld_vec<float4>(weights.at(j, e + i));
      w[i][0] = gates.x;
      w[i][1] = gates.y;
      w[i][2] = gates.z;
      w[i][3] = gates.w;
    }
    SIMT_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const auto inputs = ld_vec<float2>(row_at(r, j) + e);
      add_pair(inputs.x, inputs.y, w[0], w[1], sums[r]);
    }
  }
}

// Adds the four lanes' parts, always in the same pairs; each lane gets all gates of its own row.
template <int kRows>
__device__ inline float4 gates_of_own_row(float (&sums)[kRows][4]) {
  if constexpr (kRows == 4) {
    SIMT_UNROLL
    for (int r = 0; r < 2; ++r) {
      SIMT_UNROLL
      for (int gate = 0; gate < 4; ++gate) {
        sums[r][gate] += __shfl_xor_sync(kAll, sums[r + 2][gate], 2);
      }
    }
  } else {
    SIMT_UNROLL
    for (int gate = 0; gate < 4; ++gate) {
      sums[0][gate] += __shfl_xor_sync(kAll, sums[kRows - 1][gate], 2);
    }
  }
  SIMT_UNROLL
  for (int gate = 0; gate < 4; ++gate) {
    sums[0][gate] += __shfl_xor_sync(kAll, sums[kRows == 4 ? 1 : 0][gate], 1);
  }
  return {sums[0][0], sums[0][1], sums[0][2], sums[0][3]};
}

template <int kUnits, int kRows, bool kDefault>
__global__ void __launch_bounds__(4 * kUnits, 128 / kUnits)
    lstm_forward_kernel(LstmForwardSlice slice) {
  SIMT_SHARED(float, h_rows, [2][kRows][kUnits]);
  SIMT_DYN_SHARED(float, memory);
  const LstmForward& args = slice.args;
  const LstmTokens& tokens = slice.tokens;
  const LstmFunctions functions{args.activation, args.recurrent_activation};
  const auto units = static_cast<int>(args.shape.units);
  const int unit = static_cast<int>(threadIdx.x / 4);
  constexpr int kLanesOfRow = 4 / kRows;
  const int own = static_cast<int>(threadIdx.x % 4) / kLanesOfRow;
  const int place = static_cast<int>(blockIdx.x) * kRows + own;
  const bool is_there = place < tokens.rows && unit < units;
  const bool writes = is_there && threadIdx.x % kLanesOfRow == 0;
  const LstmTokens::Row row = is_there ? tokens.row_at(place) : LstmTokens::Row{};
  // The first row of a block has the most tokens.
  const int steps = tokens.row_at(static_cast<std::int64_t>(blockIdx.x) * kRows).count;

  const ForwardWeights<kUnits> weights(args, memory);
  float h = is_there && args.initial_h ? args.initial_h.row(row.index)[unit] : 0.0F;
  float c = is_there && args.initial_c ? args.initial_c.row(row.index)[unit] : 0.0F;
  if (threadIdx.x % kLanesOfRow == 0) {
    h_rows[0][own][unit] = h;
    h_rows[1][own][unit] = h;
  }
  const bool has_sequence = writes && static_cast<bool>(args.sequence);
  const SequenceColumn<float> sequence(args.sequence, tokens, row, unit);
  int next = has_sequence ? tokens.place_of(row, 0) : 0;
  int after = has_sequence ? tokens.place_of(row, 1) : 0;  // of the token behind that one
  if (has_sequence) sequence.write(0, next, h);

  const auto token_at = [&](int step) {
    return static_cast<std::int64_t>(row.first + step) * units + unit;
  };
  const auto inputs_of = [&](int step) {
    return step < row.count ? ld_vec<float4>(slice.z + token_at(step) * 4) : float4{0, 0, 0, 0};
  };
  // Steps of more units take longer, and leave fewer registers.
  constexpr int kAhead = kUnits > 64 ? 1 : 2;
  const auto take_step = [&](int step, float4& inputs) {
    const int from = next;
    next = after;
    if (has_sequence) after = tokens.place_of(row, step + 2);
    float sums[kRows][4] = {};
    multiply_gates<kUnits, kRows>(weights, h_rows[step % 2], own, sums);
    float4 z = gates_of_own_row<kRows>(sums);
    if (step < row.count) {
      z = {inputs.x + z.x, inputs.y + z.y, inputs.z + z.z, inputs.w + z.w};
      const CellState state = cell_forward<kDefault>(z, c, functions);
      c = state.c;
      h = state.h;
      if (writes) {
        h_rows[(step + 1) % 2][own][unit] = h;
        if (slice.kept.gates != nullptr) {
          const std::int64_t at = token_at(step);
          st_vec(slice.kept.gates + at * 4, state.kept);
          slice.kept.c[at] = c;
          slice.kept.h[at] = h;
        }
        if (has_sequence) sequence.write(from, next, h);
      }
    }
    inputs = inputs_of(step + kAhead);
    __syncthreads();
  };
  float4 even = inputs_of(0);
  float4 odd = kAhead == 2 ? inputs_of(1) : even;
  // The first hidden states are there, and all lanes of a row have read what its first lane is
  // about to overwrite with the gates.
  __syncthreads();
  if constexpr (kAhead == 2) {
    for (int step = 0; step < steps; step += 2) {
      take_step(step, even);
      if (step + 1 < steps) take_step(step + 1, odd);
    }
  } else {
    for (int step = 0; step < steps; ++step) take_step(step, even);
  }
  if (writes) {
    if (args.last_output) args.last_output.row(row.index)[unit] = h;
    if (args.last_h) args.last_h.row(row.index)[unit] = h;
    if (args.last_c) args.last_c.row(row.index)[unit] = c;
  }
}

template <int kUnits>
void run_persistent(const Stream& stream, const LstmForwardSlice& slice) {
  constexpr int kOtherRows = kUnits > 64 ? 2 : 4;
  with_rows_of_block<kUnits, kOtherRows>(slice.args, [&]<int units, int rows, bool is_default>() {
    launch_kernel<lstm_forward_kernel<units, rows, is_default>>(
        {.grid = (slice.args.shape.rows + rows - 1) / rows,
         .block = 4 * units,
         .shared = ForwardWeights<units>::kSharedBytes},
        stream, slice);
  });
}

// Of rows `first` and those behind it.
LstmForwardSlice slice_of(const LstmForward& all, std::int64_t first) {
  LstmForwardSlice slice{.args = all};
  LstmForward& args = slice.args;
  LstmShape& shape = args.shape;
  shape.rows = std::min(shape.rows - first, lstm_slice_rows(shape));
  skip_rows(first * shape.steps, args.in, args.sequence);
  skip_rows(first, args.ids, args.mask, args.initial_h, args.initial_c, args.last_output,
            args.last_h, args.last_c);
  const LstmForwardPlaces places = lstm_forward_places(all.shape);
  const auto scratch = [&](std::int64_t place) { return floats_at(all.scratch, place); };
  slice.z = scratch(places.z);
  slice.h = scratch(places.h);
  slice.c = scratch(places.c);
  float* token_memory = scratch(places.tokens);
  if (all.saved != nullptr) {
    slice.kept = lstm_kept(all.saved + first * lstm_gpu_saved_floats(shape), shape);
    slice.z = slice.kept.gates;
    token_memory = slice.kept.tokens;
  }
  slice.tokens = lstm_tokens(shape, lstm_mask(args).is_there(), args.go_backwards, token_memory);
  return slice;
}

}  // namespace

namespace BRAID_GPU {

void run(const Stream& stream, const LstmForward& args) {
  if (args.shape.units == 0) return;
  for (std::int64_t row = 0; row < args.shape.rows; row += lstm_slice_rows(args.shape)) {
    const LstmForwardSlice slice = slice_of(args, row);
    project_lstm_inputs(stream, slice);
    if (args.shape.units <= 32) {
      run_persistent<32>(stream, slice);
    } else if (args.shape.units <= 64) {
      run_persistent<64>(stream, slice);
    } else if (args.shape.units <= kPersistentUnits &&
               shared_bytes_of_block() >= kForwardSharedBytes) {
      run_persistent<128>(stream, slice);
    } else {
      run_lstm_steps(stream, slice);
    }
  }
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
