#include "kernels/lstm_gpu.hpp"

#include <algorithm>

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
  tokens.positions = reinterpret_cast<std::uint32_t*>(tokens.order + slice.rows);
  return tokens;
}

LstmForwardPlaces lstm_forward_places(const LstmShape& shape) {
  const LstmShape slice = lstm_slice(shape);
  LstmForwardPlaces places;
  Pieces pieces;
  places.tokens = pieces.take(lstm_token_words(slice));
  places.z = pieces.take(slice.rows * slice.steps * 4 * slice.units);
  if (slice.units > kUnitsInRegisters) {
    places.h = pieces.take(2 * slice.rows * in_whole_fours(slice.units));
    places.c = pieces.take(slice.rows * slice.units);
  }
  places.bytes = pieces.bytes();
  return places;
}

LstmBackwardPlaces lstm_backward_places(const LstmShape& shape) {
  const LstmShape slice = lstm_slice(shape);
  const std::int64_t wide = 4 * slice.units;
  LstmBackwardPlaces places;
  Pieces pieces;
  places.z_grad = pieces.take(slice.rows * slice.steps * wide);
  places.partial =
      pieces.take(lstm_weight_splits(slice) * (slice.features + slice.units + 1) * wide);
  places.kernel = pieces.take(wide * in_whole_fours(slice.features));
  places.taken = pieces.take(1);
  if (slice.units > kUnitsInRegisters) {
    places.recurrent = pieces.take(wide * in_whole_fours(slice.units));
    places.c_grad = pieces.take(slice.rows * slice.units);
  }
  places.bytes = pieces.bytes();
  return places;
}

bool lstm_projects_table(const LstmForward& args) {
  if (!args.ids) return false;
  const LstmShape slice = lstm_slice(args.shape);
  const std::int64_t tokens = slice.rows * slice.steps;
  const std::int64_t wide = 4 * slice.units;
  const std::int64_t rows = args.table.rows + 1;
  return 2 * rows <= args.shape.rows * args.shape.steps && rows * wide + tokens <= tokens * wide;
}

std::int64_t lstm_weight_splits(const LstmShape& slice) {
  // About two blocks for each multiprocessor, and no block with next to nothing to do.
  constexpr std::int64_t kLeastTokens = 64;
  const std::int64_t blocks =
      (tiles(slice.features, 64) + tiles(slice.units, 64)) * tiles(4 * slice.units, 128);
  const std::int64_t most = tiles(slice.rows * slice.steps, kLeastTokens);
  return std::clamp<std::int64_t>(2 * lstm_cut.multiprocessors / blocks, 1,
                                  std::max<std::int64_t>(most, 1));
}

}  // namespace braid::kernels
