#pragma once
#include "kernels/lstm_gates.hpp"
#include "kernels/lstm_team_operands.hpp"

// Steps of an LSTM of many units by teams of blocks that stay for all of time. Each block keeps the
// recurrent weights of some units in shared memory, and makes these units of tiles of 32 rows; what
// a step leaves of a tile goes by way of global memory to the other blocks of the team. A team that
// has several tiles takes them in turns: what it left of one travels while it is at the next.
//
// No flag says what has been left: each word itself does, which is kUnset until it is. So nobody
// waits for a fence behind what it leaves, nor for a flag before it asks for a word. A tile's words
// of different steps lie in a ring, and their owner unsets them long before they are left again:
//   - A block that multiplies the words of a step knows that all blocks have read those of the
//     steps before. Behind every fourth step it unsets these, and then passes a fence.
//   - A block that reads what another has left behind such a fence, and passes one itself, sees
//     what was unset before it. With kStepsOfRing steps both have happened before it asks.
//
// The warps of a block share out the depth; what each has summed up is added in the order of the
// warps.
namespace braid::kernels {
namespace {

constexpr int kStepsToUnset = 4;
constexpr int kStepsOfRing = static_cast<int>(kTeamStepsOfRing);
static_assert(kStepsOfRing > 2 * kStepsToUnset);

// Which blocks work together on what, and where they leave it.
struct Team {
  int blocks = 0;  // of a team
  int teams = 0;
  int tiles = 0;        // of rows
  int turns = 0;        // tiles that a team takes in turns, for as long as any of them has steps
  int lines_there = 0;  // of a tile
  int depth = 0;        // these in whole stages
  unsigned* words = nullptr;  // [teams, turns, kStepsOfRing, depth, kTeamRows] (left_place)

  __device__ int block() const { return static_cast<int>(blockIdx.x) % blocks; }
  __device__ int index() const { return static_cast<int>(blockIdx.x) / blocks; }
  // All tiles are done in so many rounds.
  __device__ int rounds() const { return (tiles + teams * turns - 1) / (teams * turns); }
  // The tile of a turn; there may be none.
  __device__ int tile(int round, int turn) const {
    return (round * turns + turn) * teams + index();
  }
  __device__ unsigned* lines(int step, int turn) const {
    return words + ((std::int64_t{index()} * turns + turn) * kStepsOfRing + step % kStepsOfRing) *
                       depth * kTeamRows;
  }

  // Unsets all words that the block leaves, of so many lines. What fills up the last stage is 0.
  template <class Operands>
  __device__ void clear(int lines_of_block) const {
    const int first = block() * lines_of_block;
    const int end = block() + 1 < blocks ? first + lines_of_block : depth;
    for (int step = 0; step < turns * kStepsOfRing; ++step) {
      unsigned* const to = lines(step, step / kStepsOfRing);
      for (int i = first * kTeamRows + static_cast<int>(threadIdx.x); i < end * kTeamRows;
           i += kTeamThreads) {
        const int line = i / kTeamRows;
        to[Operands::left_place(line, i % kTeamRows)] = line < lines_there ? kUnset : 0;
      }
    }
  }
  // After a step, if it is time; for_own_words(f) calls f(place, ...) for each word that the thread
  // leaves of a step.
  template <class ForOwnWords>
  __device__ void unset_steps_before(int step, int turn, const ForOwnWords& for_own_words) const {
    if (step % kStepsToUnset != kStepsToUnset - 1) return;
    SIMT_NO_UNROLL
    for (int back = 1; back <= kStepsToUnset; ++back) {
      unsigned* const before = lines(step + kStepsOfRing - back, turn);
      for_own_words([&](int place, auto...) { store_relaxed(before + place, kUnset); });
    }
    __threadfence();
  }
};

// In shared memory, the kept weights behind it.
template <int kColumns>
struct TeamMemory {
  float parts[kTeamWarps][kTeamRows * kColumns];
  LstmTokens::Row rows[kTilesInTurns][kTeamRows];

  // The rows of a round's tiles; those that there are not have fewer than no tokens.
  __device__ void read_rows(const LstmTokens& tokens, const Team& team, int round) {
    for (int i = static_cast<int>(threadIdx.x); i < team.turns * kTeamRows; i += kTeamThreads) {
      const int place = team.tile(round, i / kTeamRows) * kTeamRows + i % kTeamRows;
      rows[i / kTeamRows][i % kTeamRows] =
          place < tokens.rows ? tokens.row_at(place) : LstmTokens::Row{.count = -1};
    }
  }
  // Where a warp's sums are; until they are there, its lines of alternate stages (Float32Team).
  __device__ float* part(int warp) { return parts[warp]; }
  __device__ float* slot(int warp, int stage) { return parts[warp] + (stage & 1) * kWordsOfStage; }
  static_assert(kTeamRows * kColumns >= 2 * kWordsOfStage);
};

// Which of a block's units, and of which row of a tile, a thread makes: neighbours at a row have
// neighbouring units.
template <int kUnits>
struct OwnUnits {
  static constexpr int kCount = kUnits * kTeamRows / kTeamThreads;
  static constexpr int kLanesOfRow = kUnits / kCount;

  static __device__ int row() { return static_cast<int>(threadIdx.x) / kLanesOfRow; }
  static __device__ int in_block(int i) {
    return static_cast<int>(threadIdx.x) % kLanesOfRow + i * kLanesOfRow;
  }
};

// Until of each stage that the warp multiplies the last word is there, by which time the others
// mostly are, too.
template <class Operands>
__device__ inline void wait_for_last_words(const Team& team, const unsigned* lines) {
  const int first =
      (static_cast<int>(threadIdx.x) % 32 * kTeamWarps + static_cast<int>(threadIdx.x) / 32) *
      kTeamDepth;  // of the lane's stage
  for (int line = first; line < team.lines_there; line += 32 * kTeamWarps * kTeamDepth) {
    const int last = min(line + kTeamDepth, team.lines_there) - 1;
    const unsigned* const word = lines + Operands::left_place(last, kTeamRows - 1);
    while (load_relaxed<unsigned>(word) == kUnset) spin_pause();
  }
  __syncwarp();
}

// parts = the product of a tile's lines, as soon as they are there, and the kept weights, all of
// the depth; for all threads to read.
template <class Operands, int kColumns>
__device__ inline void multiply_tile(TeamMemory<kColumns>& memory, const Team& team,
                                     const unsigned* lines, const float* right) {
  const auto warp = static_cast<int>(threadIdx.x / 32);
  const auto lane = static_cast<int>(threadIdx.x % 32);
  const int stages = team.depth / static_cast<int>(kTeamDepthOfStage);
  const unsigned* const own = lines + warp * kWordsOfStage + lane * 4;
  right += warp * kTeamDepth * kColumns;
  constexpr int kAhead = Operands::template kAhead<kColumns>;
  StageLines ahead[kAhead];
  const auto ask = [&](StageLines& asked, int stage) {
    if (stage < stages) asked.ask(own + stage * kWordsBetweenStages);
  };
  SIMT_UNROLL
  for (int i = 0; i < kAhead; ++i) ask(ahead[i], i);
  typename Operands::template Sums<kColumns> sums;
  SIMT_NO_UNROLL
  for (int first = 0; first < stages; first += kAhead) {
    SIMT_UNROLL
    for (int i = 0; i < kAhead; ++i) {
      const int stage = first + i;
      if (stage >= stages) continue;
      for (bool again = false; !ahead[i].are_there(); again = true) {
        if (again) spin_pause();
        wait_for_last_words<Operands>(team, lines);
        // What was asked for behind it would not be there either.
        SIMT_UNROLL
        for (int j = 0; j < kAhead; ++j) ask(ahead[j], stage + (j + kAhead - i) % kAhead);
      }
      sums.add(ahead[i], memory.slot(warp, stage), right);
      right += kTeamDepthOfStage * kColumns;
      ask(ahead[i], stage + kAhead);
    }
  }
  __syncwarp();
  sums.store(memory.part(warp));
  __syncthreads();
}

// Shared memory of a block.
template <int kColumns>
std::int64_t team_bytes(std::int64_t depth) {
  return static_cast<std::int64_t>(sizeof(TeamMemory<kColumns>)) + depth * kColumns * 4;
}

template <class Arguments>
bool can_go_by_teams(const Arguments& args) {
  return args.shape.units > kUnitsInRegisters && has_default_functions(args);
}

// What others keep in a block is never rounded, and so it is not here.
template <class Arguments>
Precision precision_of_teams(const Arguments& args) {
  return args.shape.units > kPersistentUnits ? args.precision : Precision::float32;
}

// Makes teams of as many blocks as the device holds at once, as far as there is memory for what
// they exchange; false where it does not hold one team.
template <auto kernel>
bool find_team(LaunchShape& launch, Team& team, std::int64_t rows, std::int64_t blocks) {
  if (launch.shared > shared_bytes_of_block()) return false;
  const std::int64_t held = blocks_at_once<kernel>(launch) / blocks;
  const std::int64_t most = lstm_most_teams(blocks);
  const std::int64_t fitting = held < most ? held : most;
  if (fitting == 0) return false;
  const std::int64_t tiles = lstm_team_tiles(rows);
  const LstmTeams shared_out = lstm_teams(tiles, fitting);
  team.blocks = static_cast<int>(blocks);
  team.tiles = static_cast<int>(tiles);
  team.teams = static_cast<int>(shared_out.teams);
  team.turns = static_cast<int>(shared_out.turns);
  launch.grid = blocks * team.teams;
  return true;
}

// A kernel whose blocks have so many units, of so many columns; what all of them leave of a row in
// a step are so many words. False, and nothing is done, where the device does not hold a team.
template <auto kernel, int kUnits, int kColumns, class Slice>
bool launch_team(const Stream& stream, const Slice& slice, std::int64_t words_of_row,
                 float* memory) {
  const LstmShape& shape = slice.args.shape;
  const std::int64_t depth = lstm_team_depth(words_of_row);
  LaunchShape launch{.block = kTeamThreads, .shared = team_bytes<kColumns>(depth)};
  Team team{.lines_there = static_cast<int>(words_of_row),
            .depth = static_cast<int>(depth),
            .words = reinterpret_cast<unsigned*>(memory)};
  const std::int64_t blocks = lstm_team_blocks(shape.units, kUnits);
  if (!find_team<kernel>(launch, team, shape.rows, blocks)) return false;
  launch_cooperative<kernel>(launch, stream, slice, team);
  return true;
}

// Blocks of twice as many units halve what is read from the level-2 cache. Smaller ones are faster
// where each of them has a multiprocessor of its own.
inline bool small_blocks_fit(const LstmShape& shape, std::int64_t units_of_block) {
  return lstm_team_tiles(shape.rows) * lstm_team_blocks(shape.units, units_of_block) <=
         lstm_cut.multiprocessors;
}

}  // namespace
}  // namespace braid::kernels
