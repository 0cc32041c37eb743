#include "engine/graph/orthonormal_columns.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace braid {

void OrthonormalColumns::ColumnPanel::reflect(const std::vector<double>& v, double scale,
                                              std::size_t first) {
  Row* const below = rows.data() + (rows.size() - v.size());
  Pair factors[kPairs] = {};
  for (std::size_t r = 0; r < v.size(); ++r) {
    for (std::size_t i = 0; i < kPairs; ++i) factors[i] += v[r] * below[r].pairs[i];
  }
  for (Pair& pair : factors) pair *= scale;
  for (std::size_t c = 0; c < first; ++c) factors[c / 2][c % 2] = 0;
  for (std::size_t r = 0; r < v.size(); ++r) {
    for (std::size_t i = 0; i < kPairs; ++i) below[r].pairs[i] -= factors[i] * v[r];
  }
}

// H = I - scale v v^T, of the last rows of a matrix; v has as many numbers.
struct OrthonormalColumns::Reflection {
  std::vector<double> v;
  double scale = 0;
  double sign = 1;  // of the element that the reflection leaves of its column
};

// Of the column from its `top`-th element on.
OrthonormalColumns::Reflection OrthonormalColumns::reflection_of(const ColumnPanel& panel,
                                                                 std::size_t column,
                                                                 std::size_t top) {
  Reflection made;
  for (std::size_t r = top; r < panel.rows.size(); ++r) made.v.push_back(panel.get(r, column));
  std::vector<double>& v = made.v;
  const auto square = [&v] { return std::inner_product(v.begin(), v.end(), v.begin(), 0.0); };
  const double norm = std::sqrt(square());
  if (v[0] > 0) made.sign = -1;
  v[0] -= made.sign * norm;
  const double of_v = square();
  made.scale = of_v == 0 ? 0 : 2 / of_v;
  return made;
}

// Householder reflections in double; of R nothing is needed but the signs of its diagonal.
OrthonormalColumns::OrthonormalColumns(std::size_t rows, std::size_t columns, Random& random) {
  constexpr std::size_t kWidth = ColumnPanel::kWidth;
  const ColumnPanel empty{std::vector<ColumnPanel::Row>(rows)};
  panels_.assign((columns + kWidth - 1) / kWidth, empty);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < columns; ++c)
      panels_[c / kWidth].set(r, c % kWidth, random.normal());
  }
  std::vector<Reflection> reflections;
  for (ColumnPanel& panel : panels_) {
    for (const Reflection& before : reflections) panel.reflect(before.v, before.scale);
    for (std::size_t c = 0; c < kWidth && reflections.size() < columns; ++c) {
      reflections.push_back(reflection_of(panel, c, reflections.size()));
      panel.reflect(reflections.back().v, reflections.back().scale, c + 1);
    }
  }
  // Q = H_0 H_1 ... H_{columns-1} applied to the first columns of the identity, each of which the
  // reflections behind its own leave alone.
  for (std::size_t p = 0; p < panels_.size(); ++p) {
    const std::size_t first = p * kWidth;
    const std::size_t end = std::min(first + kWidth, columns);
    panels_[p] = empty;
    for (std::size_t k = first; k < end; ++k) panels_[p].set(k, k - first, reflections[k].sign);
    for (std::size_t k = end; k-- > 0;) panels_[p].reflect(reflections[k].v, reflections[k].scale);
  }
}

}  // namespace braid
