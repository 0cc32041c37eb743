// Steps of up to 64 units on matrix units (lstm_matrix_steps.hpp). A warp makes the gates of eight
// units: i and f of a unit lie eight rows apart in one product, g and o in another one, so that a
// lane has all four of a unit, for two rows. Per step:
//   barriers 1;  chain: h from shared memory, H / 16 products of 16 x 8 x 8, two activations one
//   after the other, h to shared memory;  from global memory: copies to shared memory, asked for
//   two steps before
#include "kernels/lstm_matrix_steps.hpp"
#include "kernels/lstm_sequence.hpp"
#include "kernels/simt/rows.hpp"

namespace braid::kernels {
namespace {

template <int units>
struct ForwardOnMatrixUnits {
  static constexpr int kUnits = units;
  static constexpr int kThreads = 4 * kUnits;
  static constexpr int kSlots = 3;
  static constexpr int kQuads = kUnits / 16;  // of h that a lane reads
};

template <class Shape>
struct RecurrentGates {
  // [i and f, g and o][two inputs each]: the first input's two gates, the second one's.
  unsigned held[2][2 * Shape::kQuads][4];

  __device__ RecurrentGates(const LstmForward& args, int unit) {
    const auto units = static_cast<int>(args.shape.units);
    SIMT_UNROLL
    for (int pair = 0; pair < 2; ++pair) {
      SIMT_UNROLL
      for (int part = 0; part < 2 * Shape::kQuads; ++part) {
        SIMT_UNROLL
        for (int i = 0; i < 4; ++i) {
          const int input = part / 2 * 16 + place_in_group() * 4 + part % 2 * 2 + i / 2;
          const int gate = 2 * pair + i % 2;
          const bool is_there = unit < units && input < units;
          held[pair][part][i] =
              is_there ? to_tf32(args.recurrent.row(input)[gate * units + unit]) : 0U;
        }
      }
    }
  }
};

template <class Shape>
struct ForwardOnMatrixMemory {
  SwizzledRows<Shape::kUnits> h[2];  // of alternate steps
  // What the inputs make of a thread's gates, and the word of the place of the token behind, asked
  // for by itself: one slot a step.
  float inputs[Shape::kSlots][2][Shape::kThreads][4];
  std::uint32_t words[Shape::kSlots][2][Shape::kThreads];
};

template <int kUnits>
__global__ void __launch_bounds__(4 * kUnits, 128 / kUnits)
    lstm_forward_matrix_kernel(LstmForwardSlice slice) {
  using Shape = ForwardOnMatrixUnits<kUnits>;
  constexpr int kSlots = Shape::kSlots;
  SIMT_SHARED(ForwardOnMatrixMemory<Shape>, shared, [1]);
  const LstmForward& args = slice.args;
  const LstmTokens& tokens = slice.tokens;
  const auto units = static_cast<int>(args.shape.units);
  const auto thread = static_cast<int>(threadIdx.x);
  const int unit = thread / 32 * 8 + group_of_lane();
  const int own_row = 2 * place_in_group();  // and the next one
  const int first_place = static_cast<int>(blockIdx.x) * kRowsOnMatrixUnits;
  // The first row of a block has the most tokens.
  const int steps = tokens.row_at(first_place).count;

  LstmTokens::Row rows[2];
  bool is_there[2];
  float h[2];
  float c[2];
  SIMT_UNROLL
  for (int r = 0; r < 2; ++r) {
    const int place = first_place + own_row + r;
    is_there[r] = place < tokens.rows && unit < units;
    rows[r] = is_there[r] ? tokens.row_at(place) : LstmTokens::Row{};
    h[r] = is_there[r] && args.initial_h ? args.initial_h.row(rows[r].index)[unit] : 0.0F;
    c[r] = is_there[r] && args.initial_c ? args.initial_c.row(rows[r].index)[unit] : 0.0F;
  }
  // In how many steps a thread does what not every thread does. The compiler would find these anew
  // in each step; what comes from an exchange of lanes it keeps.
  const auto steps_if = [&](int r, bool does) {
    return __shfl_sync(0xFFFFFFFFU, does ? rows[r].count : 0, static_cast<int>(threadIdx.x % 32));
  };
  const bool keeps = slice.kept.gates != nullptr;
  const int kept_steps[2] = {steps_if(0, keeps), steps_if(1, keeps)};
  const bool gives_outputs = static_cast<bool>(args.sequence);

  // Places of the token at work and of what is asked for: 32 bits, as a slice is no larger.
  const auto place_in = [&](unsigned row_of_units) {
    return row_of_units * static_cast<unsigned>(units) + static_cast<unsigned>(unit);
  };
  unsigned at[2];
  SIMT_UNROLL
  for (int r = 0; r < 2; ++r) at[r] = place_in(static_cast<unsigned>(rows[r].first));
  unsigned z_rows[2] = {};  // of the step that is asked for next
  const auto find_z_rows = [&](int step) {
    SIMT_UNROLL
    for (int r = 0; r < 2; ++r) {
      if (step < rows[r].count)
        z_rows[r] = static_cast<unsigned>(slice.z_row(rows[r].first + step));
    }
  };
  const auto ask_for = [&](int step, int slot) {
    SIMT_UNROLL
    for (int r = 0; r < 2; ++r) {
      if (step < rows[r].count) {
        cp_async<16>(shared->inputs[slot][r][thread],
                     slice.z + std::size_t{place_in(z_rows[r])} * 4);
      }
      if (gives_outputs && tokens.positions != nullptr && step + 1 < rows[r].count)
        cp_async<4>(&shared->words[slot][r][thread], tokens.positions + rows[r].first + step + 1);
    }
    cp_async_commit();
  };
  SIMT_UNROLL
  for (int step = 0; step < kSlots - 1; ++step) {
    find_z_rows(step);
    ask_for(step, step);
  }
  find_z_rows(kSlots - 1);

  const RecurrentGates<Shape> weights(args, unit);
  const auto give_h = [&](int stage, int r) {
    shared->h[stage].quad(own_row + r, unit / 4)[unit % 4] = rounded_to_tf32(h[r]);
  };
  int written[2] = {};  // outputs of each row; each stays until the next token's
  const auto write_until = [&](int place, int r) {
    SequenceColumn<float>(args.sequence, tokens, rows[r], unit).write(written[r], place, h[r]);
    written[r] = place;
  };
  SIMT_UNROLL
  for (int r = 0; r < 2; ++r) {
    give_h(0, r);
    give_h(1, r);
    if (!is_there[r] || !args.sequence) continue;
    write_until(tokens.place_of(rows[r], 0), r);
  }
  __syncthreads();
  int slot = 0;
  int last_slot = kSlots - 1;  // of the last step that is asked for
  for (int step = 0; step < steps; ++step) {
    ask_for(step + kSlots - 1, last_slot);
    find_z_rows(step + kSlots);  // a whole step before they are needed
    cp_async_wait<kSlots - 1>();
    // Half of the inputs' parts each; the first half begins with what the inputs of the step make.
    float sums[2][2][4] = {};
    SIMT_UNROLL
    for (int r = 0; r < 2; ++r) {
      const auto z = ld_vec<float4>(shared->inputs[slot][r][thread]);
      sums[0][0][r] = z.x;
      sums[0][0][2 + r] = z.y;
      sums[0][1][r] = z.z;
      sums[0][1][2 + r] = z.w;
    }
    SIMT_UNROLL
    for (int quad = 0; quad < Shape::kQuads; ++quad) {
      const OperandPairs of_h(
          shared->h[step % 2].quad(group_of_lane(), 4 * quad + place_in_group()));
      SIMT_UNROLL
      for (int pair = 0; pair < 2; ++pair) {
        mma_m16n8k8_tf32(sums[quad % 2][pair], weights.held[pair][2 * quad], of_h.first);
        mma_m16n8k8_tf32(sums[quad % 2][pair], weights.held[pair][2 * quad + 1], of_h.second);
      }
    }
    SIMT_UNROLL
    for (int r = 0; r < 2; ++r) {
      const float4 gates = {quick_sigmoid(sums[0][0][r] + sums[1][0][r]),
                            quick_sigmoid(sums[0][0][2 + r] + sums[1][0][2 + r]),
                            quick_tanh(sums[0][1][r] + sums[1][1][r]),
                            quick_sigmoid(sums[0][1][2 + r] + sums[1][1][2 + r])};
      const float c_after = fmaf(gates.y, c[r], gates.x * gates.z);
      const float h_after = gates.w * quick_tanh(c_after);
      if (step < rows[r].count) {
        c[r] = c_after;
        h[r] = h_after;
        give_h((step + 1) % 2, r);
      }
      if (step < kept_steps[r]) st_vec(slice.kept.gates + std::size_t{at[r]} * 4, gates);
    }
    __syncthreads();

    SIMT_UNROLL
    for (int r = 0; r < 2; ++r) {
      if (step < kept_steps[r]) {
        slice.kept.c[at[r]] = c[r];
        slice.kept.h[at[r]] = h[r];
      }
      at[r] += static_cast<unsigned>(units);
      if (gives_outputs && step < rows[r].count) {
        const std::uint32_t word = shared->words[slot][r][thread];
        write_until(tokens.place_by_word(rows[r], step + 1, word), r);
      }
    }
    last_slot = slot;
    slot = slot + 1 == kSlots ? 0 : slot + 1;
  }
  SIMT_UNROLL
  for (int r = 0; r < 2; ++r) {
    if (!is_there[r]) continue;
    if (args.last_output) args.last_output.row(rows[r].index)[unit] = h[r];
    if (args.last_h) args.last_h.row(rows[r].index)[unit] = h[r];
    if (args.last_c) args.last_c.row(rows[r].index)[unit] = c[r];
  }
}

template <int kUnits>
void run_on_matrix_units(const Stream& stream, const LstmForwardSlice& slice) {
  launch_kernel<lstm_forward_matrix_kernel<kUnits>>(
      {.grid = (slice.args.shape.rows + kRowsOnMatrixUnits - 1) / kRowsOnMatrixUnits,
       .block = ForwardOnMatrixUnits<kUnits>::kThreads},
      stream, slice);
}

}  // namespace

namespace BRAID_GPU {

bool run_lstm_on_matrix_units(const Stream& stream, const LstmForwardSlice& slice) {
  return with_units_on_matrix_units(
      slice.args, [&]<int units>() { run_on_matrix_units<units>(stream, slice); });
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
