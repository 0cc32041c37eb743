// The embedding kernels against plain loops, bit for bit.
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "kernels/embedding.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/embedding_problem.hpp"
#include "tests/support/guarded_matrix.hpp"

using namespace braid;
using namespace braid::testing;
using namespace braid::testing::embedding;

namespace {

// On all backends; in a time that does not grow with positions times ids.
void check_sorted_everywhere(const Problem& p, std::int64_t gap = 0) {
  const auto id_of = [&](std::int32_t n) { return p.ids[static_cast<std::size_t>(n)]; };
  std::vector<std::int32_t> expected;
  for (std::int64_t n = 0; n < p.positions(); ++n) {
    if (p.counts(n)) expected.push_back(static_cast<std::int32_t>(n));
  }
  std::stable_sort(expected.begin(), expected.end(),
                   [&](std::int32_t a, std::int32_t b) { return id_of(a) < id_of(b); });
  std::vector<std::int32_t> starts;
  std::size_t start = 0;
  for (std::int64_t v = 0; v <= p.vocabulary; ++v) {
    while (start < expected.size() && id_of(expected[start]) < static_cast<double>(v)) ++start;
    starts.push_back(static_cast<std::int32_t>(start));
  }
  for (const Backend backend : tested_backends()) {
    INFO(described(p) << " on " << kernels::name_of(backend));
    Sorted got = sorted(backend, p, gap);
    const bool same_starts = got.segments.elements() == starts;
    CHECK(same_starts);
    std::vector<std::int32_t> order = got.order.elements();
    order.resize(expected.size());
    const bool same_order = order == expected;
    CHECK(same_order);
  }
}

}  // namespace

TEST_CASE("embedding: rows of the table, bit for bit, also into columns of wider rows") {
  RandomNumbers random(132);
  for (const Problem& p : problems()) {
    Numbers table = random.floats(p.vocabulary * p.width, -1, 1);
    table[0] = std::numeric_limits<double>::infinity();
    Numbers expected;
    for (const double id : p.ids) {
      const auto first = table.begin() + static_cast<std::int64_t>(id) * p.width;
      expected.insert(expected.end(), first, first + p.width);
    }
    for (const std::int64_t gap : {0, 3}) {
      GuardedMatrix<std::int32_t> ids(p.rows, p.steps, gap);
      ids.fill(p.ids);
      GuardedMatrix<float> rows(p.vocabulary, p.width, gap);
      rows.fill(table);
      for (const Backend backend : tested_backends()) {
        INFO(described(p) << " on " << kernels::name_of(backend));
        GuardedMatrix<float> out(p.positions(), p.width, gap);
        launch_on(backend, kernels::EmbeddingForward{
                               .ids = ids.matrix(), .table = rows.matrix(), .out = out.matrix()});
        CHECK(out.values() == expected);
        CHECK(out.guards_are_intact());
      }
    }
  }
}

TEST_CASE("embedding: an id outside the table gives a row of NaN, and its neighbours their rows") {
  for (const std::int64_t width : {1, 4, 33, 128}) {
    GuardedMatrix<float> table(3, width);
    table.fill(Numbers(static_cast<std::size_t>(3 * width), 0.5));
    const Numbers values{0, -1, 2, 3, 1, -2147483648.0, 2147483647.0};
    GuardedMatrix<std::int32_t> ids(1, 7);
    ids.fill(values);
    for (const Backend backend : tested_backends()) {
      INFO(kernels::name_of(backend) << ", E " << width);
      GuardedMatrix<float> out(7, width);
      launch_on(backend, kernels::EmbeddingForward{ids.matrix(), table.matrix(), out.matrix()});
      for (std::size_t i = 0; i < out.values().size(); ++i) {
        const double id = values[i / static_cast<std::size_t>(width)];
        const float value = static_cast<float>(out.values()[i]);
        CHECK((id >= 0 && id < 3 ? value == 0.5F : std::isnan(value)));
      }
      CHECK(out.guards_are_intact());
    }
  }
}

TEST_CASE("embedding: positions are sorted by id, stably, without those that are masked") {
  for (const Problem& p : problems()) {
    const ExpectedSort expected = expected_sort(p);
    for (const std::int64_t gap : {0, 3}) {
      for (const Backend backend : tested_backends()) {
        INFO(described(p) << " on " << kernels::name_of(backend));
        Sorted got = sorted(backend, p, gap);
        CHECK(got.segments.elements() == expected.segments);
        std::vector<std::int32_t> order = got.order.elements();
        order.resize(expected.order.size());
        CHECK(order == expected.order);
      }
    }
  }
}

TEST_CASE("embedding: few ids or all, in rising, falling or any order, are sorted stably") {
  struct Size {
    std::int64_t positions;
    std::vector<std::int64_t> vocabularies;
  };
  // About as many positions as one warp takes, as a few take, or more than a block takes at once.
  const std::vector<Size> sizes{{1, {1, 7}},       {2, {1, 2}},         {31, {2, 509}},
                                {97, {7, 30011}},  {255, {1, 7, 1021}}, {257, {2, 509}},
                                {1031, {2, 1021}}, {8209, {3, 31}}};
  RandomNumbers random(134);
  for (const auto& [positions, vocabularies] : sizes) {
    for (const std::int64_t vocabulary : vocabularies) {
      const auto last = static_cast<double>(vocabulary - 1);
      Numbers rising, falling, any;
      for (std::int64_t n = 0; n < positions; ++n) {
        rising.push_back(static_cast<double>(n * vocabulary / positions));
        falling.push_back(static_cast<double>((positions - 1 - n) * vocabulary / positions));
        // Half of them are the first or the last id.
        const auto id = static_cast<double>(random.below(vocabulary));
        any.push_back(n % 2 == 0 ? id : (n % 4 == 1 ? 0.0 : last));
      }
      const Numbers all_first(static_cast<std::size_t>(positions), 0.0);
      const Numbers all_last(static_cast<std::size_t>(positions), last);
      for (const Numbers& ids : {rising, falling, any, all_first, all_last}) {
        check_sorted_everywhere({positions, 1, vocabulary, 1, ids, {}});
      }
    }
  }
}

TEST_CASE(
    "embedding: a list of all positions is sorted by, and where none fits they are read again") {
  RandomNumbers random(140);
  // Lists that are full to the last entry, and positions just too many for one.
  for (const std::int64_t positions : {std::int64_t{57344}, std::int64_t{57345}}) {
    Problem p{positions, 1, 20, 1, {}, {}, 3};
    for (std::int64_t n = 0; n < p.rows; ++n) {
      p.ids.push_back(static_cast<double>(random.below(n % 3 == 0 ? 20 : 3)));
      p.mask.push_back(static_cast<double>(random.below(4)));
    }
    check_sorted_everywhere(p);
    p.ids.assign(p.ids.size(), 19.0);
    p.mask.clear();
    check_sorted_everywhere(p);
  }
}

TEST_CASE("embedding: a vocabulary whose counters fill the memory of many blocks is sorted by") {
  RandomNumbers random(136);
  Problem p{8209, 1, 300007, 1, {}, {}};
  for (std::int64_t n = 0; n < p.rows; ++n)
    p.ids.push_back(
        static_cast<double>(n % 3 == 0 ? p.vocabulary - 1 : random.below(p.vocabulary)));
  check_sorted_everywhere(p);
}

TEST_CASE("embedding: many positions are sorted stably by the digits of their ids") {
  struct Size {
    std::int64_t rows;
    std::int64_t steps;
    std::int64_t vocabulary;
    kernels::EmbeddingDigits digits;  // count, bits and blocks
  };
  // One more than is sorted in one go; ids that fill their digits, and one more; enough for all
  // blocks; and few positions of many ids, which have three digits.
  const std::vector<Size> sizes{{131073, 1, 1024, {1, 10, 65}},
                                {131073, 1, 1025, {2, 6, 65}},
                                {43691, 3, 1, {1, 1, 65}},
                                {540673, 1, 70000, {2, 9, 264}},
                                {8209, 1, 3465001, {3, 8, 5}}};
  RandomNumbers random(137);
  for (const Size& size : sizes) {
    Problem p{size.rows, size.steps, size.vocabulary, 1, {}, {}};
    const auto digits = kernels::embedding_digits(p.positions(), p.vocabulary);
    REQUIRE(digits.count == size.digits.count);
    REQUIRE(digits.bits == size.digits.bits);
    REQUIRE(digits.blocks == size.digits.blocks);
    // Some are the first id, and more the last.
    for (std::int64_t n = 0; n < p.positions(); ++n) {
      const auto id = static_cast<double>(random.below(p.vocabulary));
      const auto last = static_cast<double>(p.vocabulary - 1);
      p.ids.push_back(n % 7 < 4 ? id : (n % 7 == 4 ? 0.0 : last));
    }
    check_sorted_everywhere(p);
  }
}

TEST_CASE("embedding: what is masked leaves none of many positions, in rows with gaps too") {
  RandomNumbers random(138);
  Problem p{131073, 1, 3001, 1, {}, {}, 7};
  for (std::int64_t n = 0; n < p.positions(); ++n) {
    p.ids.push_back(static_cast<double>(n % 5 == 0 ? 7 : random.below(p.vocabulary)));
    p.mask.push_back(static_cast<double>(random.below(3)));
  }
  check_sorted_everywhere(p);
  p.rows = 43691;
  p.steps = 3;
  check_sorted_everywhere(p, 2);
}

TEST_CASE("embedding: many positions of one id, or in falling order, are sorted stably") {
  Problem p{131073, 1, 1200, 1, {}, {}};
  p.ids.assign(static_cast<std::size_t>(p.rows), 1199.0);
  check_sorted_everywhere(p);
  for (std::int64_t n = 0; n < p.rows; ++n)
    p.ids[static_cast<std::size_t>(n)] = static_cast<double>(1199 - n * 1200 / p.rows);
  check_sorted_everywhere(p);
}

TEST_CASE("embedding: ids outside the table, which a GPU cannot refuse, leave no positions") {
  RandomNumbers random(139);
  const std::vector<double> outside{-1, 1200, 2047, 2048, 65536, -2147483648.0, 2147483647.0};
  for (const std::int64_t rows : {1031, 131073}) {
    Problem p{rows, 1, 1200, 1, {}, {}};
    Problem without = p;
    for (std::int64_t n = 0; n < rows; ++n) {
      const bool is_inside = n % 3 != 1;
      const auto id = static_cast<double>(random.below(p.vocabulary));
      p.ids.push_back(is_inside ? id : outside[static_cast<std::size_t>(n) % outside.size()]);
      without.ids.push_back(is_inside ? id : 0.0);
      without.mask.push_back(is_inside ? 1.0 : 0.0);
    }
    for (const Backend backend : tested_backends()) {
      if (!runs_on_device(backend)) continue;
      INFO(kernels::name_of(backend) << ", " << rows << " positions");
      Sorted got = sorted(backend, p, 0);
      Sorted expected = sorted(backend, without, 0);
      const std::vector<std::int32_t> segments = got.segments.elements();
      const bool same_segments = segments == expected.segments.elements();
      CHECK(same_segments);
      const auto count = static_cast<std::size_t>(segments.back());
      REQUIRE(count ==
              static_cast<std::size_t>(std::count(without.mask.begin(), without.mask.end(), 1.0)));
      std::vector<std::int32_t> order = got.order.elements();
      std::vector<std::int32_t> expected_order = expected.order.elements();
      order.resize(count);
      expected_order.resize(count);
      const bool same_order = order == expected_order;
      CHECK(same_order);
    }
  }
}

TEST_CASE("embedding: rows that end early, or are masked as a whole, leave no positions") {
  RandomNumbers random(135);
  for (const std::int64_t steps : {1, 8, 37}) {
    Problem p{61, steps, 103, 1, {}, {}};
    for (std::int64_t b = 0; b < p.rows; ++b) {
      const std::int64_t length = random.below(steps + 1);
      for (std::int64_t t = 0; t < steps; ++t) {
        p.ids.push_back(t < length ? static_cast<double>(random.below(p.vocabulary)) : 0.0);
        p.mask.push_back(t < length ? 1.0 : 0.0);
      }
    }
    check_sorted_everywhere(p);
    p.mask.assign(p.mask.size(), 0.0);
    check_sorted_everywhere(p);
  }
}

TEST_CASE("embedding: no positions leave every segment empty, and no ids one end of none") {
  check_sorted_everywhere({0, 0, 5, 1, {}, {}});
  check_sorted_everywhere({0, 3, 0, 1, {}, {}});
}
