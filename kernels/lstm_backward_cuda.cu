// Up to 128 units a block takes 1, 2 or 4 rows back through all of their tokens. Eight lanes share
// two units (four lanes, where few rows leave their registers to the weights): each keeps these
// units' weights of every eighth (fourth) unit's gates in registers (of half of them beyond 64
// units, the rest in shared memory), multiplies them with the gradients of the rows' gates out of
// shared memory, and exchanges sums until it has that of one unit and row, whose states' gradients
// it owns. Per step:
//   barriers 1;  chain: gates' gradients from shared memory, H / 4 fused multiply-adds (H / 2), 3
//   exchanges (2), 3 multiply-adds, to shared memory;  from global memory: copies to shared memory,
//   asked for three steps before (one beyond 64 units); all factors that the forward pass fixes are
//   ready before the chain comes to them
#include "kernels/lstm_choice.hpp"
#include "kernels/lstm_gates.hpp"
#include "kernels/lstm_gpu.hpp"
#include "kernels/lstm_sequence.hpp"
#include "kernels/lstm_transpose.hpp"
#include "kernels/simt/facade.hpp"

namespace braid::kernels {
namespace {

constexpr unsigned kAll = 0xFFFFFFFFU;
// How the work of a block is shared out. kUnits: H rounded up; what lies beyond H is 0.
template <int units, int rows>
struct BackwardShape {
  static constexpr int kUnits = units;
  static constexpr int kRows = rows;
  // Of two units. Few warps have less to do in all, where their registers hold the weights.
  static constexpr int kLanes = kUnits == 64 && kRows <= 2 ? 4 : 8;
  static constexpr int kLanesOfUnit = kLanes / 2;
  static constexpr int kLanesOfRow = kLanesOfUnit / kRows;
  static constexpr int kThreads = kLanesOfUnit * kUnits;
  // A lane keeps sums of so many parts of the inputs, so that they are the same for any number of
  // lanes.
  static constexpr int kParts = 8 / kLanes;
  static constexpr int kSlots = kUnits > 64 ? 2 : 4;

  static constexpr int kInputs = kUnits / kLanes;  // units whose gates a lane reads
  static constexpr int kHeld = kUnits <= 64 ? kInputs : (kRows == 4 ? 6 : 8);
  static constexpr int kShared = kInputs - kHeld;
  static constexpr std::int64_t kSharedBytes = std::int64_t{32} * kShared * kThreads;

  static __device__ int lane() { return static_cast<int>(threadIdx.x) % kLanes; }
  static __device__ int unit() { return static_cast<int>(threadIdx.x) / kLanesOfUnit; }
  static __device__ int own_row() { return lane() % kLanesOfUnit / kLanesOfRow; }
  // Belongs to part m % kParts.
  static __device__ int input(int m) { return lane() + m * kLanes; }
};

// Unit u here is unit u ^ (lane / kLanesOfUnit) of the two, so that the first one is that which a
// lane owns.
template <class Shape>
struct BackwardWeights {
  float held[Shape::kHeld][4][2];  // [input][gate][unit]
  float* shared;

  __device__ BackwardWeights(const LstmBackward& args, float* memory) : shared(memory) {
    const auto units = static_cast<int>(args.shape.units);
    SIMT_UNROLL
    for (int u = 0; u < 2; ++u) {
      const int unit = Shape::unit() ^ u;
      // Inputs of a lane lie at fixed distances: one address for all of a gate's.
      const int inputs = unit < units ? units - Shape::input(0) : 0;
      const float* from = unit < units ? args.recurrent.row(unit) + Shape::input(0) : nullptr;
      SIMT_UNROLL
      for (int gate = 0; gate < 4; ++gate) {
        SIMT_UNROLL
        for (int m = 0; m < Shape::kHeld; ++m) {
          const int distance = Shape::input(m) - Shape::input(0);
          held[m][gate][u] = distance < inputs ? from[distance] : 0.0F;
        }
        if (unit < units) from += units;
      }
    }
    SIMT_NO_UNROLL
    for (int i = 8 * Shape::kHeld; i < 8 * Shape::kInputs; ++i) {
      at(i / 8, i / 4 % 2)[i % 4] = read(args, i / 8, i / 2 % 4, i % 2);
    }
  }
  __device__ float read(const LstmBackward& args, int m, int gate, int u) const {
    const auto units = static_cast<int>(args.shape.units);
    const int unit = Shape::unit() ^ u;
    const int input = Shape::input(m);
    if (unit >= units || input >= units) return 0;
    return args.recurrent.row(unit)[gate * units + input];
  }
  // Of the first two gates, or the last two.
  __device__ float* at(int m, int half) const {
    return shared +
           4 * (((m - Shape::kHeld) * 2 + half) * Shape::kThreads + static_cast<int>(threadIdx.x));
  }
};

// The gradients of the gates that a lane multiplies first, read as soon as they are there. Row r
// here is row r ^ own of the block.
template <class Shape>
struct FirstGates {
  using Rows = float[Shape::kRows][4 * Shape::kUnits];
  static constexpr int kInputs = 4 / Shape::kRows;
  float4 of[kInputs][Shape::kRows];

  static __device__ float4 gates(const Rows& z_grad, int r, int m) {
    return ld_vec<float4>(&z_grad[r ^ Shape::own_row()][4 * Shape::input(m)]);
  }
  __device__ void read(const Rows& z_grad) {
    SIMT_UNROLL
    for (int m = 0; m < kInputs; ++m) {
      SIMT_UNROLL
      for (int r = 0; r < Shape::kRows; ++r) of[m][r] = gates(z_grad, r, m);
    }
  }
};

template <class Shape>
using UnitSums = float[Shape::kParts][2][Shape::kRows];

// What one input, a unit's four gates, makes of the sums.
template <int kRows>
__device__ inline void add_units(const float4& z_grad, const float (&w)[4][2], int r,
                                 float (&sums)[2][kRows]) {
  SIMT_UNROLL
  for (int u = 0; u < 2; ++u) {
    sums[u][r] += z_grad.x * w[0][u];
    sums[u][r] += z_grad.y * w[1][u];
    sums[u][r] += z_grad.z * w[2][u];
    sums[u][r] += z_grad.w * w[3][u];
  }
}

// The parts of z_grad . recurrent^T that this lane's inputs make.
template <class Shape>
__device__ inline void multiply_units(const BackwardWeights<Shape>& weights,
                                      const FirstGates<Shape>& first,
                                      const typename FirstGates<Shape>::Rows& z_grad,
                                      UnitSums<Shape>& sums) {
  using First = FirstGates<Shape>;
  SIMT_UNROLL
  for (int m = 0; m < Shape::kHeld; ++m) {
    SIMT_UNROLL
    for (int r = 0; r < Shape::kRows; ++r) {
      const float4 gates = m < First::kInputs ? first.of[m][r] : First::gates(z_grad, r, m);
      add_units(gates, weights.held[m], r, sums[m % Shape::kParts]);
    }
  }
  static_assert(Shape::kShared == 0 || Shape::kParts == 1);
  SIMT_NO_UNROLL
  for (int m = Shape::kHeld; m < Shape::kInputs; ++m) {
    float w[4][2];
    SIMT_UNROLL
    for (int half = 0; half < 2; ++half) {
      const auto four = ld_vec<float4>(weights.at(m, half));
      w[2 * half][0] = four.x;
      w[2 * half][1] = four.y;
      w[2 * half + 1][0] = four.z;
      w[2 * half + 1][1] = four.w;
    }
    SIMT_UNROLL
    for (int r = 0; r < Shape::kRows; ++r) add_units(First::gates(z_grad, r, m), w, r, sums[0]);
  }
}

// Adds what other lanes have: lanes halve the rows among them, then all have the one that is left.
template <int kLanes, int kRows, int kAllRows>
__device__ inline void halve_rows(float (&sums)[kAllRows]) {
  if constexpr (kLanes > 1) {
    constexpr int kLeft = kRows > 1 ? kRows / 2 : 1;
    SIMT_UNROLL
    for (int r = 0; r < kLeft; ++r) {
      sums[r] += __shfl_xor_sync(kAll, sums[kRows > 1 ? r + kLeft : r], kLanes / 2);
    }
    halve_rows<kLanes / 2, kLeft>(sums);
  }
}
// All parts in the same pairs, for any number of lanes and rows; each lane gets its own unit and
// row.
template <class Shape>
__device__ inline float own_unit_and_row(UnitSums<Shape>& sums) {
  SIMT_UNROLL
  for (int u = 0; u < 2; ++u) {
    SIMT_UNROLL
    for (int r = 0; r < Shape::kRows; ++r) {
      if constexpr (Shape::kParts == 2) sums[0][u][r] += sums[1][u][r];
    }
  }
  SIMT_UNROLL
  for (int r = 0; r < Shape::kRows; ++r) {
    sums[0][0][r] += __shfl_xor_sync(kAll, sums[0][1][r], Shape::kLanesOfUnit);
  }
  halve_rows<Shape::kLanesOfUnit, Shape::kRows>(sums[0][0]);
  return sums[0][0][0];
}

// In shared memory: gates' gradients of alternate steps, and what has been asked for of the next
// ones, one slot a step.
template <class Shape>
struct BackwardMemory {
  float z_grad[2][Shape::kRows][4 * Shape::kUnits];
  float gates[Shape::kSlots][Shape::kRows][4 * Shape::kUnits];
  float c_before[Shape::kSlots][Shape::kRows][Shape::kUnits];
  float arriving[Shape::kSlots][Shape::kRows][Shape::kUnits];
};

template <int kUnits, int kRows, bool kDefault>
__global__ void __launch_bounds__((BackwardShape<kUnits, kRows>::kThreads), 128 / kUnits)
    lstm_backward_kernel(LstmBackwardSlice slice) {
  using Shape = BackwardShape<kUnits, kRows>;
  constexpr int kSlots = Shape::kSlots;
  SIMT_SHARED(BackwardMemory<Shape>, shared, [1]);
  SIMT_DYN_SHARED(float, weights_memory);
  const LstmBackward& args = slice.args;
  const LstmTokens& tokens = slice.tokens;
  // Blocks behind those of the rows make what the launch after this one reads.
  const int row_blocks = (tokens.rows + kRows - 1) / kRows;
  if (static_cast<int>(blockIdx.x) >= row_blocks) {
    const std::int64_t block = static_cast<int>(blockIdx.x) - row_blocks;
    const std::int64_t blocks = static_cast<int>(gridDim.x) - row_blocks;
    constexpr int kThreads = Shape::kThreads;
    transpose_gates(args.kernel, slice.kernel, block * kThreads + threadIdx.x, blocks * kThreads);
    return;
  }
  const LstmFunctions functions{args.activation, args.recurrent_activation};
  const auto units = static_cast<int>(args.shape.units);
  const int unit = Shape::unit();
  const int own = Shape::own_row();
  const std::int64_t place = static_cast<std::int64_t>(blockIdx.x) * kRows + own;
  const bool is_there = place < tokens.rows && unit < units;
  const bool is_first = Shape::lane() % Shape::kLanesOfRow == 0;  // of those of a unit and row
  const LstmTokens::Row row = is_there ? tokens.row_at(place) : LstmTokens::Row{};
  // The first row of a block has the most tokens.
  const int steps = tokens.row_at(static_cast<std::int64_t>(blockIdx.x) * kRows).count;

  const auto of_state = [&](const Matrix<const float>& states) {
    return is_there && states ? states.row(row.index)[unit] : 0.0F;
  };
  // In how many steps a thread does what not every thread does. The compiler would find these anew
  // in each step; what comes from an exchange of lanes it keeps.
  const auto steps_if = [&](bool does) {
    return __shfl_sync(kAll, does ? row.count : 0, static_cast<int>(threadIdx.x % 32));
  };
  const int token_steps = steps_if(true);
  const int written_steps = steps_if(is_first);
  const bool has_arriving = is_there && static_cast<bool>(args.sequence_grad);
  const int arriving_steps = steps_if(is_first && has_arriving);

  // Of the token at work, and of the one that is asked for next: 32 bits, as a slice is no larger.
  unsigned at = static_cast<unsigned>(row.first + steps - 1) * static_cast<unsigned>(units) +
                static_cast<unsigned>(unit);
  unsigned asked = at;
  ArrivingGradients arriving(args.sequence_grad, tokens, row, unit);
  const auto ask_for = [&](int step, int slot) {
    if (step >= 0 && step < written_steps) {
      cp_async<16>(&shared->gates[slot][own][4 * unit], slice.kept.gates + std::size_t{asked} * 4);
      float* c_before = &shared->c_before[slot][own][unit];
      if (step > 0) {
        cp_async<4>(c_before, slice.kept.c + (asked - static_cast<unsigned>(units)));
      } else {
        *c_before = of_state(args.initial_c);
      }
    }
    if (step >= 0 && step < arriving_steps) arriving.take(step, &shared->arriving[slot][own][unit]);
    asked -= static_cast<unsigned>(units);
    cp_async_commit();
  };
  SIMT_UNROLL
  for (int i = 0; i < kSlots; ++i) ask_for(steps - 1 - i, i);

  const BackwardWeights<Shape> weights(args, weights_memory);
  float h_grad = of_state(args.last_output_grad) + of_state(args.last_h_grad);
  float c_grad = of_state(args.last_c_grad);
  float c = row.count > 0
                ? slice.kept.c[static_cast<std::int64_t>(row.first + row.count - 1) * units + unit]
                : 0.0F;
  // Units beyond the last must not bring NaN into the sums.
  if (is_first && unit >= units) {
    st_vec(&shared->z_grad[0][own][4 * unit], float4{0, 0, 0, 0});
    st_vec(&shared->z_grad[1][own][4 * unit], float4{0, 0, 0, 0});
  }

  cp_async_wait<kSlots - 1>();
  __syncthreads();
  CellSlopes slopes{};
  float c_before = 0;
  float from_output = 0;
  // Of what has come of a step, when c is that after it.
  const auto find_slopes = [&](int slot) {
    const auto gates = ld_vec<float4>(&shared->gates[slot][own][4 * unit]);
    c_before = shared->c_before[slot][own][unit];
    from_output = has_arriving ? shared->arriving[slot][own][unit] : 0.0F;
    slopes = cell_slopes<kDefault>(gates, c, c_before, functions);
  };
  find_slopes(0);
  // To find slopes between the products, and to write behind the barrier.
  constexpr bool kHasRegisters = kUnits <= 64 && kRows < 4;
  int slot = 0;
  for (int step = steps - 1; step >= 0; --step) {
    const int stage = step % 2;
    const bool is_token = step < token_steps;
    float c_grad_before = c_grad;
    const float4 z_grad = cell_backward(slopes, h_grad + from_output, c_grad_before);
    if (is_token) {
      c_grad = c_grad_before;
      c = c_before;
      if (is_first) st_vec(&shared->z_grad[stage][own][4 * unit], z_grad);
    }
    const auto write_z_grad = [&] {
      if (step < written_steps) st_vec(slice.z_grad + std::size_t{at} * 4, z_grad);
    };
    if constexpr (!kHasRegisters) write_z_grad();
    cp_async_wait<kSlots - 2>();
    __syncthreads();

    FirstGates<Shape> first;
    first.read(shared->z_grad[stage]);
    // The threads have time for this while the gates' gradients come.
    ask_for(step - kSlots, slot);
    if constexpr (kHasRegisters) write_z_grad();
    at -= static_cast<unsigned>(units);
    slot = slot + 1 == kSlots ? 0 : slot + 1;
    UnitSums<Shape> sums = {};
    if constexpr (kHasRegisters) find_slopes(slot);
    multiply_units(weights, first, shared->z_grad[stage], sums);
    if constexpr (!kHasRegisters) find_slopes(slot);
    const float sum = own_unit_and_row<Shape>(sums);
    if (is_token) h_grad = sum;
  }
  if (!is_there || !is_first) return;
  if (args.initial_h_grad) {
    const float rest = has_arriving ? arriving.take_rest() : 0.0F;
    args.initial_h_grad.row(row.index)[unit] = rest + h_grad;
  }
  if (args.initial_c_grad) args.initial_c_grad.row(row.index)[unit] = c_grad;
}

template <int kUnits>
void run_persistent(const Stream& stream, const LstmBackwardSlice& slice) {
  const LstmBackward& args = slice.args;
  // More rows of 64 units do not fit into the registers of every GPU.
  constexpr int kOtherRows = kUnits == 64 ? 2 : 4;
  with_rows_of_block<kUnits, kOtherRows>(args, [&]<int units, int rows, bool is_default>() {
    using Shape = BackwardShape<units, rows>;
    const std::int64_t transposing =
        slice.wants_inputs() ? blocks_to_transpose(args.kernel, Shape::kThreads) : std::int64_t{0};
    launch_kernel<lstm_backward_kernel<units, rows, is_default>>(
        {.grid = (args.shape.rows + rows - 1) / rows + transposing,
         .block = Shape::kThreads,
         .shared = Shape::kSharedBytes},
        stream, slice);
  });
}

}  // namespace

namespace BRAID_GPU {

bool run_lstm_persistently(const Stream& stream, const LstmBackwardSlice& slice) {
  return with_persistent_units(slice.args.shape.units, kBackwardSharedBytes,
                               [&]<int units>() { run_persistent<units>(stream, slice); });
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
