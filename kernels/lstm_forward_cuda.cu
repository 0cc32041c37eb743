// Up to 128 units a block takes 1, 2 or 4 rows through all of their tokens. Four lanes share a
// unit: each keeps the four gates' recurrent weights of every fourth quad of inputs in registers
// (of half of them beyond 64 units, the rest in shared memory), multiplies them with the rows' h
// out of shared memory, and exchanges sums until it has as many of the gates of one row as there
// are rows. It makes these, and the first of a row's lanes, which owns the cell state, gathers
// them. Per step:
//   barriers 1;  chain: h from shared memory, H / 4 fused multiply-adds, 2 exchanges, an
//   activation, a third exchange (not for four rows), another activation, h to shared memory;  from
//   global memory: copies to shared memory, asked for three steps before (two beyond 64 units).
//   What is kept of a step is written behind its barrier, while the next one's h is on its way.
#include "kernels/lstm_choice.hpp"
#include "kernels/lstm_gates.hpp"
#include "kernels/lstm_gpu.hpp"
#include "kernels/lstm_sequence.hpp"
#include "kernels/simt/facade.hpp"
#include "kernels/simt/rows.hpp"

namespace braid::kernels {
namespace {

constexpr unsigned kAll = 0xFFFFFFFFU;

// How the work of a block is shared out. kUnits: H rounded up; what lies beyond H is 0.
template <int units, int rows>
struct ForwardShape {
  static constexpr int kUnits = units;
  static constexpr int kRows = rows;
  // Of a unit. Few warps have less to do in all, where their registers hold the weights.
  static constexpr int kLanes = kUnits == 64 && kRows <= 2 ? 2 : 4;
  static constexpr int kThreads = kLanes * kUnits;
  // A lane keeps sums of so many parts of the inputs, so that they are the same for any number of
  // lanes.
  static constexpr int kParts = 4 / kLanes;
  static constexpr int kLanesOfRow = kLanes / kRows;
  static constexpr int kGates = 4 / kLanesOfRow;  // that a lane makes
  // Steps of more units take longer, and leave less shared memory.
  static constexpr int kSlots = kUnits > 64 ? 3 : 4;

  static constexpr int kInputs = kUnits / (4 * kLanes);  // of a lane, in fours
  static constexpr int kHeld = kUnits <= 64 ? kInputs : kInputs / 2;
  static constexpr int kShared = kInputs - kHeld;
  static constexpr std::int64_t kSharedBytes = std::int64_t{64} * kShared * kThreads;

  static __device__ int unit() { return static_cast<int>(threadIdx.x) / kLanes; }
  static __device__ int lane() { return static_cast<int>(threadIdx.x) % kLanes; }
  static __device__ int own_row() { return lane() / kLanesOfRow; }
  static __device__ int first_gate() { return lane() % kLanesOfRow * kGates; }
  // The first input of a four, which belongs to part j % kParts.
  static __device__ int input(int j) {
    return j / kParts * 16 + (lane() + j % kParts * kLanes) * 4;
  }
};

// Gate q here is gate q ^ first_gate() of a unit, so that those that a lane makes come first in it.
template <class Shape>
struct ForwardWeights {
  float held[Shape::kHeld][4][4];  // [four][input][gate]
  float* shared;

  __device__ float4 read(const LstmForward& args, int j, int e) const {
    const auto units = static_cast<int>(args.shape.units);
    const int input = Shape::input(j) + e;
    if (Shape::unit() >= units || input >= units) return {0, 0, 0, 0};
    const float* row = args.recurrent.row(input) + Shape::unit();
    const auto gate = [&](int q) { return row[(q ^ Shape::first_gate()) * units]; };
    return {gate(0), gate(1), gate(2), gate(3)};
  }
  __device__ ForwardWeights(const LstmForward& args, float* memory) : shared(memory) {
    SIMT_UNROLL
    for (int i = 0; i < 4 * Shape::kHeld; ++i) {
      const float4 gates = read(args, i / 4, i % 4);
      held[i / 4][i % 4][0] = gates.x;
      held[i / 4][i % 4][1] = gates.y;
      held[i / 4][i % 4][2] = gates.z;
      held[i / 4][i % 4][3] = gates.w;
    }
    SIMT_NO_UNROLL
    for (int i = 4 * Shape::kHeld; i < 4 * Shape::kInputs; ++i) {
      st_vec(at(i / 4, i % 4), read(args, i / 4, i % 4));
    }
  }
  __device__ float* at(int four, int e) const {
    return shared +
           4 * (((four - Shape::kHeld) * 4 + e) * Shape::kThreads + static_cast<int>(threadIdx.x));
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

// The rows' h that a lane multiplies first, in fours, read as soon as they are there. Row r here is
// row r ^ own of the block, so that the same row is the first one of those lanes that are to keep
// it.
template <class Shape>
struct FirstInputs {
  using Rows = float[Shape::kRows][Shape::kUnits];
  static constexpr int kAtOnce = 4 / Shape::kRows;
  static constexpr int kFours = Shape::kHeld < kAtOnce ? Shape::kHeld : kAtOnce;
  float4 of[kFours][Shape::kRows];

  static __device__ const float* at(const Rows& h, int r, int j) {
    return &h[r ^ Shape::own_row()][Shape::input(j)];
  }
  __device__ void read(const Rows& h) {
    SIMT_UNROLL
    for (int j = 0; j < kFours; ++j) {
      SIMT_UNROLL
      for (int r = 0; r < Shape::kRows; ++r) of[j][r] = ld_vec<float4>(at(h, r, j));
    }
  }
};

template <class Shape>
using GateSums = float[Shape::kParts][Shape::kRows][4];

// The parts of h . recurrent that this lane's inputs make.
template <class Shape>
__device__ inline void multiply_gates(const ForwardWeights<Shape>& weights,
                                      const FirstInputs<Shape>& first_inputs,
                                      const typename FirstInputs<Shape>::Rows& h,
                                      GateSums<Shape>& sums) {
  using First = FirstInputs<Shape>;
  SIMT_UNROLL
  for (int j = 0; j < Shape::kHeld; ++j) {
    SIMT_UNROLL
    for (int r = 0; r < Shape::kRows; ++r) {
      const float4 inputs =
          j < First::kFours ? first_inputs.of[j][r] : ld_vec<float4>(First::at(h, r, j));
      float(&of_part)[4] = sums[j % Shape::kParts][r];
      add_pair(inputs.x, inputs.y, weights.held[j][0], weights.held[j][1], of_part);
      add_pair(inputs.z, inputs.w, weights.held[j][2], weights.held[j][3], of_part);
    }
  }
  static_assert(Shape::kShared == 0 || Shape::kParts == 1);
  // Two inputs at a time: for more there are no registers beside the held weights.
  SIMT_NO_UNROLL
  for (int pair = 2 * Shape::kHeld; pair < 2 * Shape::kInputs; ++pair) {
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
    for (int r = 0; r < Shape::kRows; ++r) {
      const auto inputs = ld_vec<float2>(First::at(h, r, j) + e);
      add_pair(inputs.x, inputs.y, w[0], w[1], sums[0][r]);
    }
  }
}

// Adds what other lanes have, until the first sums are those of the gates that the lane makes:
// lanes halve the rows among them, then the gates of the one that is left.
template <int kLanes, int kRows, int kGates, int kAllRows>
__device__ inline void halve_sums(float (&sums)[kAllRows][4]) {
  if constexpr (kLanes == 1) {
    return;
  } else if constexpr (kRows > 1) {
    SIMT_UNROLL
    for (int r = 0; r < kRows / 2; ++r) {
      SIMT_UNROLL
      for (int q = 0; q < 4; ++q) {
        sums[r][q] += __shfl_xor_sync(kAll, sums[r + kRows / 2][q], kLanes / 2);
      }
    }
    halve_sums<kLanes / 2, kRows / 2, kGates>(sums);
  } else {
    SIMT_UNROLL
    for (int q = 0; q < kGates / 2; ++q) {
      sums[0][q] += __shfl_xor_sync(kAll, sums[0][q + kGates / 2], kLanes / 2);
    }
    halve_sums<kLanes / 2, 1, kGates / 2>(sums);
  }
}
// All parts in the same pairs, for any number of lanes and rows.
template <class Shape>
__device__ inline void add_parts(GateSums<Shape>& sums) {
  if constexpr (Shape::kParts == 2) {
    SIMT_UNROLL
    for (int r = 0; r < Shape::kRows; ++r) {
      SIMT_UNROLL
      for (int q = 0; q < 4; ++q) sums[0][r][q] += sums[1][r][q];
    }
  }
  halve_sums<Shape::kLanes, Shape::kRows, 4>(sums[0]);
}

// All gates of a unit and row, as the first of its lanes sees them; what others get is of no use.
template <int kGates>
__device__ inline float4 gather_gates(const float (&made)[kGates]) {
  if constexpr (kGates == 4) {
    return {made[0], made[1], made[2], made[3]};
  } else if constexpr (kGates == 2) {
    const float third = __shfl_xor_sync(kAll, made[0], 1);
    const float fourth = __shfl_xor_sync(kAll, made[1], 1);
    return {made[0], made[1], third, fourth};
  } else {
    const float second = __shfl_xor_sync(kAll, made[0], 1);
    const float third = __shfl_xor_sync(kAll, made[0], 2);
    const float fourth = __shfl_xor_sync(kAll, made[0], 3);
    return {made[0], second, third, fourth};
  }
}

// In shared memory: h of alternate steps, and what has been asked for of the next ones, one slot a
// step: what the inputs make of a unit's gates, and the word of the token's place.
template <class Shape>
struct ForwardMemory {
  float h[2][Shape::kRows][Shape::kUnits];
  float inputs[Shape::kSlots][Shape::kRows][4 * Shape::kUnits];
  std::uint32_t words[Shape::kSlots][Shape::kRows];
};

template <int kUnits, int kRows, bool kDefault>
__global__ void __launch_bounds__((ForwardShape<kUnits, kRows>::kThreads),
                                  kUnits > 64 ? 1 : SIMT_BLOCKS_HELD(128 / kUnits))
    lstm_forward_kernel(LstmForwardSlice slice) {
  using Shape = ForwardShape<kUnits, kRows>;
  constexpr int kSlots = Shape::kSlots;
  constexpr int kGates = Shape::kGates;
  SIMT_SHARED(ForwardMemory<Shape>, shared, [1]);
  SIMT_DYN_SHARED(float, weights_memory);
  const LstmForward& args = slice.args;
  const LstmTokens& tokens = slice.tokens;
  const LstmFunctions functions{args.activation, args.recurrent_activation};
  const auto units = static_cast<int>(args.shape.units);
  const int unit = Shape::unit();
  const int own = Shape::own_row();
  const int gate = Shape::first_gate();
  const int place = static_cast<int>(blockIdx.x) * Shape::kRows + own;
  const bool is_there = place < tokens.rows && unit < units;
  const bool is_first = Shape::lane() % Shape::kLanesOfRow == 0;  // of the lanes of a unit and row
  const bool owns_state = is_there && is_first;
  const LstmTokens::Row row = is_there ? tokens.row_at(place) : LstmTokens::Row{};
  // The first row of a block has the most tokens.
  const int steps = tokens.row_at(static_cast<std::int64_t>(blockIdx.x) * Shape::kRows).count;
  // In how many steps a thread does what not every thread does. The compiler would find these anew
  // in each step; what comes from an exchange of lanes it keeps.
  const bool keeps = slice.kept.gates != nullptr;
  const auto steps_if = [&](bool does) {
    return __shfl_sync(kAll, does ? row.count : 0, static_cast<int>(threadIdx.x % 32));
  };
  const int state_steps = steps_if(is_first);
  const int kept_gates = steps_if(keeps);
  const int kept_states = steps_if(keeps && is_first);
  const int output_steps = steps_if(is_first && static_cast<bool>(args.sequence));

  // Places of the token at work, and of what is asked for: 32 bits, as a slice is no larger.
  const auto place_in = [&](unsigned row_of_units) {
    return row_of_units * static_cast<unsigned>(units) + static_cast<unsigned>(unit);
  };
  unsigned at = place_in(static_cast<unsigned>(row.first));
  const auto ask_for = [&](int step, int slot, unsigned z_row) {
    if (step < state_steps) {
      cp_async<16>(&shared->inputs[slot][own][4 * unit],
                   slice.z + std::size_t{place_in(z_row)} * 4);
    }
    cp_async_commit();
  };
  const int named_steps = slice.z_rows != nullptr ? state_steps : 0;
  const auto find_z_row = [&](int step) {
    auto z_row = static_cast<unsigned>(row.first + step);
    if (step < named_steps) z_row = static_cast<unsigned>(slice.z_rows[row.first + step]);
    return z_row;
  };
  const auto ask_for_word = [&](int step, int slot) {
    if (step < output_steps && unit == 0 && tokens.positions != nullptr) {
      cp_async<4>(&shared->words[slot][own], tokens.positions + row.first + step);
    }
  };
  unsigned z_rows[kSlots] = {};
  SIMT_UNROLL
  for (int step = 0; step < kSlots; ++step) z_rows[step] = find_z_row(step);
  SIMT_UNROLL
  for (int step = 0; step < kSlots - 1; ++step) {
    ask_for_word(step, step);
    ask_for(step, step, z_rows[step]);
  }
  unsigned next_z_row = z_rows[kSlots - 1];
  ask_for_word(kSlots - 1, kSlots - 1);

  const ForwardWeights<Shape> weights(args, weights_memory);
  float h = is_there && args.initial_h ? args.initial_h.row(row.index)[unit] : 0.0F;
  float c = is_there && args.initial_c ? args.initial_c.row(row.index)[unit] : 0.0F;
  if (is_first) {
    shared->h[0][own][unit] = h;
    shared->h[1][own][unit] = h;
  }
  WrittenOutputs outputs(args.sequence, tokens, row, unit);
  if (is_there && is_first && args.sequence) outputs.write_until(tokens.place_of(row, 0), h);
  float* const gates_of_lane = slice.kept.gates + gate;

  cp_async_wait<kSlots - 2>();
  __syncthreads();
  FirstInputs<Shape> first_inputs;
  first_inputs.read(shared->h[0]);
  int slot = 0;
  int next_slot = 1;
  int last_slot = kSlots - 1;  // of the step before, and of the last one that is asked for
  for (int step = 0; step < steps; ++step) {
    // The threads have time for this while h comes.
    ask_for(step + kSlots - 1, last_slot, next_z_row);
    next_z_row = find_z_row(step + kSlots);  // a whole step before it is needed
    float made[kGates];
    load_floats(&shared->inputs[slot][own][4 * unit + gate], made);
    GateSums<Shape> sums = {};
    multiply_gates(weights, first_inputs, shared->h[step % 2], sums);
    add_parts<Shape>(sums);
    float kept[kGates];
    SIMT_UNROLL
    for (int q = 0; q < kGates; ++q) {
      const float z = made[q] + sums[0][0][q];
      // Of four gates it is known which is which.
      made[q] = one_gate<kDefault>(z, kGates == 4 ? q == 2 : q == 0 && gate == 2, functions);
      kept[q] = kDefault ? made[q] : z;
    }
    const CellState state = cell_of_gates<kDefault>(gather_gates(made), {}, c, functions);
    // And for this while the state waits for its own activation.
    if (step < kept_gates) store_floats(gates_of_lane + std::size_t{at} * 4, kept);
    if (step < state_steps) {
      c = state.c;
      h = state.h;
      shared->h[(step + 1) % 2][own][unit] = h;
    }
    cp_async_wait<kSlots - 2>();
    __syncthreads();

    first_inputs.read(shared->h[(step + 1) % 2]);
    if (step < kept_states) {
      slice.kept.c[at] = c;
      slice.kept.h[at] = h;
    }
    at += static_cast<unsigned>(units);
    if (step < output_steps) {
      outputs.write_until(tokens.place_by_word(row, step + 1, shared->words[next_slot][own]), h);
      ask_for_word(step + kSlots, slot);
    }
    last_slot = slot;
    slot = next_slot;
    next_slot = next_slot + 1 == kSlots ? 0 : next_slot + 1;
  }
  if (owns_state) {
    if (args.last_output) args.last_output.row(row.index)[unit] = h;
    if (args.last_h) args.last_h.row(row.index)[unit] = h;
    if (args.last_c) args.last_c.row(row.index)[unit] = c;
  }
}

template <int kUnits>
void run_persistent(const Stream& stream, const LstmForwardSlice& slice) {
  constexpr int kOtherRows = kUnits > 64 ? 2 : 4;
  with_rows_of_block<kUnits, kOtherRows>(slice.args, [&]<int units, int rows, bool is_default>() {
    using Shape = ForwardShape<units, rows>;
    launch_kernel<lstm_forward_kernel<units, rows, is_default>>(
        {.grid = (slice.args.shape.rows + rows - 1) / rows,
         .block = Shape::kThreads,
         .shared = Shape::kSharedBytes},
        stream, slice);
  });
}

}  // namespace

namespace BRAID_GPU {

bool run_lstm_persistently(const Stream& stream, const LstmForwardSlice& slice) {
  return with_persistent_units(slice.args.shape.units, kForwardSharedBytes,
                               [&]<int units>() { run_persistent<units>(stream, slice); });
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
