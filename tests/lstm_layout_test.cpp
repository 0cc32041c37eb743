// How the LSTM kernels pack the valid steps of a mask.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "kernels/lstm_layout.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/guarded_matrix.hpp"

using namespace braid;
using namespace braid::kernels;
using braid::testing::GuardedMatrix;
using braid::testing::GuardedScratch;
using braid::testing::RandomNumbers;

namespace {

struct Token {
  std::int64_t token;
  std::int64_t place;  // of the row among the sorted ones
  std::int64_t row;
  std::int64_t step;
};

// Packs a mask (empty: all steps are valid) and checks everything that holds for any packing.
void check_packing(std::int64_t rows, std::int64_t steps, const std::vector<double>& mask,
                   bool go_backwards) {
  const LstmShape shape{rows, steps, 1, 1};
  const LstmScratch layout = lstm_scratch_layout(shape, false);
  GuardedScratch scratch(layout.bytes);
  GuardedMatrix<std::uint8_t> bytes(mask, steps, 3);
  const LstmPacking packing =
      pack_lstm(shape, {.mask = mask.empty() ? Matrix<std::uint8_t>{} : bytes.matrix()},
                go_backwards, static_cast<std::byte*>(scratch.data()), layout);
  CHECK(scratch.guards_are_intact());

  const auto is_valid = [&](std::int64_t b, std::int64_t t) {
    return mask.empty() || mask[static_cast<std::size_t>(b * steps + t)] != 0;
  };
  // Valid steps of each row in the order of work.
  std::vector<std::vector<std::int64_t>> valid(static_cast<std::size_t>(rows));
  std::int64_t total = 0;
  for (std::int64_t b = 0; b < rows; ++b) {
    for (std::int64_t k = 0; k < steps; ++k) {
      const std::int64_t t = go_backwards ? steps - 1 - k : k;
      if (is_valid(b, t)) valid[static_cast<std::size_t>(b)].push_back(t);
    }
    total += static_cast<std::int64_t>(valid[static_cast<std::size_t>(b)].size());
  }
  REQUIRE(packing.tokens() == total);

  std::set<std::int64_t> rows_seen;
  for (std::int64_t i = 0; i < rows; ++i) {
    const std::int64_t b = packing.order[i];
    REQUIRE(b >= 0);
    REQUIRE(b < rows);
    rows_seen.insert(b);
    const auto& expected = valid[static_cast<std::size_t>(b)];
    CHECK(packing.counts[i] == static_cast<std::int64_t>(expected.size()));
    const std::int32_t* positions = packing.positions + i * steps;
    CHECK(std::equal(expected.begin(), expected.end(), positions));
    if (i == 0) continue;
    CHECK(packing.counts[i - 1] >= packing.counts[i]);
    if (packing.counts[i - 1] == packing.counts[i]) CHECK(packing.order[i - 1] < packing.order[i]);
  }
  CHECK(static_cast<std::int64_t>(rows_seen.size()) == rows);

  std::vector<Token> tokens;
  for_tokens(shape, packing, 0, packing.steps,
             [&](std::int64_t token, std::int64_t i, std::int64_t b, std::int64_t t) {
               tokens.push_back({token, i, b, t});
             });
  REQUIRE(static_cast<std::int64_t>(tokens.size()) == total);
  std::set<std::pair<std::int64_t, std::int64_t>> seen;
  for (std::size_t n = 0; n < tokens.size(); ++n) {
    CHECK(tokens[n].token == static_cast<std::int64_t>(n));
    CHECK(tokens[n].row == packing.order[tokens[n].place]);
    CHECK(is_valid(tokens[n].row, tokens[n].step));
    seen.insert({tokens[n].row, tokens[n].step});
  }
  CHECK(static_cast<std::int64_t>(seen.size()) == total);
}

}  // namespace

TEST_CASE("lstm layout: every mask of up to four steps is packed, longest rows first") {
  for (std::int64_t steps = 0; steps <= 4; ++steps) {
    const std::int64_t rows = std::int64_t{1} << steps;
    std::vector<double> mask;
    for (std::int64_t b = 0; b < rows; ++b) {
      for (std::int64_t t = 0; t < steps; ++t) mask.push_back(static_cast<double>((b >> t) & 1));
    }
    for (const bool go_backwards : {false, true}) check_packing(rows, steps, mask, go_backwards);
  }
}

TEST_CASE("lstm layout: random masks, no mask, no rows and no steps are packed") {
  RandomNumbers random(41);
  for (const std::int64_t rows : {0, 1, 2, 9, 33}) {
    for (const std::int64_t steps : {0, 1, 7, 40}) {
      std::vector<double> mask;
      for (std::int64_t n = 0; n < rows * steps; ++n) {
        mask.push_back(static_cast<double>(random.below(2)));
      }
      for (const bool go_backwards : {false, true}) {
        check_packing(rows, steps, mask, go_backwards);
        check_packing(rows, steps, {}, go_backwards);
      }
    }
  }
}

TEST_CASE("lstm layout: pieces of the scratch memory are aligned and do not overlap") {
  for (const LstmShape& shape : {LstmShape{0, 0, 1, 1}, LstmShape{1, 1, 1, 1},
                                 LstmShape{8, 200, 128, 64}, LstmShape{5, 3, 130, 17}}) {
    for (const bool backward : {false, true}) {
      const LstmScratch layout = lstm_scratch_layout(shape, backward);
      const std::int64_t tokens = shape.rows * shape.steps;
      const std::int64_t block = kTokenBlock + shape.rows;
      const std::int64_t wide = 4 * shape.units;
      std::vector<std::pair<std::int64_t, std::int64_t>> pieces{
          {layout.order, shape.rows},
          {layout.counts, shape.rows},
          {layout.positions, tokens},
          {layout.starts, shape.steps + 2},
          {layout.block, block * shape.features},
          {layout.kernel, shape.features * wide},
          {layout.recurrent, shape.units * wide},
          {layout.gates, block * wide},
          {layout.h, shape.rows * shape.units},
          {layout.c, shape.rows * shape.units}};
      if (backward) {
        pieces.insert(pieces.end(), {{layout.previous, block * shape.units},
                                     {layout.sequence, tokens * shape.units}});
      }
      std::sort(pieces.begin(), pieces.end());
      pieces.emplace_back(layout.bytes, 0);
      for (std::size_t i = 0; i + 1 < pieces.size(); ++i) {
        CHECK(pieces[i].first % 64 == 0);
        CHECK(pieces[i].first + 4 * pieces[i].second <= pieces[i + 1].first);
      }
      CHECK(layout.bytes <=
            (backward ? lstm_backward_scratch(shape) : lstm_forward_scratch(shape)));
    }
  }
}
