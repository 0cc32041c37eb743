#pragma once
#include <algorithm>
#include <cstdint>

#include "engine/core/matrix.hpp"

namespace braid::ops {

struct MatrixBlock {
  std::int64_t first_row = 0;
  std::int64_t rows = 0;
  std::int64_t first_column = 0;
  std::int64_t columns = 0;

  template <class T>
  Matrix<T> of(const Matrix<T>& all) const {
    return {all.row(first_row) + first_column, rows, columns, all.stride};
  }
};

// How the result [rows, columns] of a large product is cut into blocks that cores make side by
// side, each over the whole depth. By columns first: what all rows are multiplied with is then read
// once. By rows where that gives too few blocks, and so that the rows of one stay in a core's
// cache.
class MatrixCut {
 public:
  MatrixCut(std::int64_t rows, std::int64_t columns) : rows_(rows), columns_(columns) {
    columns_of_block_ =
        std::max(kFewestColumns, in_whole(kColumnUnit, quotient(columns, kColumnBlocks)));
    column_blocks_ = std::max<std::int64_t>(quotient(columns, columns_of_block_), 1);
    const std::int64_t wanted = rows < kManyRows ? kColumnBlocks / 2 : kColumnBlocks;
    const std::int64_t row_blocks =
        std::max({quotient(rows, kMostRows), wanted / column_blocks_, std::int64_t{1}});
    rows_of_block_ = in_whole(kRowUnit, quotient(std::max<std::int64_t>(rows, 1), row_blocks));
  }

  std::int64_t blocks() const {
    return column_blocks_ * std::max<std::int64_t>(quotient(rows_, rows_of_block_), 1);
  }
  MatrixBlock block(std::int64_t index) const {
    MatrixBlock block{.first_row = index / column_blocks_ * rows_of_block_,
                      .first_column = index % column_blocks_ * columns_of_block_};
    block.rows = std::min(rows_of_block_, rows_ - block.first_row);
    block.columns = std::min(columns_of_block_, columns_ - block.first_column);
    return block;
  }

 private:
  // Whole panels and blocks of registers of every instruction set (kernels/panels.hpp).
  static constexpr std::int64_t kColumnUnit = 64;
  static constexpr std::int64_t kRowUnit = 6;
  static constexpr std::int64_t kFewestColumns = 128;
  static constexpr std::int64_t kColumnBlocks = 16;
  static constexpr std::int64_t kMostRows = 384;
  // Of fewer, each block reads what they are multiplied with nearly as long as it multiplies.
  static constexpr std::int64_t kManyRows = 96;

  static std::int64_t quotient(std::int64_t of, std::int64_t by) { return (of + by - 1) / by; }
  static std::int64_t in_whole(std::int64_t unit, std::int64_t count) {
    return quotient(count, unit) * unit;
  }

  std::int64_t rows_;
  std::int64_t columns_;
  std::int64_t columns_of_block_;
  std::int64_t column_blocks_;
  std::int64_t rows_of_block_;
};

}  // namespace braid::ops
