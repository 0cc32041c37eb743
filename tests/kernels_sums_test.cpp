// The kernels that sum over rows, over everything and over slices, against sums in the promised
// order.
#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>
#include <vector>

#include "kernels/elementwise.hpp"
#include "kernels/optimizer.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/guarded_matrix.hpp"
#include "tests/support/matrix_sizes.hpp"
#include "tests/support/ulps.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

constexpr MatrixSize kSizes[] = {{0, 5, 0},    {5, 0, 0},    {1, 1, 0},  {7, 3, 2},
                                 {143, 17, 0}, {29, 131, 1}, {3, 257, 0}};

// Around the rows that a GPU reads side by side, and those that a thread of it asks for at once;
// and wide enough for threads of four columns, where rows are aligned and where they are not.
constexpr MatrixSize kSizesOfRowSums[] = {
    {31, 9, 0},    {32, 8, 0},     {33, 7, 3},    {255, 1, 0},   {256, 12, 0}, {257, 3, 0},
    {511, 2, 0},   {512, 8, 4},    {513, 17, 0},  {1025, 5, 0},  {2049, 3, 0}, {1, 4224, 0},
    {37, 4256, 4}, {289, 4224, 0}, {33, 4224, 1}, {33, 4225, 0}, {33, 4192, 0}};

enum Of { kValues, kSquares, kMagnitudes };

float term_of(int of, float x) {
  return of == kSquares ? x * x : (of == kMagnitudes ? std::fabs(x) : x);
}

double exact_sum(const Numbers& values, int of, double before) {
  for (const double x : values)
    before += of == kSquares ? x * x : (of == kMagnitudes ? std::fabs(x) : x);
  return before;
}

std::vector<float> column_of_terms(Matrix<const float> in, std::int64_t c, int of) {
  std::vector<float> terms;
  for (std::int64_t n = 0; n < in.rows; ++n) terms.push_back(term_of(of, in.row(n)[c]));
  return terms;
}

float sum_in_order(const std::vector<float>& terms, float before) {
  for (const float term : terms) before += term;
  return before;
}

// As a GPU adds: every thirty-second one in order, then neighbours in pairs.
float sum_by_lanes(const std::vector<float>& terms) {
  std::vector<float> lanes(32, 0.0F);
  for (std::size_t n = 0; n < terms.size(); ++n) lanes[n % 32] += terms[n];
  while (lanes.size() > 1) {
    std::vector<float> pairs;
    for (std::size_t k = 0; k < lanes.size(); k += 2) pairs.push_back(lanes[k] + lanes[k + 1]);
    lanes = pairs;
  }
  return lanes[0];
}

// The sums of `parts` parts, of equal length but for the last ones, and of those.
float sum_by_parts(const std::vector<float>& terms, std::int64_t parts) {
  const std::size_t length =
      (terms.size() + static_cast<std::size_t>(parts) - 1) / static_cast<std::size_t>(parts);
  std::vector<float> sums;
  for (std::int64_t part = 0; part < parts; ++part) {
    const std::size_t first = std::min(static_cast<std::size_t>(part) * length, terms.size());
    const std::size_t last = std::min(first + length, terms.size());
    sums.push_back(sum_by_lanes({terms.begin() + static_cast<std::ptrdiff_t>(first),
                                 terms.begin() + static_cast<std::ptrdiff_t>(last)}));
  }
  return sum_by_lanes(sums);
}

// Of few digits, so that squares are exact and no rounding but that of the sums is left.
Numbers short_numbers(std::int64_t count, RandomNumbers& random) {
  Numbers values = random.floats(count, -2, 2);
  for (double& x : values) x = std::round(x * 1024) / 1024;
  return values;
}

// Slices of the gradient of `count` parameters, with gaps between them.
struct Slices {
  Slices(std::int64_t slices, std::int64_t count, RandomNumbers& random)
      : memory(slices, count, 5), values(random.floats(slices * count, -2, 2)) {
    memory.fill(values);
  }
  GuardedMatrix<float> memory;
  Numbers values;
};

// Added up in float32 from first to last.
std::vector<float> sums_of(Slices& slices) {
  const Matrix<float> all = slices.memory.matrix();
  std::vector<float> sums(all.row(0), all.row(0) + all.columns);
  for (std::int64_t s = 1; s < all.rows; ++s) {
    for (std::int64_t i = 0; i < all.columns; ++i)
      sums[static_cast<std::size_t>(i)] += all.row(s)[i];
  }
  return sums;
}

// Around the blocks of 256 in which optimizers work.
constexpr std::int64_t kCounts[] = {0, 1, 17, 255, 256, 257, 1000};

}  // namespace

TEST_CASE("sums: rows are added in the promised order, bit for bit, to what is there when asked") {
  RandomNumbers random(101);
  std::vector<MatrixSize> sizes(std::begin(kSizes), std::end(kSizes));
  sizes.insert(sizes.end(), std::begin(kSizesOfRowSums), std::end(kSizesOfRowSums));
  for (const MatrixSize& size : sizes) {
    GuardedMatrix<float> in(size.rows, size.columns, size.gap);
    in.fill(short_numbers(size.rows * size.columns, random));
    for (const int of : {kValues, kSquares, kMagnitudes}) {
      for (const float before : {0.0F, 0.3F}) {
        std::vector<float> on_cpu;
        std::vector<float> on_gpu;
        for (std::int64_t c = 0; c < size.columns; ++c) {
          const std::vector<float> terms = column_of_terms(in.matrix(), c, of);
          on_cpu.push_back(sum_in_order(terms, before));
          on_gpu.push_back(before + sum_by_lanes(terms));
        }
        for (const Backend backend : tested_backends()) {
          INFO(kernels::name_of(backend) << ", N " << size.rows << ", C " << size.columns << ", of "
                                         << of << ", from " << before);
          GuardedMatrix<float> out(1, size.columns);
          const bool accumulate = before != 0;
          if (accumulate) out.fill(Numbers(on_cpu.size(), static_cast<double>(before)));
          launch_on(backend, kernels::SumRows{.in = in.matrix(),
                                              .out = out.matrix(),
                                              .square = of == kSquares,
                                              .absolute = of == kMagnitudes,
                                              .accumulate = accumulate});
          const bool same = out.elements() == (runs_on_device(backend) ? on_gpu : on_cpu);
          CHECK(same);
          CHECK(out.guards_are_intact());
        }
      }
    }
  }
}

TEST_CASE("sums: parts of many rows are summed side by side, and what they give as rows are") {
  RandomNumbers random(104);
  // Up to, at and behind the first number of rows that is cut; parts of different lengths, one of
  // which may be empty; and columns enough for threads of four.
  const std::vector<std::pair<MatrixSize, std::int64_t>> sizes{
      {{2047, 3, 0}, 1},           {{2048, 3, 0}, 2},
      {{2049, 9, 1}, 2},           {{3071, 1, 0}, 2},
      {{3073, 2, 0}, 3},           {{5 * 1024, 1, 5}, 5},
      {{36 * 1024 + 1, 1, 0}, 36}, {{1026 * 1024 + 1, 1, 0}, 1026},
      {{2051, 2112, 0}, 2},        {{2051, 2112, 2}, 2}};
  for (const auto& [size, parts] : sizes) {
    REQUIRE(kernels::sum_rows_parts(size.rows, size.columns) == parts);
    REQUIRE(kernels::sum_rows_scratch(size.rows, size.columns) ==
            (parts == 1 ? 0 : 4 * parts * size.columns));
    GuardedMatrix<float> in(size.rows, size.columns, size.gap);
    in.fill(short_numbers(size.rows * size.columns, random));
    for (const int of : {kValues, kSquares, kMagnitudes}) {
      if (of != kValues && size.rows * size.columns > 1000000) continue;
      for (const float before : {0.0F, 0.3F}) {
        std::vector<float> expected;
        for (std::int64_t c = 0; c < size.columns; ++c) {
          const std::vector<float> terms = column_of_terms(in.matrix(), c, of);
          expected.push_back(before +
                             (parts == 1 ? sum_by_lanes(terms) : sum_by_parts(terms, parts)));
        }
        for (const Backend backend : tested_backends()) {
          if (!runs_on_device(backend)) continue;
          INFO(kernels::name_of(backend) << ", N " << size.rows << ", C " << size.columns << ", of "
                                         << of << ", from " << before);
          GuardedMatrix<float> out(1, size.columns);
          if (before != 0) out.fill(Numbers(expected.size(), static_cast<double>(before)));
          GuardedScratch scratch(kernels::sum_rows_scratch(size.rows, size.columns));
          launch_on(backend, kernels::SumRows{.in = in.matrix(),
                                              .out = out.matrix(),
                                              .square = of == kSquares,
                                              .absolute = of == kMagnitudes,
                                              .accumulate = before != 0,
                                              .scratch = static_cast<float*>(scratch.data())});
          const bool same = out.elements() == expected;
          CHECK(same);
          CHECK(out.guards_are_intact());
          CHECK(scratch.guards_are_intact());
        }
      }
    }
  }
}

TEST_CASE("sums: many rows of one sign are summed as well by a GPU as by pairs") {
  RandomNumbers random(105);
  const std::int64_t rows = 40000;
  const Numbers values = random.floats(rows * 3, 0.5, 1.5);
  GuardedMatrix<float> in(rows, 3);
  in.fill(values);
  Numbers expected(3, 0.0);
  for (std::size_t i = 0; i < values.size(); ++i) expected[i % 3] += values[i];
  for (const Backend backend : tested_backends()) {
    if (!runs_on_device(backend)) continue;
    INFO(kernels::name_of(backend));
    GuardedMatrix<float> out(1, 3);
    GuardedScratch scratch(kernels::sum_rows_scratch(rows, 3));
    launch_on(backend, kernels::SumRows{.in = in.matrix(),
                                        .out = out.matrix(),
                                        .scratch = static_cast<float*>(scratch.data())});
    for (std::size_t c = 0; c < 3; ++c) {
      CHECK(error_in_ulps(out.elements()[c], expected[c]) < 4);
    }
  }
}

TEST_CASE("sums: everything is added up in double and rounded once") {
  RandomNumbers random(102);
  for (const MatrixSize& size : kSizes) {
    const Numbers values = random.floats(size.rows * size.columns, -2, 2.5);
    GuardedMatrix<float> in(size.rows, size.columns, size.gap);
    in.fill(values);
    for (const int of : {kValues, kSquares, kMagnitudes}) {
      for (const bool accumulate : {false, true}) {
        const double sum = exact_sum(values, of, accumulate ? 0.75 : 0);
        for (const Backend backend : tested_backends()) {
          INFO(kernels::name_of(backend)
               << ", N " << size.rows << ", C " << size.columns << ", of " << of);
          GuardedMatrix<float> out(1, 1);
          if (accumulate) out.fill({0.75});
          launch_on(backend, kernels::SumAll{.in = in.matrix(),
                                             .out = out.data(),
                                             .square = of == kSquares,
                                             .absolute = of == kMagnitudes,
                                             .accumulate = accumulate});
          CHECK(error_in_ulps(out.elements()[0], sum) < 0.501);
          CHECK(out.guards_are_intact());
        }
      }
    }
  }
}

TEST_CASE("sums: blocks share what is many values, with and without gaps between rows") {
  RandomNumbers random(106);
  constexpr MatrixSize kMany[] = {{1, 32767, 0}, {1, 32768, 0}, {8, 4096, 4},
                                  {129, 257, 0}, {33001, 1, 0}, {211, 173, 3}};
  for (const MatrixSize& size : kMany) {
    const std::int64_t count = size.rows * size.columns;
    const Numbers values = random.floats(count, -2, 2.5);
    GuardedMatrix<float> in(size.rows, size.columns, size.gap);
    in.fill(values);
    for (const int of : {kValues, kSquares, kMagnitudes}) {
      const double sum = exact_sum(values, of, 0.75);
      for (const Backend backend : tested_backends()) {
        INFO(kernels::name_of(backend)
             << ", N " << size.rows << ", C " << size.columns << ", of " << of);
        GuardedMatrix<float> out(1, 1);
        out.fill({0.75});
        GuardedScratch scratch(kernels::scratch_of_sums(count, 1));
        launch_on(backend, kernels::SumAll{.in = in.matrix(),
                                           .out = out.data(),
                                           .square = of == kSquares,
                                           .absolute = of == kMagnitudes,
                                           .accumulate = true,
                                           .scratch = static_cast<float*>(scratch.data())});
        CHECK(error_in_ulps(out.elements()[0], sum) < 1);
        CHECK(out.guards_are_intact());
        CHECK(scratch.guards_are_intact());
      }
    }
  }
}

TEST_CASE("sums: there are parts where they pay, and not more than blocks that run at once") {
  CHECK(kernels::scratch_of_sums(32767, 1) == 0);
  CHECK(kernels::parts_of_sum(32768) == 8);
  CHECK(kernels::parts_of_sum(32769) == 9);
  CHECK(kernels::scratch_of_sums(32769, 2) == 9 * 2 * 8);
  CHECK(kernels::parts_of_sum(std::int64_t{1} << 40U) == 528);
}

TEST_CASE("sums: slices are added from first to last, bit for bit, in place too") {
  RandomNumbers random(103);
  for (const std::int64_t count : kCounts) {
    // More than a thread asks for at once, and than all lanes of a warp do.
    for (const std::int64_t number : {1, 2, 3, 8, 33, 34, 65, 128, 129, 300}) {
      Slices slices(number, count, random);
      const std::vector<float> expected = sums_of(slices);
      for (const Backend backend : tested_backends()) {
        INFO(kernels::name_of(backend) << ", n " << count << ", slices " << number);
        GuardedMatrix<float> out(1, count);
        kernels::SumSlices arguments{.in = slices.memory.data(),
                                     .slices = number,
                                     .slice_stride = slices.memory.matrix().stride,
                                     .out = out.data(),
                                     .count = count};
        launch_on(backend, arguments);
        CHECK(out.elements() == expected);
        CHECK(out.guards_are_intact());
        Slices same = slices;
        arguments.in = arguments.out = same.memory.data();
        launch_on(backend, arguments);
        const Matrix<float> all = same.memory.matrix();
        CHECK(std::vector<float>(all.data, all.data + count) == expected);
        CHECK(same.memory.guards_are_intact());
      }
    }
  }
}
