// The shuffle kernel against its rounds written down once more, and its orders as such: that they
// are permutations, and good ones.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <iterator>
#include <numeric>
#include <set>
#include <vector>

#include "kernels/shuffle.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/guarded_matrix.hpp"

using namespace braid;
using namespace braid::testing;
using kernels::shuffle_of;
using kernels::ShuffleRound;
using kernels::ShuffleRows;

namespace {

using Order = std::vector<std::int64_t>;

constexpr std::int64_t kBeyond32Bits = std::int64_t{1} << 32U;

bool reference_bit(bool wide, std::uint64_t number, std::uint64_t key) {
  if (wide) {
    std::uint64_t bits = (number ^ key) * 0xff51afd7ed558ccdU;
    bits = (bits ^ (bits >> 33U)) * 0xc4ceb9fe1a85ec53U;
    return bits >= std::uint64_t{1} << 63U;
  }
  constexpr std::uint64_t kLow = 0xffffffffU;
  std::uint64_t bits = (((number ^ key) & kLow) * 0x85ebca6bU) & kLow;
  bits = ((bits ^ (bits >> 15U)) * 0xc2b2ae35U) & kLow;
  return bits >= std::uint64_t{1} << 31U;
}

std::int64_t reference_round(const ShuffleRows& shuffle, const ShuffleRound& round,
                             std::int64_t row) {
  const std::int64_t partner = (round.sum - row + shuffle.rows) % shuffle.rows;
  const auto larger = static_cast<std::uint64_t>(std::max(row, partner));
  return reference_bit(shuffle.rows >= kBeyond32Bits, larger, round.key) ? partner : row;
}

std::int64_t reference_row(const ShuffleRows& shuffle, std::int64_t row) {
  for (const ShuffleRound& round : shuffle.rounds) row = reference_round(shuffle, round, row);
  return row;
}
// A round undoes itself.
std::int64_t reference_place(const ShuffleRows& shuffle, std::int64_t row) {
  for (int i = kernels::kShuffleRounds - 1; i >= 0; --i)
    row = reference_round(shuffle, shuffle.rounds[i], row);
  return row;
}

// `count` places of a shuffle from `first` on.
Order places(Backend backend, ShuffleRows shuffle, std::int64_t first, std::int64_t count) {
  GuardedMatrix<std::int64_t> order(1, count);
  shuffle.order = order.data();
  shuffle.first = first;
  shuffle.count = count;
  launch_on(backend, shuffle);
  CHECK(order.guards_are_intact());
  return {order.data(), order.data() + count};
}

// Of the CPU: the backends give the same, as other cases show.
Order order_of(std::int64_t rows, std::uint64_t seed, std::uint64_t stream) {
  Order order(static_cast<std::size_t>(rows), -1);
  ShuffleRows shuffle = shuffle_of(rows, seed, stream);
  shuffle.order = order.data();
  kernels::launch(kernels::Stream{}, shuffle);
  return order;
}

bool is_permutation(const Order& order) {
  std::vector<bool> seen(order.size());
  for (const std::int64_t row : order) {
    if (row < 0 || row >= static_cast<std::int64_t>(order.size())) return false;
    if (seen[static_cast<std::size_t>(row)]) return false;
    seen[static_cast<std::size_t>(row)] = true;
  }
  return true;
}

bool is_odd(const Order& order) {
  std::vector<bool> seen(order.size());
  bool odd = order.size() % 2 == 1;
  for (std::size_t start = 0; start < order.size(); ++start) {
    if (seen[start]) continue;
    odd = !odd;
    for (std::size_t at = start; !seen[at]; at = static_cast<std::size_t>(order[at]))
      seen[at] = true;
  }
  return odd;
}

// How far counts of equally likely cells are from equal, in standard deviations of chi-square: far
// from 0 either way is bad.
double deviations(const std::vector<std::int64_t>& counts) {
  const auto cells = static_cast<double>(counts.size());
  const auto all =
      static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}));
  double chi_square = 0;
  for (const std::int64_t count : counts) {
    const double difference = static_cast<double>(count) - all / cells;
    chi_square += difference * difference * cells / all;
  }
  return (chi_square - (cells - 1)) / std::sqrt(2 * (cells - 1));
}
constexpr double kMostDeviations = 5;

// Orders of different seeds and streams.
void for_orders(std::int64_t rows, int count, const std::function<void(const Order&)>& take) {
  for (int i = 0; i < count; ++i)
    take(order_of(rows, static_cast<std::uint64_t>(i / 8), static_cast<std::uint64_t>(i % 8)));
}

// Which of the permutations of so few rows it is.
std::size_t number_of(const Order& order) {
  std::size_t number = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    std::size_t smaller = 0;
    for (std::size_t k = i + 1; k < order.size(); ++k) smaller += order[k] < order[i] ? 1U : 0U;
    number = number * (order.size() - i) + smaller;
  }
  return number;
}

}  // namespace

TEST_CASE("shuffle: every place is what the rounds make of it, wherever a launch begins and ends") {
  for (const std::int64_t rows : {1, 2, 3, 31, 32, 33, 255, 256, 257, 1000}) {
    const ShuffleRows shuffle = shuffle_of(rows, 7, static_cast<std::uint64_t>(rows));
    Order expected;
    for (std::int64_t i = 0; i < rows; ++i) expected.push_back(reference_row(shuffle, i));
    for (const Backend backend : tested_backends()) {
      INFO(kernels::name_of(backend) << ", " << rows << " rows");
      CHECK(places(backend, shuffle, 0, rows) == expected);
      const std::int64_t middle = rows / 3;
      Order pieces = places(backend, shuffle, 0, middle);
      const Order rest = places(backend, shuffle, middle, rows - middle);
      std::copy(rest.begin(), rest.end(), std::back_inserter(pieces));
      CHECK(pieces == expected);
    }
  }
}

TEST_CASE("shuffle: no rows and no places are taken, too") {
  for (const Backend backend : tested_backends()) {
    CHECK(places(backend, shuffle_of(0, 1, 1), 0, 0).empty());
    CHECK(places(backend, shuffle_of(9, 1, 1), 4, 0).empty());
  }
}

TEST_CASE("shuffle: numbers of rows around and beyond 32 bits") {
  for (const std::int64_t rows : {(std::int64_t{1} << 31U) - 1, (std::int64_t{1} << 31U) + 1,
                                  kBeyond32Bits - 1, kBeyond32Bits, kBeyond32Bits + 1,
                                  (std::int64_t{1} << 40U) + 12345, std::int64_t{1} << 62U}) {
    const ShuffleRows shuffle = shuffle_of(rows, 3, 4);
    std::set<std::int64_t> sixteenths;
    for (const std::int64_t first : {std::int64_t{0}, rows / 2, rows - 70}) {
      Order expected;
      for (std::int64_t i = first; i < first + 70; ++i) {
        expected.push_back(reference_row(shuffle, i));
        REQUIRE((expected.back() >= 0 && expected.back() < rows));
        CHECK(reference_place(shuffle, expected.back()) == i);
        sixteenths.insert(expected.back() / (rows / 16 + 1));
      }
      for (const Backend backend : tested_backends()) {
        INFO(kernels::name_of(backend) << ", " << rows << " rows from " << first);
        CHECK(places(backend, shuffle, first, 70) == expected);
      }
    }
    CHECK(sixteenths.size() == 16);
  }
}

TEST_CASE("shuffle: every row comes once, for any number of rows") {
  for (std::int64_t rows = 0; rows <= 200; ++rows) {
    INFO(rows << " rows");
    for (std::uint64_t seed = 0; seed < 20; ++seed) CHECK(is_permutation(order_of(rows, seed, 1)));
  }
  for (const std::int64_t rows :
       {1021, 1023, 1024, 1025, 65521, 65535, 65536, 65537, 1000003, 1048575, 1048576, 1048577}) {
    INFO(rows << " rows");
    CHECK(is_permutation(order_of(rows, 5, 2)));
  }
}

TEST_CASE("shuffle: seed, stream and number of rows each give another order, the same ones again") {
  std::set<Order> orders;
  for (const std::uint64_t seed : {0, 1, 2, 3}) {
    for (const std::uint64_t high : {0, 1}) {
      for (const std::uint64_t stream : {0, 1, 2, 3}) {
        const std::uint64_t whole = seed | high << 32U;
        orders.insert(order_of(50, whole, stream));
        orders.insert(order_of(50, whole, stream | std::uint64_t{1} << 32U));
        CHECK(order_of(50, whole, stream) == order_of(50, whole, stream));
      }
    }
  }
  CHECK(orders.size() == 64);
  Order more = order_of(51, 0, 0);
  more.erase(std::find(more.begin(), more.end(), 50));
  CHECK(more != order_of(50, 0, 0));
}

TEST_CASE("shuffle: all orders of few rows come equally often") {
  for (const std::int64_t rows : {2, 3, 4, 5}) {
    INFO(rows << " rows");
    std::vector<std::int64_t> counts(rows == 2 ? 2 : rows == 3 ? 6 : rows == 4 ? 24 : 120);
    for_orders(rows, 60000, [&](const Order& order) { ++counts[number_of(order)]; });
    CHECK(std::fabs(deviations(counts)) < kMostDeviations);
    CHECK(*std::min_element(counts.begin(), counts.end()) > 0);
  }
}

TEST_CASE("shuffle: odd and even orders come equally often, at powers of two and beside them") {
  for (const std::int64_t rows : {9, 16, 17, 64, 100}) {
    INFO(rows << " rows");
    std::vector<std::int64_t> counts(2);
    for_orders(rows, 4000, [&](const Order& order) { ++counts[is_odd(order) ? 1 : 0]; });
    CHECK(std::fabs(deviations(counts)) < kMostDeviations);
  }
}

TEST_CASE("shuffle: any row comes to any place, and so do any two rows to any two places") {
  for (const std::int64_t rows : {7, 16, 17}) {
    const auto n = static_cast<std::size_t>(rows);
    // By place and row.
    std::vector<std::vector<std::int64_t>> of_place(n, std::vector<std::int64_t>(n));
    // Of pairs of places, by their two rows.
    const std::vector<std::pair<std::size_t, std::size_t>> pairs{
        {0, 1}, {1, 0}, {0, n - 1}, {n / 3, n / 2}, {n - 2, n - 1}};
    std::vector<std::vector<std::int64_t>> of_pair(pairs.size(),
                                                   std::vector<std::int64_t>(n * (n - 1)));
    for_orders(rows, 40000, [&](const Order& order) {
      for (std::size_t i = 0; i < n; ++i) ++of_place[i][static_cast<std::size_t>(order[i])];
      for (std::size_t i = 0; i < pairs.size(); ++i) {
        const auto a = static_cast<std::size_t>(order[pairs[i].first]);
        const auto b = static_cast<std::size_t>(order[pairs[i].second]);
        ++of_pair[i][a * (n - 1) + (b < a ? b : b - 1)];
      }
    });
    for (std::size_t i = 0; i < n; ++i) {
      INFO("place " << i << " of " << rows);
      CHECK(std::fabs(deviations(of_place[i])) < kMostDeviations);
    }
    for (std::size_t i = 0; i < pairs.size(); ++i) {
      INFO("places " << pairs[i].first << " and " << pairs[i].second << " of " << rows);
      CHECK(std::fabs(deviations(of_pair[i])) < kMostDeviations);
    }
  }
}

TEST_CASE("shuffle: the mean row of every place is the middle one") {
  constexpr std::int64_t kRows = 203;
  constexpr int kOrders = 5000;
  std::vector<double> sums(kRows);
  for_orders(kRows, kOrders, [&](const Order& order) {
    for (std::size_t i = 0; i < order.size(); ++i) sums[i] += static_cast<double>(order[i]);
  });
  const double deviation = std::sqrt((kRows * kRows - 1) / 12.0 / kOrders);
  for (std::size_t i = 0; i < sums.size(); ++i) {
    INFO("place " << i);
    CHECK(std::fabs(sums[i] / kOrders - (kRows - 1) / 2.0) < kMostDeviations * deviation);
  }
}

TEST_CASE("shuffle: rows that lie side by side part, and none stays oftener than by chance") {
  for (const std::int64_t rows : {101, 1024}) {
    INFO(rows << " rows");
    constexpr int kOrders = 3000;
    int kept = 0;
    int together = 0;
    for_orders(rows, kOrders, [&](const Order& order) {
      for (std::size_t i = 0; i < order.size(); ++i) {
        kept += order[i] == static_cast<std::int64_t>(i) ? 1 : 0;
        together += i > 0 && std::abs(order[i] - order[i - 1]) == 1 ? 1 : 0;
      }
    });
    // Both numbers are nearly Poisson's, of mean 1 and just below 2 an order.
    CHECK(std::fabs(kept - kOrders) < kMostDeviations * std::sqrt(kOrders));
    const double expected =
        2.0 * kOrders * static_cast<double>(rows - 1) / static_cast<double>(rows);
    CHECK(std::fabs(together - expected) < kMostDeviations * std::sqrt(expected));
  }
}

TEST_CASE("shuffle: in one long order, neighbours come from anywhere") {
  constexpr std::int64_t kCells = 32;
  constexpr std::int64_t kRows = kCells * 12500;
  const Order order = order_of(kRows, 11, 1);
  for (const std::size_t apart : {1U, 2U, 32U, 1024U}) {
    INFO("rows " << apart << " places apart");
    std::vector<std::int64_t> counts(kCells * kCells);
    // Each row in one pair alone, so that the counts are independent.
    for (std::size_t i = 0; i + apart < order.size(); ++i) {
      if (i / apart % 2 == 1) continue;
      const std::int64_t a = order[i] * kCells / kRows;
      const std::int64_t b = order[i + apart] * kCells / kRows;
      ++counts[static_cast<std::size_t>(a * kCells + b)];
    }
    CHECK(std::fabs(deviations(counts)) < kMostDeviations);
  }
}
