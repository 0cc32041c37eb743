// LSTMs of many units, forward, by teams of blocks (lstm_team.hpp). A block makes eight or sixteen
// units of a tile of rows, a thread one or two of them for one row; it asks for what it needs of
// the inputs before it waits for what the others leave. Per step and tile:
//   barriers 2;  chain: h of the tile from the level-2 cache, products of all units, sums of eight
//   warps, two activations one after the other, h to the level-2 cache
#include "kernels/lstm_team.hpp"
#include "kernels/lstm_unit_states.hpp"

namespace braid::kernels {
namespace {

// right[line][unit, gate] = the recurrent weights of the block's units, a unit's gates side by
// side.
template <class Operands, int kUnits>
__device__ inline void keep_weights(const LstmForward& args, const Team& team, float* right) {
  constexpr int kColumns = 4 * kUnits;
  const auto units = static_cast<int>(args.shape.units);
  SIMT_NO_UNROLL
  for (int i = static_cast<int>(threadIdx.x); i < team.depth * kColumns; i += kTeamThreads) {
    const int unit = team.block() * kUnits + i % kColumns / 4;
    const auto weight = [&](int input) {
      const bool is_there = unit < units && input < units;
      return is_there ? args.recurrent.row(input)[i % 4 * units + unit] : 0.0F;
    };
    const int line = i / kColumns;
    const int first = line * Operands::kPlaces;
    right[Operands::template right_place<kColumns>(line, i % kColumns)] =
        __uint_as_float(Operands::word(weight(first), weight(first + 1)));
  }
}

template <class Operands, int kUnits>
__global__ void __launch_bounds__(kTeamThreads, Operands::kBlocksHeld)
    lstm_forward_team_kernel(LstmForwardSlice slice, Team team) {
  constexpr int kColumns = 4 * kUnits;
  using Own = OwnUnits<kUnits>;
  constexpr int kOwn = Own::kCount;
  SIMT_DYN_SHARED(TeamMemory<kColumns>, memory);
  float* const right = reinterpret_cast<float*>(memory + 1);
  const LstmForward& args = slice.args;
  const LstmTokens& tokens = slice.tokens;
  const auto units = static_cast<int>(args.shape.units);
  const int own_row = Own::row();
  const auto unit_at = [&](int i) { return team.block() * kUnits + Own::in_block(i); };

  // f(place, i) for the words that the thread leaves of a step: of pairs, those with an even unit
  // first.
  const auto for_own_words = [&](const auto& f) {
    SIMT_UNROLL
    for (int i = 0; i < kOwn; ++i) {
      if (unit_at(i) < units && unit_at(i) % Operands::kPlaces == 0)
        f(Operands::left_place(unit_at(i) / Operands::kPlaces, own_row), i);
    }
  };
  // h to where the others find it, with that of the neighbour where a word holds both.
  const auto give = [&](unsigned* lines, const float(&h)[kOwn]) {
    float next[kOwn] = {};
    if constexpr (Operands::kPlaces == 2) {
      SIMT_UNROLL
      for (int i = 0; i < kOwn; ++i) next[i] = __shfl_xor_sync(0xFFFFFFFFU, h[i], 1);
    }
    for_own_words([&](int place, int i) { leave(lines + place, Operands::word(h[i], next[i])); });
  };

  keep_weights<Operands, kUnits>(args, team, right);
  SIMT_NO_UNROLL
  for (int round = 0; round < team.rounds(); ++round) {
    if (round > 0) grid_sync();  // the words of the round before have been read
    team.clear<Operands>(kUnits / Operands::kPlaces);
    memory->read_rows(tokens, team, round);
    grid_sync();
    SIMT_NO_UNROLL
    for (int turn = 0; turn < team.turns; ++turn) {
      const LstmTokens::Row& row = memory->rows[turn][own_row];
      float h[kOwn] = {};
      SIMT_UNROLL
      for (int i = 0; i < kOwn; ++i) {
        if (row.count >= 0 && unit_at(i) < units)
          h[i] = begin_unit(slice, row, row.index, unit_at(i));
      }
      give(team.lines(0, turn), h);
    }

    bool goes_on = true;
    SIMT_NO_UNROLL
    for (int step = 0; goes_on; ++step) {
      goes_on = false;
      SIMT_NO_UNROLL
      for (int turn = 0; turn < team.turns; ++turn) {
        // The first row of a tile has the most tokens.
        if (step >= memory->rows[turn][0].count) continue;
        goes_on = true;
        const LstmTokens::Row& row = memory->rows[turn][own_row];
        const auto has_step = [&](int i) { return step < row.count && unit_at(i) < units; };
        float4 z[kOwn] = {};
        float c[kOwn] = {};
        SIMT_UNROLL
        for (int i = 0; i < kOwn; ++i) {
          if (!has_step(i)) continue;
          const std::int64_t z_row = slice.z_row(row.first + step);
          z[i] = ld_vec<float4>(slice.z + (z_row * units + unit_at(i)) * 4);
          c[i] = slice.c[std::int64_t{row.index} * units + unit_at(i)];
        }
        multiply_tile<Operands>(*memory, team, team.lines(step, turn), right);
        float h[kOwn] = {};
        CellState states[kOwn];
        SIMT_UNROLL
        for (int warp = 0; warp < kTeamWarps; ++warp) {
          SIMT_UNROLL
          for (int i = 0; i < kOwn; ++i) {
            const auto sum = ld_vec<float4>(
                memory->part(warp) + TurnedLines<kColumns>::place(own_row, Own::in_block(i) * 4));
            z[i] = {z[i].x + sum.x, z[i].y + sum.y, z[i].z + sum.z, z[i].w + sum.w};
          }
        }
        SIMT_UNROLL
        for (int i = 0; i < kOwn; ++i) {
          states[i] = cell_forward<true>(z[i], c[i], {args.activation, args.recurrent_activation});
          if (has_step(i)) h[i] = states[i].h;
        }
        give(team.lines(step + 1, turn), h);
        SIMT_UNROLL
        for (int i = 0; i < kOwn; ++i) {
          if (has_step(i)) end_step(slice, row, step, row.index, unit_at(i), states[i]);
        }
        team.unset_steps_before(step, turn, for_own_words);
        __syncthreads();  // the sums have been read
      }
    }
  }
}

}  // namespace

namespace BRAID_GPU {

bool run_lstm_by_teams(const Stream& stream, const LstmForwardSlice& slice) {
  if (!can_go_by_teams(slice.args)) return false;
  const LstmShape& shape = slice.args.shape;
  return with_operands_of_team(precision_of_teams(slice.args), [&]<class Operands>() {
    const auto run = [&]<std::int64_t units_of_block>() {
      constexpr auto kUnits = static_cast<int>(units_of_block);
      return launch_team<lstm_forward_team_kernel<Operands, kUnits>, kUnits, 4 * kUnits>(
          stream, slice, (shape.units + Operands::kPlaces - 1) / Operands::kPlaces, slice.h);
    };
    if constexpr (Operands::kPrecision != Precision::float32) {
      if (!small_blocks_fit(shape, kTeamUnitsForward) &&
          run.template operator()<2 * kTeamUnitsForward>())
        return true;
    }
    return run.template operator()<kTeamUnitsForward>();
  });
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
