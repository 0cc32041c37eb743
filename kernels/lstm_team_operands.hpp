#pragma once
#include "kernels/lstm_gpu.hpp"
#include "kernels/matrix_operands.hpp"
#include "kernels/simt/facade.hpp"
#include "kernels/simt/matrix_units.hpp"
#include "kernels/simt/rows.hpp"

// The products of teams of blocks (lstm_team.hpp), of float32 numbers and on matrix units. Operands
// are words of 32 bits, rounded once, by who makes them: a float32, a tf32, or two neighbours of
// the depth in bfloat16. Eight lines along the depth are a stage, whose words lie together as the
// lanes of a warp that multiplies them want them: nothing is turned on the way.
namespace braid::kernels {
namespace {

constexpr int kTeamRows = static_cast<int>(kRowsOfTeamTile);
constexpr int kTeamWarps = 8;
constexpr int kTeamThreads = 32 * kTeamWarps;
constexpr int kTeamDepth = 8;  // lines of a warp's stage
static_assert(kTeamDepth * kTeamWarps == kTeamDepthOfStage);

constexpr int kWordsAtOnce = 4 * 32;                   // that a warp reads
constexpr int kWordsOfStage = kTeamDepth * kTeamRows;  // twice as many
constexpr int kWordsBetweenStages = kTeamWarps * kWordsOfStage;

// A word that nobody has left yet.
constexpr unsigned kUnset = 0xFFFFFFFFU;
// What one that would look like it is instead: another one that is not a number, or two of them.
constexpr unsigned kNotUnset = 0x7FFFFFFFU;
__device__ inline void leave(unsigned* to, unsigned word) {
  store_relaxed(to, word != kUnset ? word : kNotUnset);
}

// What a lane reads of a stage.
struct StageLines {
  static constexpr int kFours = kWordsOfStage / kWordsAtOnce;
  uint4 fours[kFours];

  __device__ void ask(const unsigned* from) {
    SIMT_UNROLL
    for (int i = 0; i < kFours; ++i) fours[i] = load_relaxed<uint4>(from + i * kWordsAtOnce);
  }
  // Whether all lanes have found all words.
  __device__ bool are_there() const {
    unsigned largest = 0;
    SIMT_UNROLL
    for (const uint4& four : fours)
      largest = max(max(max(largest, four.x), max(four.y, four.z)), four.w);
    return __any_sync(0xFFFFFFFFU, largest == kUnset ? 1 : 0) == 0;
  }
};

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

  // Stages that a lane asks for at once, and blocks that a multiprocessor is to hold.
  template <int kColumns>
  static constexpr int kAhead = 2;
  static constexpr int kBlocksHeld = 2;

  static __device__ unsigned word(float first, float) { return __float_as_uint(first); }
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

    // += the product of a stage's lines. They go by way of shared memory, because each is for
    // several lanes: slot is the warp's, and was not that of the stage before.
    __device__ void add(const StageLines& lines, float* slot, const float* right) {
      const int own = static_cast<int>(threadIdx.x) % 32 * 4;
      st_vec(slot + own, lines.fours[0]);
      st_vec(slot + kWordsAtOnce + own, lines.fours[1]);
      __syncwarp();
      SIMT_UNROLL
      for (int k = 0; k < kTeamDepth; ++k) {
        float columns[4];
        load_floats(right + right_place<kColumns>(k, first_column()), columns);
        SIMT_UNROLL
        for (int square = 0; square < kSquares; ++square) {
          float rows[4];
          load_floats(slot + left_place(k, first_row(square)), rows);
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
  template <int kColumns>
  static constexpr int kAhead = kColumns < 64 ? 6 : 4;  // as many as there are registers for
  static constexpr int kBlocksHeld = 1;

  static __device__ unsigned word(float first, float second) {
    return Operands::word(first, second);
  }
  // A lane has four words of 16 rows together, and those of two columns eight apart.
  static __device__ int left_place(int line, int row) {
    return line / kTeamDepth * kTeamDepth * kTeamRows + row / 16 * kWordsAtOnce +
           (row % 8 * 4 + line % 4) * 4 + row % 16 / 8 + line % 8 / 4 * 2;
  }
  template <int kColumns>
  static __device__ int right_place(int line, int column) {
    return line / kTeamDepth * kTeamDepth * kColumns + column / 16 * kWordsAtOnce +
           (column % 8 * 4 + line % 4) * 4 + column % 16 / 8 * 2 + line % 8 / 4;
  }

  template <int kColumns>
  struct Sums {
    using Lines = TurnedLines<kColumns>;
    float at[kTeamRows / 16][kColumns / 8][4] = {};

    static __device__ int group() { return static_cast<int>(threadIdx.x) % 32 / 4; }
    static __device__ int within() { return static_cast<int>(threadIdx.x) % 4; }

    // Lines are as lanes want them, the weights likewise.
    __device__ void add(const StageLines& lines, float*, const float* right) {
      unsigned a[kTeamRows / 16][4];
      SIMT_UNROLL
      for (int i = 0; i < kTeamRows / 16; ++i) {
        a[i][0] = lines.fours[i].x;
        a[i][1] = lines.fours[i].y;
        a[i][2] = lines.fours[i].z;
        a[i][3] = lines.fours[i].w;
      }
      SIMT_UNROLL
      for (int j = 0; j < kColumns / 8; j += 2) {
        const auto both =
            ld_vec<uint4>(right + j / 2 * kWordsAtOnce + static_cast<int>(threadIdx.x) % 32 * 4);
        const unsigned b[2][2] = {{both.x, both.y}, {both.z, both.w}};
        SIMT_UNROLL
        for (int half = 0; half < 2; ++half) {
          SIMT_UNROLL
          for (int i = 0; i < kTeamRows / 16; ++i)
            Operands::multiply(at[i][j + half], a[i], b[half]);
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
