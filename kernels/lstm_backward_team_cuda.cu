// LSTMs of many units, backward, by teams of blocks (lstm_team.hpp), from the last step to the
// first, and one more for the state before them. A block makes the gradients of h of sixteen units
// of a tile of rows from the gates' gradients of the step behind, and with them those of its own
// gates: a thread of two units of a row. Per step and tile:
//   barriers 3, and one by flags;  chain: flags, gates' gradients of the tile from the level-2
//   cache, products of all gates, sums of eight warps, gates' gradients to the level-2 cache
#include "kernels/lstm_team.hpp"
#include "kernels/lstm_transpose.hpp"
#include "kernels/lstm_unit_states.hpp"

namespace braid::kernels {
namespace {

constexpr int kUnits = static_cast<int>(kTeamUnitsBackward);
constexpr int kUnitsOfThread = 2;
constexpr int kLanesOfRow = kUnits / kUnitsOfThread;
static_assert(kTeamRows * kLanesOfRow == kTeamThreads);

// right[unit, gate][own unit] = the recurrent weights that the block's units go by.
template <class Operands>
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
        Operands::word(weight(first), weight(first + 1));
  }
}

// The gates' gradients of a unit and row, to where the others find them.
template <class Operands>
__device__ inline void give(float* lines, int row, int unit, const float4& z_grad) {
  const float gates[4] = {z_grad.x, z_grad.y, z_grad.z, z_grad.w};
  SIMT_UNROLL
  for (int gate = 0; gate < 4; gate += Operands::kPlaces) {
    const int line = (4 * unit + gate) / Operands::kPlaces;
    lines[Operands::left_place(line, row)] =
        Operands::word(gates[gate], gates[gate + Operands::kPlaces - 1]);
  }
}

template <class Operands>
__global__ void __launch_bounds__(kTeamThreads, kBlocksOfTeams)
    lstm_backward_team_kernel(LstmBackwardSlice slice, Team team) {
  SIMT_DYN_SHARED(TeamMemory, memory);
  float* const right = reinterpret_cast<float*>(memory + 1);
  const LstmBackward& args = slice.args;
  const LstmTokens& tokens = slice.tokens;
  const auto units = static_cast<int>(args.shape.units);
  const auto steps = static_cast<int>(args.shape.steps);
  const auto own_row = static_cast<int>(threadIdx.x) / kLanesOfRow;
  const auto lane = static_cast<int>(threadIdx.x) % kLanesOfRow;
  const auto own_unit = [&](int i) { return lane + i * kLanesOfRow; };
  const auto unit_at = [&](int i) { return team.block() * kUnits + own_unit(i); };

  if (slice.wants_inputs()) {
    transpose_gates(args.kernel, slice.kernel,
                    static_cast<std::int64_t>(blockIdx.x) * kTeamThreads + threadIdx.x,
                    static_cast<std::int64_t>(gridDim.x) * kTeamThreads);
  }
  team.clear<Operands>(kUnits * 4 / Operands::kPlaces);
  keep_weights<Operands>(args, team, right);
  grid_sync();

  const int last = args.initial_h_grad || args.initial_c_grad ? -1 : 0;
  SIMT_NO_UNROLL
  for (int step = steps - 1; step >= last; --step) {
    SIMT_NO_UNROLL
    for (int tile = team.first_tile(); tile < team.tiles; tile += team.teams) {
      // The first row of a tile has the most tokens.
      const int most = tokens.row_at(tile * kTeamRows).count;
      if (step >= most) continue;
      const int place = tile * kTeamRows + own_row;
      const LstmTokens::Row none{.index = 0, .first = 0, .count = -1};
      LstmTokens::Row rows[kUnitsOfThread];
      SIMT_UNROLL
      for (int i = 0; i < kUnitsOfThread; ++i)
        rows[i] = place < tokens.rows && unit_at(i) < units ? tokens.row_at(place) : none;
      BackwardUnit<true> states[kUnitsOfThread] = {{slice, rows[0], step, place, unit_at(0)},
                                                   {slice, rows[1], step, place, unit_at(1)}};
      float sums[kUnitsOfThread] = {};
      // Where no row has a step behind this one there is nothing to multiply.
      if (most > step + 1) {
        team.wait(tile, steps - step - 1);
        multiply_tile<Operands, kUnits>(*memory, team.lines(step + 1, tile), right, team.depth);
        SIMT_UNROLL
        for (int warp = 0; warp < kTeamWarps; ++warp) {
          SIMT_UNROLL
          for (int i = 0; i < kUnitsOfThread; ++i) {
            sums[i] += memory->part(warp)[TurnedLines<kUnits>::place(own_row, own_unit(i))];
          }
        }
      }
      if (step < 0) {
        SIMT_UNROLL
        for (int i = 0; i < kUnitsOfThread; ++i) {
          if (states[i].has_step()) states[i].write_initial(args, rows[i], unit_at(i), sums[i]);
        }
        continue;
      }
      float4 z_grads[kUnitsOfThread];
      SIMT_UNROLL
      for (int i = 0; i < kUnitsOfThread; ++i) {
        if (!states[i].has_step()) continue;
        z_grads[i] = states[i].go_back(sums[i]);
        give<Operands>(team.lines(step, tile), own_row, unit_at(i), z_grads[i]);
      }
      team.leave(tile, steps - step);
      SIMT_UNROLL
      for (int i = 0; i < kUnitsOfThread; ++i) {
        if (states[i].has_step())
          states[i].write(slice, rows[i], step, place, unit_at(i), z_grads[i]);
      }
    }
  }
}

}  // namespace

namespace BRAID_GPU {

bool run_lstm_by_teams(const Stream& stream, const LstmBackwardSlice& slice) {
  if (!can_go_by_teams(slice.args)) return false;
  return with_operands_of_team(slice.args.precision, [&]<class Operands>() {
    const std::int64_t words = 4 * slice.args.shape.units / Operands::kPlaces;
    return launch_team<lstm_backward_team_kernel<Operands>>(
        stream, slice, {lstm_team_depth(words), kUnits, kUnits}, slice.recurrent);
  });
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
