// How products of large matrices are cut into blocks.
#include "engine/graph/ops/matrix_cut.hpp"

#include <algorithm>
#include <vector>

#include "tests/support/catch.hpp"
#include "tests/support/guarded_matrix.hpp"

using namespace braid;
using namespace braid::testing;
using ops::MatrixBlock;
using ops::MatrixCut;

TEST_CASE("blocks of a product cover its result once, and none is empty") {
  RandomNumbers random(1);
  for (int round = 0; round < 300; ++round) {
    const std::int64_t rows = 1 + random.below(random.below(2) == 0 ? 40 : 2000);
    const std::int64_t columns = 1 + random.below(random.below(2) == 0 ? 200 : 3000);
    const MatrixCut cut(rows, columns);
    CAPTURE(rows, columns, cut.blocks());
    std::vector<int> times(static_cast<std::size_t>(rows * columns), 0);
    bool sound = cut.blocks() >= 1;
    for (std::int64_t index = 0; index < cut.blocks(); ++index) {
      const MatrixBlock block = cut.block(index);
      sound = sound && block.rows > 0 && block.columns > 0 && block.rows <= 384 &&
              block.first_row + block.rows <= rows && block.first_column + block.columns <= columns;
      if (!sound) break;
      const Matrix<int> there = block.of(Matrix<int>{times.data(), rows, columns, columns});
      for (std::int64_t row = 0; row < there.rows; ++row) {
        for (std::int64_t column = 0; column < there.columns; ++column) ++there.row(row)[column];
      }
    }
    CHECK(sound);
    CHECK(std::ranges::all_of(times, [](int count) { return count == 1; }));
  }
}

TEST_CASE("blocks of a product without rows or columns are empty") {
  for (const auto& [rows, columns] : {std::pair{0, 700}, std::pair{700, 0}, std::pair{0, 0}}) {
    const MatrixCut cut(rows, columns);
    for (std::int64_t index = 0; index < cut.blocks(); ++index) {
      const MatrixBlock block = cut.block(index);
      CHECK(block.rows * block.columns == 0);
      CHECK((block.rows >= 0 && block.columns >= 0));
    }
  }
}

TEST_CASE("a large product is cut by columns first, and for many cores") {
  const auto blocks = [](std::int64_t rows, std::int64_t columns) {
    return MatrixCut(rows, columns).blocks();
  };
  // All rows are with one block of columns, which comes from memory once.
  CHECK(MatrixCut(256, 4096).block(0).rows == 256);
  CHECK(MatrixCut(256, 4096).block(0).columns == 256);
  CHECK(MatrixCut(32, 1024).block(0).rows == 32);
  CHECK(blocks(1, 4096) == 16);
  CHECK(blocks(384, 64) >= 16);
  CHECK(blocks(2000, 1000) >= 16);
}
