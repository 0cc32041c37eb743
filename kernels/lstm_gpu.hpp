#pragma once
#include "kernels/host_device.hpp"
#include "kernels/launch.hpp"
#include "kernels/lstm.hpp"
#include "kernels/lstm_mask.hpp"
#include "kernels/multiprocessors.hpp"

// What the sources of the GPU's LSTM kernels share: tokens, the places of everything that is kept,
// and the launchers of the parts. Gates stand side by side here, [unit][i, f, g, o], so that a
// thread moves those of a unit as one float4.
namespace braid::kernels {

// Tokens, (row, valid step), row by row. Where there is no mask the arrays are absent, and every
// place follows from the shape.
struct LstmTokens {
  std::int32_t* counts = nullptr;  // [B] tokens of each row
  std::int32_t* first = nullptr;   // [B + 1] first token of each row, and the number of all
  std::int32_t* order = nullptr;   // [B] rows by falling number of tokens, in pieces (kSortedRows)
  // [B * T] b * T + t of each token, with kRowStart at the first of a row.
  std::uint32_t* positions = nullptr;
  std::int32_t* at_positions = nullptr;  // [B * T] token of b * T + t, if it is one
  std::int32_t rows = 0;
  std::int32_t steps = 0;
  bool go_backwards = false;

  static constexpr std::uint32_t kRowStart = 0x80000000U;

  BRAID_HOST_DEVICE std::int32_t total() const {
    return positions != nullptr ? first[rows] : rows * steps;
  }
  struct Row {
    std::int32_t index = 0;  // in the batch
    std::int32_t first = 0;  // token
    std::int32_t count = 0;  // of tokens
  };
  BRAID_HOST_DEVICE Row row_at(std::int64_t place) const {
    const auto row = static_cast<std::int32_t>(place);
    if (positions == nullptr) return {row, row * steps, steps};
    return {order[row], first[order[row]], counts[order[row]]};
  }
  // Row of the inputs, and whether it is the first of its row of the batch.
  struct Position {
    std::int32_t input;
    bool starts_row;
  };
  BRAID_HOST_DEVICE Position position_of(std::int32_t token) const {
    if (positions != nullptr) {
      const std::uint32_t word = positions[token];
      return {static_cast<std::int32_t>(word & ~kRowStart), (word & kRowStart) != 0};
    }
    const auto all = static_cast<std::uint32_t>(steps);
    const std::uint32_t step = static_cast<std::uint32_t>(token) % all;
    const auto turned = static_cast<std::int32_t>(all - 1 - 2 * step);
    return {go_backwards ? token + turned : token, step == 0};
  }
  // The token at a position that is one.
  BRAID_HOST_DEVICE std::int32_t token_at(std::int32_t position) const {
    if (positions != nullptr) return at_positions[position];
    return go_backwards ? position + steps - 1 - 2 * (position % steps) : position;
  }
  // The place of a row's token among all steps, in the order of work; that of the one behind the
  // last is T.
  BRAID_HOST_DEVICE std::int32_t place_of(const Row& row, std::int32_t step) const {
    return place_by_word(row, step, word_of(row, step));
  }
  // In two parts: what is read from memory, and what is made of it when it has come.
  BRAID_HOST_DEVICE std::uint32_t word_of(const Row& row, std::int32_t step) const {
    return step < row.count && positions != nullptr ? positions[row.first + step] : 0U;
  }
  BRAID_HOST_DEVICE std::int32_t place_by_word(const Row& row, std::int32_t step,
                                               std::uint32_t word) const {
    if (step >= row.count) return steps;
    if (positions == nullptr) return step;
    const std::int32_t t = static_cast<std::int32_t>(word & ~kRowStart) - row.index * steps;
    return go_backwards ? steps - 1 - t : t;
  }
};

// Rows are sorted within pieces of so many: any two neighbours in the order have tokens in nearly
// equal numbers, and the first of a tile the most.
constexpr std::int64_t kSortedRows = 1024;

// Up to so many units a block of threads keeps the recurrent weights and takes its rows through all
// of time; of more than kUnitsInRegisters where it has the shared memory for the rest, as few GPUs
// have.
constexpr std::int64_t kUnitsInRegisters = 64;
constexpr std::int64_t kPersistentUnits = 128;

// Where no block can, teams of blocks share the units of tiles of rows (lstm_team.hpp), if the
// device holds as many blocks at once as a team has; else every step is a product of its own.
constexpr std::int64_t kRowsOfTeamTile = 32;
constexpr std::int64_t kTeamDepthOfStage = 64;
constexpr std::int64_t kTeamUnitsForward = 8;  // of a block, or twice as many
constexpr std::int64_t kTeamUnitsBackward = 16;
constexpr std::int64_t kTilesInTurns = 4;     // that a team has in hand at once, at the most
constexpr std::int64_t kTeamStepsOfRing = 9;  // of which there is memory for what they leave

// What a block of more than kUnitsInRegisters has in shared memory: weights, what the rows
// exchange, and what is on its way from global memory.
constexpr std::int64_t kForwardSharedBytes = (128 + 4 + 25) * 1024;
constexpr std::int64_t kBackwardSharedBytes = (160 + 16 + 24) * 1024;

// What launches are cut for. Tests make it smaller, so that few rows come to every kernel;
// sizes of saved and scratch memory follow it, too.
struct LstmCut {
  std::int64_t multiprocessors = kMultiprocessors;
  // Large batches are taken in slices of rows, one after another, so that the pre-activations of a
  // slice (or their gradients) take no more than this, unless one row does.
  std::int64_t slice_bytes = std::int64_t{512} << 20U;
  // Rows for each multiprocessor up to which steps are faster without matrix units, where those
  // could make them.
  std::int64_t rows_without_matrix_units = 3;
};
extern LstmCut lstm_cut;

// Rows that a block takes through time at once: few, as long as multiprocessors have no other.
int lstm_rows_of_block(const LstmShape& shape);
std::int64_t lstm_slice_rows(const LstmShape& shape);
// The largest slice.
LstmShape lstm_slice(LstmShape shape);
// As if each row of a table were a row of one step.
inline LstmShape lstm_table_shape(const LstmShape& shape, std::int64_t table_rows) {
  return {.rows = table_rows, .steps = 1, .features = shape.features, .units = shape.units};
}

// Rows of states and of transposed weights start at multiples of four floats.
constexpr std::int64_t in_whole_fours(std::int64_t columns) { return (columns + 3) / 4 * 4; }

// Numbers of a slice that the forward pass keeps, from `saved` on.
struct LstmKept {
  float* gates = nullptr;   // [tokens, H, 4]: i, f, g, o, or pre-activations (lstm_gates.hpp)
  float* c = nullptr;       // [tokens, H]
  float* h = nullptr;       // [tokens, H]
  float* tokens = nullptr;  // memory of LstmTokens
};
inline LstmKept lstm_kept(float* saved, const LstmShape& slice) {
  const std::int64_t block = slice.rows * slice.steps * slice.units;
  return {saved, saved + 4 * block, saved + 5 * block, saved + 6 * block};
}
// Arrays of tokens, in 32-bit words.
inline std::int64_t lstm_token_words(const LstmShape& slice) {
  return slice.rows * (2 * slice.steps + 3) + 1;
}
inline std::int64_t lstm_gpu_saved_floats(const LstmShape& shape) {
  return in_whole_fours(6 * shape.steps * shape.units + 2 * shape.steps + 4);
}
// Absent where there is no mask, or nothing that one could cover.
LstmTokens lstm_tokens(const LstmShape& slice, bool masked, bool go_backwards, float* memory);

// Bytes from the start of the scratch memory, each piece 64-byte aligned.
struct LstmForwardPlaces {
  std::int64_t tokens = 0;  // where nothing is saved
  // [tokens, H, 4] pre-activations, likewise; or those of the rows of the table, and behind them
  // the row of each token (LstmForwardSlice)
  std::int64_t z = 0;
  std::int64_t h = 0;  // [2, B, H] of alternate steps, or what teams exchange (many units)
  std::int64_t c = 0;  // [B, H] (many units)
  std::int64_t bytes = 0;
};
struct LstmBackwardPlaces {
  std::int64_t z_grad = 0;   // [tokens, H, 4]
  std::int64_t partial = 0;  // slots of the weight gradients (LstmSlots)
  std::int64_t kernel = 0;   // [H, 4, E] the kernel transposed
  // [H, 4, H] the recurrent kernel transposed, or what teams exchange (many units)
  std::int64_t recurrent = 0;
  std::int64_t c_grad = 0;  // [B, H] (many units)
  // For the gradient of a table: z_grad summed by ids [V, H, 4], or the gradients of the inputs
  // [B * T, E]; and what the sums of either need (embedding.hpp).
  std::int64_t by_ids = 0;
  std::int64_t shared_sums = 0;
  std::int64_t bytes = 0;
};
LstmForwardPlaces lstm_forward_places(const LstmShape& shape);
LstmBackwardPlaces lstm_backward_places(const LstmShape& shape, std::int64_t table_rows = 0);

// Of rows that teams take through time.
inline std::int64_t lstm_team_tiles(std::int64_t rows) {
  return (rows + kRowsOfTeamTile - 1) / kRowsOfTeamTile;
}
// Lines that a tile leaves of a step: so many numbers of each row, in whole stages.
inline std::int64_t lstm_team_depth(std::int64_t numbers) {
  return (numbers + kTeamDepthOfStage - 1) / kTeamDepthOfStage * kTeamDepthOfStage;
}
inline std::int64_t lstm_team_blocks(std::int64_t units, std::int64_t units_of_block) {
  return (units + units_of_block - 1) / units_of_block;
}
// Teams of so many blocks, of which there are two for each multiprocessor at the most.
std::int64_t lstm_most_teams(std::int64_t blocks);
// How so many teams, or fewer, share out tiles: each takes `turns` of them in turns, and then
// others.
struct LstmTeams {
  std::int64_t teams = 0;
  std::int64_t turns = 0;
};
LstmTeams lstm_teams(std::int64_t tiles, std::int64_t most_teams);
// Words in which teams exchange so many numbers of each row.
std::int64_t lstm_team_words(const LstmShape& slice, std::int64_t numbers,
                             std::int64_t most_units_of_block);

// Whether all rows of the table are multiplied with the kernel, once for all slices, instead of
// each token's input; and going back the gradients of z, summed by ids, instead of each token's:
// there are clearly fewer of them, and they have room where those of a slice would be.
bool lstm_takes_table(const LstmShape& shape, std::int64_t table_rows);
template <class Arguments>
bool lstm_takes_table(const Arguments& args) {
  return lstm_takes_table(args.shape, args.ids ? args.table.rows : 0);
}

// Blocks that a multiprocessor holds of the products of all tokens, at the most.
constexpr int kMostBlocksOfTokens = 4;

// Whether blocks share the sums over tokens that make the weight gradients (lstm_shares.hpp). Then
// each leaves what it has of a tile, and of the bias' gradients below it, in a slot.
bool lstm_shares_weights(const LstmShape& slice);
struct LstmSlots {
  std::int64_t rows = 0;  // the last one of the bias
  std::int64_t columns = 0;
  std::int64_t count = 0;
  BRAID_HOST_DEVICE std::int64_t floats() const { return rows * columns; }
};
LstmSlots lstm_slots(const LstmShape& slice);

// What of all rows is left behind the first ones.
template <class... T>
void skip_rows(std::int64_t rows, Matrix<T>&... matrices) {
  const auto skip = [&](auto& matrix) {
    if (!matrix) return;
    matrix.data = matrix.row(rows);
    matrix.rows -= rows;
  };
  (skip(matrices), ...);
}
inline float* floats_at(void* memory, std::int64_t bytes) {
  return reinterpret_cast<float*>(static_cast<std::byte*>(memory) + bytes);
}

// Parts of one slice. Everything that a part reads has been made by those before it; going back,
// the steps also leave the transposed kernel, where the gradients of inputs or of a table are
// wanted.
struct LstmForwardSlice {
  LstmForward args;
  LstmTokens tokens;
  // [tokens, H, 4] pre-activations of the inputs; kept.gates where kept. With z_rows, those of the
  // table's rows, and behind them NaN.
  float* z = nullptr;
  std::int32_t* z_rows = nullptr;  // [tokens] which row of z a token has; absent: its own
  bool makes_z = true;             // false where a slice before has made it
  LstmKept kept;                   // absent when only predicting
  float* h = nullptr;
  float* c = nullptr;

  BRAID_HOST_DEVICE std::int64_t rows_of_z() const {
    return z_rows != nullptr ? args.table.rows + 1 : tokens.total();
  }
  BRAID_HOST_DEVICE std::int32_t z_row(std::int32_t token) const {
    return z_rows != nullptr ? z_rows[token] : token;
  }
};
struct LstmBackwardSlice {
  LstmBackward args;
  LstmTokens tokens;
  LstmKept kept;
  float* z_grad = nullptr;
  float* partial = nullptr;
  float* kernel = nullptr;
  float* recurrent = nullptr;
  float* c_grad = nullptr;
  float* by_ids = nullptr;  // [V, H, 4] z_grad summed by ids; absent if not wanted
  float* shared_sums = nullptr;
  std::int32_t first_position = 0;  // of the slice, among those of all ids

  BRAID_HOST_DEVICE bool wants_inputs() const { return args.in_grad || by_ids != nullptr; }
};

// Three ways of steps that not every slice can go are asked first: false, and nothing is done. On
// matrix units go few units and many rows, of operands that need not be float32; by teams go many
// units, if the functions are the default ones.
#define BRAID_LSTM_PARTS(backend)                                         \
  namespace backend {                                                     \
  void project_lstm_inputs(const Stream&, const LstmForwardSlice&);       \
  bool run_lstm_on_matrix_units(const Stream&, const LstmForwardSlice&);  \
  bool run_lstm_on_matrix_units(const Stream&, const LstmBackwardSlice&); \
  bool run_lstm_persistently(const Stream&, const LstmForwardSlice&);     \
  bool run_lstm_persistently(const Stream&, const LstmBackwardSlice&);    \
  bool run_lstm_by_teams(const Stream&, const LstmForwardSlice&);         \
  bool run_lstm_by_teams(const Stream&, const LstmBackwardSlice&);        \
  void run_lstm_steps(const Stream&, const LstmForwardSlice&);            \
  void run_lstm_steps(const Stream&, const LstmBackwardSlice&);           \
  void sum_lstm_gradients(const Stream&, const LstmBackwardSlice&,        \
                          const Matrix<const std::int32_t>& all_ids);     \
  void find_lstm_gradients(const Stream&, const LstmBackwardSlice&);      \
  }
BRAID_LSTM_PARTS(emulated)
BRAID_LSTM_PARTS(cuda)
#undef BRAID_LSTM_PARTS

}  // namespace braid::kernels
