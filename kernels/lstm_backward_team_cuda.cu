// LSTMs of many units, backward, by teams of blocks (lstm_team.hpp), from the last step to the
// first, and one more for the state before them. A block makes the gradients of h of sixteen units
// of a tile of rows, or of 32, from the gates' gradients of the step behind, and with them those of
// its own gates: a thread of two or four units of a row. Per step and tile:
//   barriers 2;  chain: gates' gradients of the tile from the level-2 cache, products of all gates,
//   sums of eight warps, gates' gradients to the level-2 cache
#include "kernels/lstm_team.hpp"
#include "kernels/lstm_transpose.hpp"
#include "kernels/lstm_unit_states.hpp"

namespace braid::kernels {
namespace {

// right[unit, gate][own unit] = the recurrent weights that the block's units go by.
template <class Operands, int kUnits>
__device__ inline void keep_weights(const LstmBackward& args, const Team& team, float* right) {
  const auto units = static_cast<int>(args.shape.units);
  SIMT_NO_UNROLL
  for (int i = static_cast<int>(threadIdx.x); i < team.depth * kUnits; i += kTeamThreads) {
    // Neighbours in memory are gates of neighbouring units.
    const int line = i % team.depth;
    const int column = i / team.depth;
    const int own = team.block() * kUnits + column;
    const auto weight = [&](int place) {
      const bool is_there = own < units && place < 4 * units;
      return is_there ? args.recurrent.row(own)[place % 4 * units + place / 4] : 0.0F;
    };
    const int first = line * Operands::kPlaces;
    right[Operands::template right_place<kUnits>(line, column)] =
        __uint_as_float(Operands::word(weight(first), weight(first + 1)));
  }
}

template <class Operands, int kUnits>
__global__ void __launch_bounds__(kTeamThreads, Operands::kBlocksHeld)
    lstm_backward_team_kernel(LstmBackwardSlice slice, Team team) {
  using Own = OwnUnits<kUnits>;
  constexpr int kOwn = Own::kCount;
  SIMT_DYN_SHARED(TeamMemory<kUnits>, memory);
  float* const right = reinterpret_cast<float*>(memory + 1);
  const LstmBackward& args = slice.args;
  const LstmTokens& tokens = slice.tokens;
  const auto units = static_cast<int>(args.shape.units);
  const auto steps = static_cast<int>(args.shape.steps);
  const int own_row = Own::row();
  const auto unit_at = [&](int i) { return team.block() * kUnits + Own::in_block(i); };

  // f(place, i, gate) for the words that the thread leaves of a step, with the first gate of each.
  const auto for_own_words = [&](const auto& f) {
    SIMT_UNROLL
    for (int i = 0; i < kOwn; ++i) {
      if (unit_at(i) >= units) continue;
      SIMT_UNROLL
      for (int gate = 0; gate < 4; gate += Operands::kPlaces)
        f(Operands::left_place((4 * unit_at(i) + gate) / Operands::kPlaces, own_row), i, gate);
    }
  };

  if (slice.wants_inputs()) {
    transpose_gates(args.kernel, slice.kernel,
                    static_cast<std::int64_t>(blockIdx.x) * kTeamThreads + threadIdx.x,
                    static_cast<std::int64_t>(gridDim.x) * kTeamThreads);
  }
  keep_weights<Operands, kUnits>(args, team, right);
  const int last = args.initial_h_grad || args.initial_c_grad ? -1 : 0;
  SIMT_NO_UNROLL
  for (int round = 0; round < team.rounds(); ++round) {
    if (round > 0) grid_sync();  // the words of the round before have been read
    team.clear<Operands>(kUnits * 4 / Operands::kPlaces);
    memory->read_rows(tokens, team, round);
    grid_sync();
    SIMT_NO_UNROLL
    for (int step = steps - 1; step >= last; --step) {
      const int gone_back = steps - 1 - step;
      SIMT_NO_UNROLL
      for (int turn = 0; turn < team.turns; ++turn) {
        // The first row of a tile has the most tokens.
        const int most = memory->rows[turn][0].count;
        if (step >= most) continue;
        const LstmTokens::Row& row = memory->rows[turn][own_row];
        BackwardUnit<true> states[kOwn];
        SIMT_UNROLL
        for (int i = 0; i < kOwn; ++i) {
          if (unit_at(i) < units)
            states[i] = BackwardUnit<true>(slice, row, step, row.index, unit_at(i));
        }
        float sums[kOwn] = {};
        // Where no row has a step behind this one there is nothing to multiply.
        if (most > step + 1) {
          multiply_tile<Operands>(*memory, team, team.lines(gone_back, turn), right);
          SIMT_UNROLL
          for (int warp = 0; warp < kTeamWarps; ++warp) {
            SIMT_UNROLL
            for (int i = 0; i < kOwn; ++i) {
              sums[i] += memory->part(warp)[TurnedLines<kUnits>::place(own_row, Own::in_block(i))];
            }
          }
        }
        if (step < 0) {
          SIMT_UNROLL
          for (int i = 0; i < kOwn; ++i) {
            if (states[i].has_step()) states[i].write_initial(args, row, unit_at(i), sums[i]);
          }
        } else {
          float4 z_grads[kOwn] = {};
          SIMT_UNROLL
          for (int i = 0; i < kOwn; ++i) {
            if (states[i].has_step()) z_grads[i] = states[i].go_back(sums[i]);
          }
          unsigned* const lines = team.lines(gone_back + 1, turn);
          for_own_words([&](int at, int i, int gate) {
            const float gates[4] = {z_grads[i].x, z_grads[i].y, z_grads[i].z, z_grads[i].w};
            leave(lines + at, Operands::word(gates[gate], gates[gate + Operands::kPlaces - 1]));
          });
          SIMT_UNROLL
          for (int i = 0; i < kOwn; ++i) {
            if (states[i].has_step())
              states[i].write(slice, row, step, row.index, unit_at(i), z_grads[i]);
          }
          team.unset_steps_before(gone_back, turn, for_own_words);
        }
        __syncthreads();  // the sums have been read
      }
    }
  }
}

}  // namespace

namespace BRAID_GPU {

bool run_lstm_by_teams(const Stream& stream, const LstmBackwardSlice& slice) {
  if (!can_go_by_teams(slice.args)) return false;
  const LstmShape& shape = slice.args.shape;
  return with_operands_of_team(precision_of_teams(slice.args), [&]<class Operands>() {
    const auto run = [&]<std::int64_t units_of_block>() {
      constexpr auto kUnits = static_cast<int>(units_of_block);
      return launch_team<lstm_backward_team_kernel<Operands, kUnits>, kUnits, kUnits>(
          stream, slice, 4 * shape.units / Operands::kPlaces, slice.recurrent);
    };
    if constexpr (Operands::kPlaces == 2) {
      if (!small_blocks_fit(shape, kTeamUnitsBackward) &&
          run.template operator()<2 * kTeamUnitsBackward>())
        return true;
    }
    return run.template operator()<kTeamUnitsBackward>();
  });
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
