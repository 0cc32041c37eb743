#pragma once
#include "kernels/lstm_gates.hpp"
#include "kernels/lstm_gpu.hpp"
#include "kernels/matrix_operands.hpp"
#include "kernels/simt/facade.hpp"
#include "kernels/simt/matrix_units.hpp"
#include "kernels/simt/rows.hpp"

// Steps of an LSTM of many units by teams of blocks that stay for all of time. Each block keeps the
// recurrent weights of some units in shared memory, and makes these units of tiles of 32 rows; what
// a step leaves of a tile goes by way of global memory to the other blocks of the team, and a flag
// of each block says which step it has left. A team that has several tiles takes them in turns:
// what it left of one travels while it is at the next.
//
// Operands are words of 32 bits, rounded once, by who makes them: a float32, a tf32, or two
// neighbours of the depth in bfloat16. Eight lines along the depth lie together, as the lanes of a
// warp that multiplies them want them: nothing is turned on the way. The warps of a block share out
// the depth; what each has summed up is added in the order of the warps.
namespace braid::kernels {
namespace {

constexpr int kTeamRows = 32;  // of a tile
constexpr int kTeamWarps = 8;
constexpr int kTeamThreads = 32 * kTeamWarps;
constexpr int kBlocksOfTeams = 2;  // that a multiprocessor is to hold

// Words of the depth that a warp multiplies at once, and how many of such stages are there or on
// their way.
constexpr int kTeamDepth = 8;
constexpr int kTeamStages = 6;
static_assert(kTeamDepth * kTeamWarps == kTeamDepthOfStage && kTeamRows == kRowsOfTeamTile);

// Where the sums of a warp lie in shared memory, rows of so many: turned against their neighbours,
// so that lanes that read from several rows at once find them in different banks.
template <int kWidth>
struct TurnedLines {
  static __device__ int place(int line, int across) {
    constexpr int kLines = kWidth < 32 ? 32 / kWidth : 1;
    return line * kWidth + (across ^ (line / kLines * 8 % kWidth));
  }
};

// The sums of a warp, [rows][columns], of float32: each lane has squares of four by four.
struct Float32Team {
  static constexpr Precision kPrecision = Precision::float32;
  static constexpr int kPlaces = 1;  // of the depth in a word

  static __device__ float word(float first, float) { return first; }
  // Where words of a tile lie, and of the weights of so many columns.
  static __device__ int left_place(int line, int row) { return line * kTeamRows + row; }
  template <int kColumns>
  static __device__ int right_place(int line, int column) {
    return line * kColumns + column;
  }

  template <int kColumns>
  struct Sums {
    using Lines = TurnedLines<kColumns>;
    static constexpr int kColumnLanes = kColumns / 4;
    static constexpr int kRowLanes = 32 / kColumnLanes;
    static constexpr int kSquares = kTeamRows / 4 / kRowLanes;
    float at[kSquares][4][4] = {};

    static __device__ int first_row(int square) {
      return 4 * (static_cast<int>(threadIdx.x) % 32 / kColumnLanes + square * kRowLanes);
    }
    static __device__ int first_column() {
      return static_cast<int>(threadIdx.x) % kColumnLanes * 4;
    }

    // += the product of a stage's lines.
    __device__ void add(const float* left, const float* right) {
      SIMT_UNROLL
      for (int k = 0; k < kTeamDepth; ++k) {
        float columns[4];
        load_floats(right + right_place<kColumns>(k, first_column()), columns);
        SIMT_UNROLL
        for (int square = 0; square < kSquares; ++square) {
          float rows[4];
          load_floats(left + left_place(k, first_row(square)), rows);
          SIMT_UNROLL
          for (int i = 0; i < 4; ++i) {
            SIMT_UNROLL
            for (int j = 0; j < 4; ++j)
              at[square][i][j] = fmaf(rows[i], columns[j], at[square][i][j]);
          }
        }
      }
    }
    __device__ void store(float* part) const {
      SIMT_UNROLL
      for (int square = 0; square < kSquares; ++square) {
        SIMT_UNROLL
        for (int i = 0; i < 4; ++i)
          store_floats(part + Lines::place(first_row(square) + i, first_column()), at[square][i]);
      }
    }
  };
};

// The same on a GPU's matrix units, in blocks of 16 x 8.
template <Precision precision>
struct MatrixUnitsTeam {
  using Operands = MatrixOperands<precision>;
  static constexpr Precision kPrecision = precision;
  static constexpr int kPlaces = Operands::kDepth / kTeamDepth;
  static constexpr int kFours = 4 * 32;  // words that a warp reads at once

  static __device__ float word(float first, float second) {
    return __uint_as_float(Operands::word(first, second));
  }
  // A lane has four words of 16 rows together, and those of two columns eight apart.
  static __device__ int left_place(int line, int row) {
    return line / kTeamDepth * kTeamDepth * kTeamRows + row / 16 * kFours +
           (row % 8 * 4 + line % 4) * 4 + row % 16 / 8 + line % 8 / 4 * 2;
  }
  template <int kColumns>
  static __device__ int right_place(int line, int column) {
    return line / kTeamDepth * kTeamDepth * kColumns + column / 16 * kFours +
           (column % 8 * 4 + line % 4) * 4 + column % 16 / 8 * 2 + line % 8 / 4;
  }

  template <int kColumns>
  struct Sums {
    using Lines = TurnedLines<kColumns>;
    float at[kTeamRows / 16][kColumns / 8][4] = {};

    static __device__ int group() { return static_cast<int>(threadIdx.x) % 32 / 4; }
    static __device__ int within() { return static_cast<int>(threadIdx.x) % 4; }

    // The four words of a lane.
    static __device__ void load(const float* from, unsigned (&words)[4]) {
      const auto four = ld_vec<float4>(from + static_cast<int>(threadIdx.x) % 32 * 4);
      words[0] = __float_as_uint(four.x);
      words[1] = __float_as_uint(four.y);
      words[2] = __float_as_uint(four.z);
      words[3] = __float_as_uint(four.w);
    }
    __device__ void add(const float* left, const float* right) {
      unsigned a[kTeamRows / 16][4];
      SIMT_UNROLL
      for (int i = 0; i < kTeamRows / 16; ++i) load(left + i * kFours, a[i]);
      SIMT_UNROLL
      for (int j = 0; j < kColumns / 8; j += 2) {
        unsigned both[4];
        load(right + j / 2 * kFours, both);
        SIMT_UNROLL
        for (int half = 0; half < 2; ++half) {
          const unsigned b[2] = {both[2 * half], both[2 * half + 1]};
          SIMT_UNROLL
          for (int i = 0; i < kTeamRows / 16; ++i) Operands::multiply(at[i][j + half], a[i], b);
        }
      }
    }
    __device__ void store(float* part) const {
      SIMT_UNROLL
      for (int i = 0; i < kTeamRows / 16; ++i) {
        SIMT_UNROLL
        for (int j = 0; j < kColumns / 8; ++j) {
          SIMT_UNROLL
          for (int half = 0; half < 2; ++half) {
            st_vec(part + Lines::place(16 * i + 8 * half + group(), 8 * j + 2 * within()),
                   make_float2(at[i][j][2 * half], at[i][j][2 * half + 1]));
          }
        }
      }
    }
  };
};

// Which blocks work together on what, and where they leave it.
struct Team {
  int blocks = 0;  // of a team
  int teams = 0;
  int tiles = 0;              // of rows
  int depth = 0;              // lines of a tile, in whole stages
  float* words = nullptr;     // [2, tiles, depth, kTeamRows] of alternate steps (left_place)
  unsigned* flags = nullptr;  // [tiles, blocks]

  // Where words and flags lie, once it is known how many there are.
  void take_memory(float* memory) {
    words = memory;
    flags = reinterpret_cast<unsigned*>(memory + 2 * std::int64_t{tiles} * depth * kTeamRows);
  }
  __device__ int block() const { return static_cast<int>(blockIdx.x) % blocks; }
  __device__ int first_tile() const { return static_cast<int>(blockIdx.x) / blocks; }
  __device__ float* lines(int step, int tile) const {
    return words + (std::int64_t{step & 1} * tiles + tile) * depth * kTeamRows;
  }
  __device__ unsigned* flags_of(int tile) const { return flags + std::int64_t{tile} * blocks; }

  // All lines that the block leaves are 0, those of the last one and what fills up the last stage,
  // too; and it has left no step.
  template <class Operands>
  __device__ void clear(int lines_of_block) const {
    const int first = block() * lines_of_block;
    const int end = block() + 1 < blocks ? first + lines_of_block : depth;
    for (int tile = first_tile(); tile < tiles; tile += teams) {
      for (int step = 0; step < 2; ++step) {
        float* const to = lines(step, tile);
        for (int i = first * kTeamRows + static_cast<int>(threadIdx.x); i < end * kTeamRows;
             i += kTeamThreads)
          to[Operands::left_place(i / kTeamRows, i % kTeamRows)] = 0;
      }
      if (threadIdx.x == 0) flags_of(tile)[block()] = 0;
    }
  }
  // All threads of the block have written what they leave of a step.
  __device__ void leave(int tile, int step) const {
    __syncthreads();
    if (threadIdx.x == 0) store_release(flags_of(tile) + block(), static_cast<unsigned>(step));
  }
  // Until all blocks of the team have left so many steps of a tile.
  __device__ void wait(int tile, int step) const {
    const auto least = static_cast<unsigned>(step);
    for (int i = static_cast<int>(threadIdx.x); i < blocks; i += kTeamThreads) {
      while (load_acquire(flags_of(tile) + i) < least) spin_pause();
    }
    __syncthreads();
  }
};

// In shared memory, the kept weights behind it.
struct TeamMemory {
  float stages[kTeamWarps][kTeamStages][kTeamDepth * kTeamRows];

  // The sums of a warp take the place of its stages.
  __device__ float* part(int warp) { return stages[warp][0]; }
};

// parts = the product of a tile's lines and the kept ones, all of the depth; for all threads to
// read.
template <class Operands, int kColumns>
__device__ inline void multiply_tile(TeamMemory& memory, const float* left, const float* right,
                                     int depth) {
  static_assert(kTeamRows * kColumns <= kTeamStages * kTeamDepth * kTeamRows);
  const auto warp = static_cast<int>(threadIdx.x / 32);
  const auto lane = static_cast<int>(threadIdx.x % 32);
  constexpr int kWords = kTeamDepth * kTeamRows;  // of a warp's stage
  constexpr int kWordsAtOnce = 32 * 4;
  const int stages = depth / kTeamDepthOfStage;
  const float* from = left + warp * kWords + lane * 4;
  right += warp * kTeamDepth * kColumns;
  int asked = 0;  // the stage that is asked for next
  int slot = 0;   // and its place
  const auto ask_for_next = [&] {
    if (asked < stages) {
      SIMT_UNROLL
      for (int word = 0; word < kWords; word += kWordsAtOnce)
        cp_async<16>(memory.stages[warp][slot] + word + lane * 4, from + word);
      from += kTeamDepthOfStage * kTeamRows;
    }
    cp_async_commit();
    ++asked;
    slot = slot + 1 < kTeamStages ? slot + 1 : 0;
  };
  SIMT_UNROLL
  for (int ahead = 0; ahead < kTeamStages - 1; ++ahead) ask_for_next();
  typename Operands::template Sums<kColumns> sums;
  SIMT_NO_UNROLL
  for (int stage = 0; stage < stages; ++stage) {
    cp_async_wait<kTeamStages - 2>();
    __syncwarp();  // the stage is there, and the one before it has been read
    ask_for_next();
    // In the ring the stage at work follows the one that was asked for just now.
    sums.add(memory.stages[warp][slot], right);
    right += kTeamDepthOfStage * kColumns;
  }
  __syncwarp();
  sums.store(memory.part(warp));
  __syncthreads();
}

// Shared memory of a block.
inline std::int64_t team_bytes(std::int64_t depth, std::int64_t columns) {
  return static_cast<std::int64_t>(sizeof(TeamMemory)) + depth * columns * 4;
}

template <class Arguments>
bool can_go_by_teams(const Arguments& args) {
  return args.shape.units > kPersistentUnits && has_default_functions(args);
}

// Makes teams of as many blocks as the device holds at once; false where it does not hold one team.
template <auto kernel>
bool find_team(LaunchShape& launch, Team& team, std::int64_t rows, std::int64_t blocks) {
  if (launch.shared > shared_bytes_of_block()) return false;
  const std::int64_t held = blocks_at_once<kernel>(launch);
  const std::int64_t wanted = kBlocksOfTeams * lstm_cut.multiprocessors;
  const std::int64_t fitting = (held < wanted ? held : wanted) / blocks;
  if (fitting == 0) return false;
  const std::int64_t tiles = lstm_team_tiles(rows);
  const std::int64_t turns = (tiles + fitting - 1) / fitting;
  team.blocks = static_cast<int>(blocks);
  team.tiles = static_cast<int>(tiles);
  team.teams = static_cast<int>((tiles + turns - 1) / turns);
  launch.grid = blocks * team.teams;
  return true;
}

// What a kernel's blocks keep and exchange: so many lines, in whole stages, of so many columns.
struct TeamSize {
  std::int64_t depth;
  std::int64_t columns;
  std::int64_t units_of_block;
};
// False, and nothing is done, where the device does not hold a team.
template <auto kernel, class Slice>
bool launch_team(const Stream& stream, const Slice& slice, const TeamSize& size, float* memory) {
  const LstmShape& shape = slice.args.shape;
  LaunchShape launch{.block = kTeamThreads, .shared = team_bytes(size.depth, size.columns)};
  Team team{.depth = static_cast<int>(size.depth)};
  const std::int64_t blocks = (shape.units + size.units_of_block - 1) / size.units_of_block;
  if (!find_team<kernel>(launch, team, shape.rows, blocks)) return false;
  team.take_memory(memory);
  launch_cooperative<kernel>(launch, stream, slice, team);
  return true;
}

// run.operator()<operands>(), and what it returns.
template <class Run>
bool with_operands_of_team(Precision precision, const Run& run) {
  if (!has_matrix_units()) precision = Precision::float32;
  switch (precision) {
    case Precision::float32: break;
    case Precision::tf32: return run.template operator()<MatrixUnitsTeam<Precision::tf32>>();
    case Precision::bfloat16:
      return run.template operator()<MatrixUnitsTeam<Precision::bfloat16>>();
  }
  return run.template operator()<Float32Team>();
}

}  // namespace
}  // namespace braid::kernels
