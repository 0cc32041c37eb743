// LSTMs of many units, forward, by teams of blocks (lstm_team.hpp). A block makes eight units of a
// tile of rows, a thread one of them for one row; it asks for what it needs of the inputs before it
// waits for what the others have left. Per step and tile:
//   barriers 3, and one by flags;  chain: flags, h of the tile from the level-2 cache, products of
//   all units, sums of eight warps, two activations one after the other, h to the level-2 cache
#include "kernels/lstm_team.hpp"
#include "kernels/lstm_unit_states.hpp"

namespace braid::kernels {
namespace {

constexpr int kUnits = static_cast<int>(kTeamUnitsForward);
constexpr int kColumns = 4 * kUnits;  // a unit's gates side by side
static_assert(kTeamRows * kUnits == kTeamThreads);

// right[line][unit, gate] = the recurrent weights of the block's units.
template <class Operands>
__device__ inline void keep_weights(const LstmForward& args, const Team& team, float* right) {
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
        Operands::word(weight(first), weight(first + 1));
  }
}

template <class Operands>
__global__ void __launch_bounds__(kTeamThreads, kBlocksOfTeams)
    lstm_forward_team_kernel(LstmForwardSlice slice, Team team) {
  SIMT_DYN_SHARED(TeamMemory, memory);
  float* const right = reinterpret_cast<float*>(memory + 1);
  const LstmForward& args = slice.args;
  const LstmTokens& tokens = slice.tokens;
  const auto units = static_cast<int>(args.shape.units);
  const auto own_row = static_cast<int>(threadIdx.x) / kUnits;
  const auto own_unit = static_cast<int>(threadIdx.x) % kUnits;
  const int unit = team.block() * kUnits + own_unit;

  const auto row_of = [&](int place) {
    return place < tokens.rows && unit < units ? tokens.row_at(place) : LstmTokens::Row{};
  };
  // h to where the others find it, with that of the neighbour where a word holds both.
  const auto give = [&](float* lines, float h, bool is_there) {
    float next = 0;
    if constexpr (Operands::kPlaces == 2) next = __shfl_xor_sync(0xFFFFFFFFU, h, 1);
    if (is_there && unit % Operands::kPlaces == 0)
      lines[Operands::left_place(unit / Operands::kPlaces, own_row)] = Operands::word(h, next);
  };
  team.clear<Operands>(kUnits / Operands::kPlaces);
  keep_weights<Operands>(args, team, right);
  __syncthreads();
  for (int tile = team.first_tile(); tile < team.tiles; tile += team.teams) {
    const int place = tile * kTeamRows + own_row;
    const bool is_there = place < tokens.rows && unit < units;
    const float h = is_there ? begin_unit(slice, tokens.row_at(place), place, unit) : 0.0F;
    give(team.lines(0, tile), h, is_there);
  }
  grid_sync();

  bool goes_on = true;
  SIMT_NO_UNROLL
  for (int step = 0; goes_on; ++step) {
    goes_on = false;
    SIMT_NO_UNROLL
    for (int tile = team.first_tile(); tile < team.tiles; tile += team.teams) {
      // The first row of a tile has the most tokens.
      if (step >= tokens.row_at(tile * kTeamRows).count) continue;
      goes_on = true;
      const int place = tile * kTeamRows + own_row;
      const LstmTokens::Row row = row_of(place);
      const bool has_step = step < row.count;
      float4 z{};
      float c = 0;
      if (has_step) {
        const std::int64_t z_row = slice.z_row(row.first + step);
        z = ld_vec<float4>(slice.z + (z_row * units + unit) * 4);
        c = slice.c[std::int64_t{place} * units + unit];
      }
      team.wait(tile, step);
      multiply_tile<Operands, kColumns>(*memory, team.lines(step, tile), right, team.depth);
      SIMT_UNROLL
      for (int warp = 0; warp < kTeamWarps; ++warp) {
        const auto sum = ld_vec<float4>(memory->part(warp) +
                                        TurnedLines<kColumns>::place(own_row, own_unit * 4));
        z = {z.x + sum.x, z.y + sum.y, z.z + sum.z, z.w + sum.w};
      }
      const CellState state =
          cell_forward<true>(z, c, {args.activation, args.recurrent_activation});
      give(team.lines(step + 1, tile), state.h, has_step);
      team.leave(tile, step + 1);
      if (has_step) end_step(slice, row, step, place, unit, state);
    }
  }
}

}  // namespace

namespace BRAID_GPU {

bool run_lstm_by_teams(const Stream& stream, const LstmForwardSlice& slice) {
  if (!can_go_by_teams(slice.args)) return false;
  return with_operands_of_team(slice.args.precision, [&]<class Operands>() {
    const std::int64_t words = (slice.args.shape.units + Operands::kPlaces - 1) / Operands::kPlaces;
    return launch_team<lstm_forward_team_kernel<Operands>>(
        stream, slice, {lstm_team_depth(words), kColumns, kUnits}, slice.h);
  });
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
