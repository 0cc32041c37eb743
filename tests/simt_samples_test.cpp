// Small kernels of every kind on the emulated device, in every order of their threads, against
// plain loops in double.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "tests/simt/samples.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/emulated_gpu_scope.hpp"
#include "tests/support/guarded_matrix.hpp"
#include "tests/support/schedules.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

using Numbers = std::vector<double>;
namespace run = samples::emulated;

const kernels::Stream kStream{kernels::Backend::emulated};

// Rounded to bfloat16.
struct Bfloats {
  std::vector<std::uint16_t> bits;
  Numbers values;
  Bfloats(std::int64_t count, RandomNumbers& random) {
    for (const double value : random.floats(count, -1, 1)) {
      const auto word = std::bit_cast<std::uint32_t>(static_cast<float>(value));
      bits.push_back(static_cast<std::uint16_t>(word >> 16U));
      values.push_back(static_cast<double>(std::bit_cast<float>(word & 0xFFFF0000U)));
    }
  }
};

struct ProductSize {
  int rows;
  int columns;
  int depth;
};

Numbers product_of(const Numbers& a, const Numbers& b, const ProductSize& size) {
  Numbers out;
  for (int r = 0; r < size.rows; ++r) {
    for (int c = 0; c < size.columns; ++c) {
      double sum = 0;
      for (int k = 0; k < size.depth; ++k) {
        sum += a[static_cast<std::size_t>(r * size.depth + k)] *
               b[static_cast<std::size_t>(k * size.columns + c)];
      }
      out.push_back(sum);
    }
  }
  return out;
}

template <class Body>
void in_every_schedule(const Body& body) {
  for (const simt::Schedule& schedule : every_schedule()) {
    INFO(described(schedule));
    const ScheduleScope scope(schedule);
    body();
  }
}

}  // namespace

TEST_CASE("simt: a sum by shuffles and shared memory") {
  RandomNumbers random(1);
  for (const std::int64_t count : {0, 1, 31, 32, 479, 480, 1003}) {
    const Numbers numbers = random.floats(count, -1, 1);
    double expected = 0;
    for (const double x : numbers) expected += x;
    GuardedMatrix<float> in(numbers, 1);
    in_every_schedule([&] {
      GuardedMatrix<float> partial(5, 1);
      GuardedMatrix<float> out(1, 1);
      run::sum(kStream, in.data(), count, partial.data(), out.data());
      CHECK(largest_error(out.values(), {expected}, 1.0) < 1e-5);
      CHECK(partial.guards_are_intact());
      CHECK(out.guards_are_intact());
    });
  }
}

TEST_CASE("simt: a softmax of rows in dynamic shared memory") {
  RandomNumbers random(2);
  for (const int columns : {1, 3, 128, 300}) {
    constexpr int kRows = 4;
    const Numbers numbers = random.floats(kRows * columns, -3, 3);
    Numbers expected;
    for (int r = 0; r < kRows; ++r) {
      double sum = 0;
      for (int c = 0; c < columns; ++c) {
        sum += std::exp(numbers[static_cast<std::size_t>(r * columns + c)]);
      }
      for (int c = 0; c < columns; ++c) {
        expected.push_back(std::exp(numbers[static_cast<std::size_t>(r * columns + c)]) / sum);
      }
    }
    GuardedMatrix<float> in(numbers, columns);
    in_every_schedule([&] {
      GuardedMatrix<float> out(kRows, columns);
      run::softmax(kStream, in.data(), out.data(), kRows, columns);
      CHECK(largest_error(out.values(), expected) < 1e-6);
      CHECK(out.guards_are_intact());
    });
  }
}

TEST_CASE("simt: a product by cp.async, ldmatrix and mma in bfloat16") {
  const EmulatedGpuScope gpu(kH100);
  RandomNumbers random(3);
  for (const ProductSize& size :
       {ProductSize{1, 8, 8}, ProductSize{32, 32, 32}, ProductSize{70, 72, 104}}) {
    Bfloats a(size.rows * size.depth, random);
    Bfloats b(size.depth * size.columns, random);
    const Numbers expected = product_of(a.values, b.values, size);
    in_every_schedule([&] {
      GuardedMatrix<float> out(size.rows, size.columns);
      run::product(kStream,
                   {a.bits.data(), b.bits.data(), out.data(), size.rows, size.columns, size.depth});
      CHECK(largest_error(out.values(), expected) < 2e-6);
      CHECK(out.guards_are_intact());
    });
  }
}

TEST_CASE("simt: a product by mma in tf32, ragged in every dimension") {
  const EmulatedGpuScope gpu(kH100);
  RandomNumbers random(4);
  for (const ProductSize& size :
       {ProductSize{1, 1, 1}, ProductSize{16, 8, 8}, ProductSize{37, 19, 29}}) {
    const Numbers a = random.floats(size.rows * size.depth, -1, 1);
    const Numbers b = random.floats(size.depth * size.columns, -1, 1);
    const Numbers expected = product_of(a, b, size);
    GuardedMatrix<float> a_floats(a, size.depth);
    GuardedMatrix<float> b_floats(b, size.columns);
    in_every_schedule([&] {
      GuardedMatrix<float> out(size.rows, size.columns);
      run::product_tf32(kStream, a_floats.data(), b_floats.data(), out.data(), size.rows,
                        size.columns, size.depth);
      CHECK(largest_error(out.values(), expected) < 1e-3);  // 10 bits of each operand
      CHECK(out.guards_are_intact());
    });
  }
}

TEST_CASE("simt: blocks of a persistent kernel meet at a grid barrier") {
  RandomNumbers random(5);
  for (const int count : {1, 64, 500}) {
    constexpr int kSteps = 7;
    const Numbers start = random.floats(count, -1, 1);
    Numbers expected = start;
    for (int step = 0; step < kSteps; ++step) {
      const Numbers from = expected;
      const auto size = static_cast<std::size_t>(count);
      for (std::size_t i = 0; i < size; ++i) {
        expected[i] = 0.25 * (from[(i + size - 1) % size] + 2 * from[i] + from[(i + 1) % size]);
      }
    }
    in_every_schedule([&] {
      GuardedMatrix<float> x(start, count);
      GuardedMatrix<float> y(1, count);
      run::smooth(kStream, x.data(), y.data(), count, kSteps);
      CHECK(largest_error(y.values(), expected) < 1e-6);
      CHECK(x.guards_are_intact());
      CHECK(y.guards_are_intact());
    });
  }
}

TEST_CASE("simt: blocks hand a sum on by flags") {
  RandomNumbers random(6);
  constexpr int kCount = 300;
  const Numbers numbers = random.floats(kCount, -1, 1);
  double expected = 0;
  for (const double x : numbers) expected += x;
  GuardedMatrix<float> in(numbers, 1);
  in_every_schedule([&] {
    GuardedMatrix<std::int32_t> flags(Numbers(10, 0), 1);
    GuardedMatrix<float> sums(10, 1);
    run::relay(kStream, in.data(), kCount, reinterpret_cast<unsigned*>(flags.data()), sums.data());
    CHECK(largest_error({sums.values().back()}, {expected}, 1.0) < 1e-5);
    CHECK(sums.guards_are_intact());
  });
}

TEST_CASE("simt: a word is found late, but nobody who knows of a newer one finds an older one") {
  constexpr int kRounds = 12;
  bool together = true;
  in_every_schedule([&] {
    unsigned word = 0;
    std::vector<unsigned> found(kRounds * 64, 99);
    run::watch_count(kStream, &word, 8, found.data(), kRounds);
    CHECK(word == 8);
    unsigned known = 0;
    for (auto round = found.begin(); round != found.end(); round += 64) {
      const auto [oldest, newest] = std::minmax_element(round, round + 64);
      CHECK(*oldest >= known);
      CHECK(*newest <= word);
      known = *newest;
      together = together && *oldest == *newest;
    }
  });
#if defined(BRAID_SIMT_RACES)
  CHECK_FALSE(together);  // as they would find it if each store arrived everywhere at once
#endif
}

TEST_CASE("simt: rows stream through a ring of bulk copies and mbarriers") {
  const EmulatedGpuScope gpu(kH100);
  RandomNumbers random(7);
  for (const int rows : {0, 1, 3, 20}) {
    const Numbers numbers = random.floats(rows * 64, -1, 1);
    Numbers expected(64, 0);
    for (std::size_t i = 0; i < numbers.size(); ++i) expected[i % 64] += numbers[i];
    alignas(16) float in[20 * 64];
    for (std::size_t i = 0; i < numbers.size(); ++i) in[i] = static_cast<float>(numbers[i]);
    in_every_schedule([&] {
      GuardedMatrix<float> out(1, 64);
      run::stream_columns(kStream, in, out.data(), rows);
      CHECK(largest_error(out.values(), expected) < 1e-6);
      CHECK(out.guards_are_intact());
    });
  }
}

TEST_CASE("simt: ballots, matches and reductions of lanes that differ in their masks") {
  const EmulatedGpuScope gpu(kH100);
  RandomNumbers random(8);
  for (const int count : {0, 1, 191, 192, 1000}) {
    Numbers ids;
    Numbers expected(32, 0);
    for (int i = 0; i < count; ++i) {
      const std::int64_t id = random.below(i % 3 == 0 ? 32 : 5);
      ids.push_back(static_cast<double>(id));
      expected[static_cast<std::size_t>(id)] += 1;
    }
    GuardedMatrix<std::int32_t> in(ids, 1);
    in_every_schedule([&] {
      GuardedMatrix<std::int32_t> counts(Numbers(32, 0), 32);
      run::count_ids(kStream, in.data(), count, reinterpret_cast<unsigned*>(counts.data()));
      CHECK(counts.values() == expected);
      CHECK(counts.guards_are_intact());
    });
  }
}

TEST_CASE("samples: quotients of numbers with more than 32 bits are as exact as short ones") {
  const std::int64_t long_one = std::int64_t{5} << 32U;
  const std::vector<std::int64_t> a{0, 7, 0xFFFFFFFF, long_one, long_one + 3, 1, INT64_MAX};
  const std::vector<std::int64_t> b{3, 2, 10, 4, long_one, long_one, 3};
  for (const simt::Schedule& schedule : every_schedule()) {
    const ScheduleScope order(schedule);
    std::vector<std::int64_t> out(a.size(), -1);
    run::divide(kStream, a.data(), b.data(), out.data(), static_cast<int>(a.size()));
    for (std::size_t i = 0; i < a.size(); ++i) CHECK(out[i] == a[i] / b[i]);
  }
}

// A wrong one is one off, where a row begins or ends.
TEST_CASE("samples: rows of places are exact up to half a million places") {
  std::vector<unsigned> places;
  std::vector<unsigned> per_row;
  constexpr unsigned kEnd = 1U << 19U;
  for (const unsigned width : {1U, 2U, 3U, 7U, 63U, 64U, 65U, 1000U, 4097U, 65535U, kEnd - 1}) {
    for (const unsigned row : {0U, 1U, 2U, 5U, 7U, kEnd / width - 1, kEnd / width}) {
      for (const unsigned place : {row * width, row * width + width - 1}) {
        if (place >= kEnd) continue;
        places.push_back(place);
        per_row.push_back(width);
      }
    }
  }
  std::vector<unsigned> rows(places.size(), 77);
  run::find_rows(kStream, places.data(), per_row.data(), rows.data(),
                 static_cast<int>(places.size()));
  for (std::size_t i = 0; i < places.size(); ++i) {
    INFO("place " << places[i] << " of rows of " << per_row[i]);
    CHECK(rows[i] == places[i] / per_row[i]);
  }
}

TEST_CASE("samples: a block's threads fall into whole lines") {
  constexpr unsigned kThreads = 256;
  for (unsigned across = 1; across <= kThreads; ++across) {
    std::vector<unsigned> out(std::size_t{3} * kThreads, 777);
    run::thread_lines(kStream, across, out.data());
    bool right = true;
    for (unsigned thread = 0; thread < kThreads; ++thread) {
      right = right && out[thread] == thread / across &&
              out[kThreads + thread] == thread % across &&
              out[2 * kThreads + thread] == kThreads / across;
    }
    INFO("lines of " << across);
    CHECK(right);
  }
}
