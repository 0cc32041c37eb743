#include "kernels/lstm_gpu.hpp"

#include <algorithm>

#include "kernels/lstm_shares.hpp"

namespace braid::kernels {

LstmCut lstm_cut;

namespace {

// Gives out pieces of so many four-byte numbers, one behind the other.
class Pieces {
 public:
  std::int64_t take(std::int64_t count) {
    const std::int64_t place = bytes_;
    bytes_ += (4 * count + 63) / 64 * 64;
    return place;
  }
  std::int64_t bytes() const { return bytes_; }

 private:
  std::int64_t bytes_ = 0;
};

std::int64_t tiles(std::int64_t count, std::int64_t of_tile) {
  return (count + of_tile - 1) / of_tile;
}

// Blocks of twice as many units are of operands that are rounded.
std::int64_t most_units_of_block(const LstmShape& shape, std::int64_t units) {
  return shape.units > kPersistentUnits ? 2 * units : units;
}

}  // namespace

int lstm_rows_of_block(const LstmShape& shape) {
  const std::int64_t blocks = lstm_cut.multiprocessors;
  return shape.rows <= blocks ? 1 : (shape.rows <= 2 * blocks ? 2 : 4);
}

std::int64_t lstm_slice_rows(const LstmShape& shape) {
  const std::int64_t bytes_of_row = 16 * shape.steps * shape.units;
  const std::int64_t fitting = lstm_cut.slice_bytes / std::max<std::int64_t>(bytes_of_row, 1);
  // Two blocks of four rows for each multiprocessor, or several times that.
  const std::int64_t whole = 2 * 4 * lstm_cut.multiprocessors;
  return fitting > whole ? fitting / whole * whole : std::max<std::int64_t>(fitting, 1);
}

LstmShape lstm_slice(LstmShape shape) {
  shape.rows = std::min(shape.rows, lstm_slice_rows(shape));
  return shape;
}

LstmTokens lstm_tokens(const LstmShape& slice, bool masked, bool go_backwards, float* memory) {
  LstmTokens tokens{.rows = static_cast<std::int32_t>(slice.rows),
                    .steps = static_cast<std::int32_t>(slice.steps),
                    .go_backwards = go_backwards};
  if (!masked || slice.rows == 0 || slice.steps == 0) return tokens;
  tokens.counts = reinterpret_cast<std::int32_t*>(memory);
  tokens.first = tokens.counts + slice.rows;
  tokens.order = tokens.first + slice.rows + 1;
  tokens.at_positions = tokens.order + slice.rows;
  tokens.positions =
      reinterpret_cast<std::uint32_t*>(tokens.at_positions + slice.rows * slice.steps);
  return tokens;
}

std::int64_t lstm_most_teams(std::int64_t blocks) { return 2 * lstm_cut.multiprocessors / blocks; }

LstmTeams lstm_teams(std::int64_t tiles_of_rows, std::int64_t most_teams) {
  const std::int64_t of_team = tiles(tiles_of_rows, most_teams);
  const std::int64_t rounds = tiles(of_team, kTilesInTurns);
  return {tiles(tiles_of_rows, of_team), tiles(of_team, rounds)};
}

std::int64_t lstm_team_words(const LstmShape& slice, std::int64_t numbers,
                             std::int64_t most_units_of_block) {
  if (slice.units <= kUnitsInRegisters) return 0;
  const std::int64_t teams = lstm_most_teams(lstm_team_blocks(slice.units, most_units_of_block));
  // Every team has room for as many tiles, and the last one may take fewer. A device that holds
  // fewer teams has no more tiles in hand.
  const std::int64_t in_hand =
      std::min(lstm_team_tiles(slice.rows) + kTilesInTurns - 1, teams * kTilesInTurns);
  return in_hand * kTeamStepsOfRing * kRowsOfTeamTile * lstm_team_depth(numbers);
}

LstmForwardPlaces lstm_forward_places(const LstmShape& shape) {
  const LstmShape slice = lstm_slice(shape);
  LstmForwardPlaces places;
  Pieces pieces;
  places.tokens = pieces.take(lstm_token_words(slice));
  places.z = pieces.take(slice.rows * slice.steps * 4 * slice.units);
  if (slice.units > kUnitsInRegisters) {
    places.h = pieces.take(std::max(
        2 * slice.rows * in_whole_fours(slice.units),
        lstm_team_words(slice, slice.units, most_units_of_block(slice, kTeamUnitsForward))));
    places.c = pieces.take(slice.rows * slice.units);
  }
  places.bytes = pieces.bytes();
  return places;
}

LstmBackwardPlaces lstm_backward_places(const LstmShape& shape, std::int64_t table_rows) {
  const LstmShape slice = lstm_slice(shape);
  const std::int64_t wide = 4 * slice.units;
  LstmBackwardPlaces places;
  Pieces pieces;
  places.z_grad = pieces.take(slice.rows * slice.steps * wide);
  const bool by_ids = lstm_takes_table(shape, table_rows);
  const auto slots_of = [](const LstmShape& tokens) {
    return lstm_slots(tokens).count * lstm_slots(tokens).floats();
  };
  places.partial = pieces.take(
      std::max(slots_of(slice), by_ids ? slots_of(lstm_table_shape(shape, table_rows)) : 0));
  places.kernel = pieces.take(wide * in_whole_fours(slice.features));
  if (slice.units > kUnitsInRegisters) {
    places.recurrent = pieces.take(
        std::max(wide * in_whole_fours(slice.units),
                 lstm_team_words(slice, wide, most_units_of_block(slice, kTeamUnitsBackward))));
    places.c_grad = pieces.take(slice.rows * slice.units);
  }
  if (table_rows > 0) {
    const std::int64_t positions = shape.rows * shape.steps;
    const std::int64_t columns = by_ids ? wide : shape.features;
    places.by_ids = pieces.take((by_ids ? table_rows : positions) * columns);
    places.shared_sums = pieces.take(embedding_sums_scratch(positions, columns));
  }
  places.bytes = pieces.bytes();
  return places;
}

bool lstm_takes_table(const LstmShape& shape, std::int64_t table_rows) {
  if (table_rows == 0) return false;
  const LstmShape slice = lstm_slice(shape);
  const std::int64_t tokens = slice.rows * slice.steps;
  const std::int64_t wide = 4 * slice.units;
  const std::int64_t rows = table_rows + 1;
  return 2 * rows <= shape.rows * shape.steps && rows * wide + tokens <= tokens * wide;
}

namespace {

// Of LargeTile (lstm_products.hpp).
constexpr std::int64_t kTileRows = 64;
constexpr std::int64_t kTileColumns = 128;
constexpr std::int64_t kTokensOfStage = 16;

std::int64_t weight_tiles(const LstmShape& slice) {
  return (tiles(slice.features, kTileRows) + tiles(slice.units, kTileRows)) *
         tiles(4 * slice.units, kTileColumns);
}

}  // namespace

bool lstm_shares_weights(const LstmShape& slice) {
  // Where there is a tile for every multiprocessor, or next to nothing to do, nobody shares.
  return weight_tiles(slice) <= lstm_cut.multiprocessors &&
         slice.rows * slice.steps > LstmShares::kLeastStages * kTokensOfStage;
}

LstmSlots lstm_slots(const LstmShape& slice) {
  if (!lstm_shares_weights(slice)) return {};
  // Ranges of stages are cut at the ends of tiles, too.
  const std::int64_t stages = weight_tiles(slice) * tiles(slice.rows * slice.steps, kTokensOfStage);
  const std::int64_t ranges = std::min(kMostBlocksOfTokens * lstm_cut.multiprocessors,
                                       tiles(stages, LstmShares::kLeastStages));
  return {.rows = std::min(std::max(slice.features, slice.units), kTileRows) + 1,
          .columns = std::min(4 * slice.units, kTileColumns),
          .count = ranges + weight_tiles(slice)};
}

}  // namespace braid::kernels
