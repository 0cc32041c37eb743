#pragma once
#include <cstddef>
#include <vector>

#include "engine/core/random.hpp"

namespace braid {

// Columns of length one at right angles to each other: Q of the QR decomposition of a random normal
// matrix, made unique by a positive diagonal of R.
class OrthonormalColumns {
 public:
  // No more columns than rows.
  OrthonormalColumns(std::size_t rows, std::size_t columns, Random& random);

  double operator()(std::size_t row, std::size_t column) const {
    return panels_[column / ColumnPanel::kWidth].get(row, column % ColumnPanel::kWidth);
  }

 private:
  // Eight columns side by side: what goes down a column takes them all along. They stay in the
  // second-level cache while one reflection after the other is applied to them.
  struct ColumnPanel {
    typedef double Pair __attribute__((vector_size(2 * sizeof(double))));
    static constexpr std::size_t kPairs = 4;
    static constexpr std::size_t kWidth = 2 * kPairs;
    struct Row {
      Pair pairs[kPairs];
    };

    std::vector<Row> rows;

    // Subtracts scale * v (v . column) of the columns from `first` on, in the last rows: as many as
    // v has numbers.
    void reflect(const std::vector<double>& v, double scale, std::size_t first = 0);
    double get(std::size_t row, std::size_t column) const {
      return rows[row].pairs[column / 2][column % 2];
    }
    void set(std::size_t row, std::size_t column, double value) {
      rows[row].pairs[column / 2][column % 2] = value;
    }
  };
  struct Reflection;
  static Reflection reflection_of(const ColumnPanel& panel, std::size_t column, std::size_t top);

  std::vector<ColumnPanel> panels_;
};

}  // namespace braid
