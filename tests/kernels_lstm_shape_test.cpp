// How many blocks share the work of the LSTM's launches, and which of its kernels a shape comes to:
// planned alone, so that shapes may be of any size.
#include <algorithm>
#include <string>
#include <vector>

#include "tests/support/catch.hpp"
#include "tests/support/emulated_gpu_scope.hpp"
#include "tests/support/lstm_cut.hpp"
#include "tests/support/planned_lstm.hpp"

using namespace braid;
using namespace braid::kernels;
using namespace braid::testing;

namespace {

// Of all launches of a kernel.
std::vector<std::int64_t> blocks_of(const std::vector<simt::PlannedLaunch>& launches,
                                    const std::string& kernel) {
  std::vector<std::int64_t> blocks;
  for (const simt::PlannedLaunch& launch : launches) {
    if (launch.kernel.find(kernel) != std::string::npos) blocks.push_back(launch.shape.grid.x);
  }
  return blocks;
}

// Which keep steps from teams of blocks.
template <class Arguments>
Arguments with_other_functions(Arguments arguments) {
  arguments.activation = {ActivationKind::relu};
  return arguments;
}

}  // namespace

TEST_CASE("lstm shapes: steps of many units take large tiles where these fill the device") {
  // Tiles of 64 rows and 128 columns, or of 16 and 32; gates are columns of the forward step.
  struct Expected {
    LstmShape shape;
    std::int64_t forward;
    std::int64_t backward;
  };
  const std::vector<Expected> sizes{{{.rows = 512, .steps = 2, .features = 8, .units = 1024},
                                     512 / 64 * (4096 / 128),
                                     512 / 16 * (1024 / 32)},
                                    {{.rows = 2048, .steps = 2, .features = 8, .units = 1024},
                                     2048 / 64 * (4096 / 128),
                                     2048 / 64 * (1024 / 128)},
                                    {{.rows = 64, .steps = 2, .features = 8, .units = 512},
                                     64 / 16 * (2048 / 32),
                                     64 / 16 * (512 / 32)}};
  for (const Expected& expected : sizes) {
    INFO(expected.shape.rows << " rows, " << expected.shape.units << " units");
    CHECK(blocks_of(planned(with_other_functions(planned_forward(expected.shape, false))),
                    "lstm_forward_step_kernel") == std::vector<std::int64_t>(2, expected.forward));
    CHECK(blocks_of(planned(with_other_functions(planned_backward(expected.shape, false))),
                    "lstm_backward_step_kernel") ==
          std::vector<std::int64_t>(2, expected.backward));
  }
}

TEST_CASE("lstm shapes: a device with as many multiprocessors as large tiles takes those") {
  const LstmShape shape{.rows = 128, .steps = 1, .features = 8, .units = 256};
  constexpr std::int64_t kForwardTiles = 128 / 64 * (1024 / 128);
  constexpr std::int64_t kBackwardTiles = 128 / 64 * (256 / 128);
  const auto blocks = [&](std::int64_t multiprocessors, bool forward) {
    const LstmCutScope cut({.multiprocessors = multiprocessors});
    return forward ? blocks_of(planned(with_other_functions(planned_forward(shape, false))),
                               "lstm_forward_step_kernel")
                   : blocks_of(planned(with_other_functions(planned_backward(shape, false))),
                               "lstm_backward_step_kernel");
  };
  using Blocks = std::vector<std::int64_t>;
  CHECK(blocks(kForwardTiles, true) == Blocks{kForwardTiles});
  CHECK(blocks(kForwardTiles + 1, true) == Blocks{128 / 16 * (1024 / 32)});
  CHECK(blocks(kBackwardTiles, false) == Blocks{kBackwardTiles});
  CHECK(blocks(kBackwardTiles + 1, false) == Blocks{128 / 16 * (256 / 32)});
}

TEST_CASE("lstm shapes: as many teams of blocks as the device holds share out tiles of rows") {
  const EmulatedGpuScope gpu(kH100);
  // A block has 8 units forward, 16 back; on matrix units twice as many where not every block would
  // have a multiprocessor, but back only of bfloat16. A tile has 32 rows. Shared memory holds the
  // sums of eight warps, 32 KB forward, 16 KB back, or twice as much, and the weights: two blocks a
  // multiprocessor, or one.
  struct Expected {
    LstmShape shape;
    Precision precision;
    std::int64_t forward;  // 0: not by teams
    std::int64_t backward;
  };
  const auto size = [](std::int64_t rows, std::int64_t units) {
    return LstmShape{.rows = rows, .steps = 2, .features = 8, .units = units};
  };
  const std::vector<Expected> sizes{
      // Two tiles; eight of them, in two turns of four teams.
      {size(33, 512), Precision::float32, 2 * 64, 2 * 32},
      {size(256, 512), Precision::float32, 4 * 64, 4 * 32},
      {size(256, 512), Precision::tf32, 4 * 32, 4 * 32},
      {size(256, 512), Precision::bfloat16, 4 * 32, 8 * 16},
      {size(64, 512), Precision::bfloat16, 2 * 64, 2 * 32},
      // Nine tiles in three turns: three teams do.
      {size(257, 512), Precision::float32, 3 * 64, 3 * 32},
      {size(1, 129), Precision::tf32, 17, 9},
      {size(1000000, 130), Precision::float32, 15 * 17, 29 * 9},
      // One block a multiprocessor; weights of all gates only as bfloat16.
      {size(64, 1024), Precision::float32, 128, 0},
      {size(64, 1024), Precision::tf32, 128, 0},
      {size(64, 1024), Precision::bfloat16, 2 * 64, 2 * 64},
      {size(64, 704), Precision::float32, 88, 2 * 44},
      {size(64, 840), Precision::float32, 105, 0},
      // More blocks than the device holds at once.
      {size(64, 1057), Precision::float32, 0, 0}};
  for (const Expected& expected : sizes) {
    INFO(expected.shape.rows << " rows, " << expected.shape.units << " units");
    auto forward = planned_forward(expected.shape, false);
    auto backward = planned_backward(expected.shape, false);
    forward.precision = backward.precision = expected.precision;
    const auto check = [](const std::vector<std::int64_t>& blocks, std::int64_t each) {
      CHECK(blocks.empty() == (each == 0));
      for (const std::int64_t count : blocks) CHECK(count <= 2 * 132);
      if (!blocks.empty()) CHECK(blocks.front() == each);
    };
    check(blocks_of(planned(forward), "lstm_forward_team_kernel"), expected.forward);
    check(blocks_of(planned(backward), "lstm_backward_team_kernel"), expected.backward);
  }
}

TEST_CASE("lstm shapes: the inputs of an LSTM are projected by a block for each tile") {
  // 64 tokens and 128 columns, those of 32 units.
  const LstmShape shape{.rows = 7, .steps = 30, .features = 8, .units = 90};
  const auto blocks = [&](bool masked) {
    return blocks_of(planned(planned_forward(shape, masked)), "lstm_projection_kernel");
  };
  CHECK(blocks(false) == std::vector<std::int64_t>{4 * 3});
  CHECK(blocks(true) == std::vector<std::int64_t>{4 * 3});
  // Masked rows are ordered by a warp each, of four in a block.
  const LstmShape short_rows{.rows = 50, .steps = 1, .features = 8, .units = 4};
  CHECK(blocks_of(planned(planned_forward(short_rows, true)), "lstm_projection_kernel") ==
        std::vector<std::int64_t>{(50 + 3) / 4});
}

TEST_CASE(
    "lstm shapes: teams share out all tiles, and have no more in hand than there is room for") {
  for (std::int64_t most = 1; most <= 70; ++most) {
    for (std::int64_t tiles = 1; tiles <= 400; ++tiles) {
      const LstmTeams shared_out = lstm_teams(tiles, most);
      const std::int64_t in_hand = shared_out.teams * shared_out.turns;
      const std::int64_t rounds = (tiles + in_hand - 1) / in_hand;
      const bool right = shared_out.teams <= most && shared_out.turns <= kTilesInTurns &&
                         in_hand <= std::min(tiles, most * kTilesInTurns) + kTilesInTurns - 1 &&
                         in_hand <= most * kTilesInTurns && (rounds - 1) * in_hand < tiles;
      if (!right) FAIL_CHECK(tiles << " tiles, " << most << " teams");
    }
  }
}
