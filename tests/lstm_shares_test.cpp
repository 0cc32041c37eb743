// How blocks share out the products of the LSTM's gradients.
#include "kernels/lstm_shares.hpp"

#include <algorithm>

#include "tests/support/catch.hpp"

using braid::kernels::LstmShares;

TEST_CASE("lstm shares: blocks have the same number of stages, and every stage has one block") {
  for (const std::int64_t weight_stages : {0, 1, 7, 100, 9600}) {
    for (const std::int64_t input_tiles : {0, 1, 5, 40, 400}) {
      for (const std::int64_t blocks : {1, 3, 132, 396}) {
        constexpr std::int64_t kStagesOfInput = 16;
        INFO(weight_stages << " stages, " << input_tiles << " tiles, " << blocks << " blocks");
        const LstmShares shares =
            LstmShares::of(weight_stages, input_tiles, kStagesOfInput, blocks);
        std::int64_t most = 0;
        CHECK(shares.begin_of(0) == 0);
        CHECK(shares.begin_of(blocks) == weight_stages);
        for (std::int64_t block = 0; block < blocks; ++block) {
          const std::int64_t begin = shares.begin_of(block);
          const std::int64_t end = shares.begin_of(block + 1);
          REQUIRE(begin <= end);
          for (std::int64_t stage = begin; stage < end; ++stage)
            REQUIRE(shares.block_of(stage) == block);
          const std::int64_t tiles = (input_tiles + blocks - 1 - block) / blocks;
          most = std::max(most, end - begin + tiles * kStagesOfInput);
        }
        const std::int64_t all = weight_stages + input_tiles * kStagesOfInput;
        const std::int64_t fair = (all + blocks - 1) / blocks;
        const std::int64_t most_tiles = (input_tiles + blocks - 1) / blocks * kStagesOfInput;
        CHECK(most <= std::max(fair, most_tiles) + LstmShares::kLeastStages);
      }
    }
  }
}

TEST_CASE("lstm shares: nobody has fewer stages than are worth a partial sum, but for the last") {
  const LstmShares shares = LstmShares::of(10, 0, 16, 8);
  CHECK(shares.begin_of(1) == 4);
  CHECK(shares.begin_of(2) == 8);
  CHECK(shares.begin_of(3) == 10);
  CHECK(shares.begin_of(8) == 10);
}
