// The kernels that sum over everything and over slices, against sums in the promised order.
#include <cmath>
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

enum Of { kValues, kSquares, kMagnitudes };

double exact_sum(const Numbers& values, int of, double before) {
  for (const double x : values)
    before += of == kSquares ? x * x : (of == kMagnitudes ? std::fabs(x) : x);
  return before;
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
