// The kernels that treat each element or each row alone, against the same operations in float64.
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "kernels/elementwise.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/guarded_matrix.hpp"
#include "tests/support/matrix_sizes.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

constexpr std::int32_t kNoId = std::numeric_limits<std::int32_t>::min();

// Those of fours have kernels of their own; the last is more than blocks take in one turn.
constexpr MatrixSize kSizes[] = {{0, 3, 0}, {3, 0, 0},  {1, 1, 0},   {7, 5, 0},
                                 {7, 5, 2}, {3, 17, 1}, {2, 67, 0},  {13, 131, 3},
                                 {3, 8, 0}, {5, 12, 4}, {1, 300, 0}, {1031, 525, 0}};

GuardedMatrix<float> filled(const Numbers& values, const MatrixSize& size) {
  GuardedMatrix<float> matrix(size.rows, size.columns, size.gap);
  matrix.fill(values);
  return matrix;
}

Numbers random_values(const MatrixSize& size, RandomNumbers& random) {
  return random.floats(size.rows * size.columns, -2, 2);
}

// What float32 may lose in a few roundings of terms that add up to no more than `magnitude`.
bool is_near(double got, double exact, double magnitude) {
  return std::fabs(got - exact) <= 4 * 0x1p-24 * magnitude;
}

template <class Exact, class Magnitude>
bool are_near(const Numbers& got, const Exact& exact, const Magnitude& magnitude) {
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (!is_near(got[i], exact(i), magnitude(i))) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("elementwise: affine scales and shifts, in place too") {
  RandomNumbers random(81);
  for_sizes(kSizes, [&](Backend backend, const MatrixSize& size) {
    const Numbers values = random_values(size, random);
    const auto exact = [&](std::size_t i) { return -1.75 * values[i] + 0.3125; };
    const auto magnitude = [&](std::size_t i) { return 1.75 * std::fabs(values[i]) + 0.3125; };
    auto in = filled(values, size);
    GuardedMatrix<float> out(size.rows, size.columns, size.gap);
    for (auto* target : {&out, &in}) {
      launch_on(backend,
                kernels::Affine{
                    .in = in.matrix(), .out = target->matrix(), .scale = -1.75F, .shift = 0.3125F});
      CHECK(are_near(target->values(), exact, magnitude));
      CHECK(target->guards_are_intact());
    }
  });
}

TEST_CASE("elementwise: a sum adds its summands from first to last, bit for bit") {
  RandomNumbers random(82);
  for_sizes(kSizes, [&](Backend backend, const MatrixSize& size) {
    std::vector<GuardedMatrix<float>> in;
    std::vector<float> sums(static_cast<std::size_t>(size.rows * size.columns), 0.0F);
    kernels::Sum arguments;
    in.reserve(kernels::kMaxSummands);
    for (int k = 0; k < kernels::kMaxSummands; ++k) {
      in.push_back(filled(random_values(size, random), size));
      arguments.in[k] = in.back().matrix();
      arguments.count = k + 1;
      const std::vector<float> more = in.back().elements();
      for (std::size_t i = 0; i < sums.size(); ++i) sums[i] = k == 0 ? more[i] : sums[i] + more[i];
      GuardedMatrix<float> out(size.rows, size.columns, size.gap);
      arguments.out = out.matrix();
      launch_on(backend, arguments);
      CHECK(out.elements() == sums);
      CHECK(out.guards_are_intact());
    }
    arguments.out = in[0].matrix();
    launch_on(backend, arguments);
    CHECK(in[0].elements() == sums);
  });
}

TEST_CASE("elementwise: rows are scaled by their factors, by one value and by a constant") {
  RandomNumbers random(83);
  for_sizes(kSizes, [&](Backend backend, const MatrixSize& size) {
    const Numbers values = random_values(size, random);
    const Numbers factors = random.floats(size.rows, -2, 2);
    const Numbers value{0.8125};
    GuardedMatrix<float> row_factor(size.rows, 1, 2);
    row_factor.fill(factors);
    GuardedMatrix<float> scalar(value, 1);
    for (const bool by_rows : {false, true}) {
      for (const bool by_scalar : {false, true}) {
        const auto exact = [&](std::size_t i) {
          const std::size_t row = i / static_cast<std::size_t>(size.columns);
          return values[i] * (by_rows ? factors[row] : 1) * (by_scalar ? value[0] : 1) * 1.5;
        };
        const auto magnitude = [&](std::size_t i) { return std::fabs(exact(i)); };
        auto in = filled(values, size);
        GuardedMatrix<float> out(size.rows, size.columns, size.gap);
        for (auto* target : {&out, &in}) {
          launch_on(backend, kernels::ScaleRows{
                                 .in = in.matrix(),
                                 .row_factor = by_rows ? row_factor.matrix() : Matrix<float>{},
                                 .scalar = by_scalar ? scalar.data() : nullptr,
                                 .out = target->matrix(),
                                 .scale = 1.5F});
          CHECK(are_near(target->values(), exact, magnitude));
          CHECK(target->guards_are_intact());
        }
      }
    }
  });
}

TEST_CASE("elementwise: copied rows are the same bytes, between any strides") {
  RandomNumbers random(84);
  for (const std::int64_t to_gap : {0, 5}) {
    for_sizes(kSizes, [&](Backend backend, const MatrixSize& size) {
      Numbers bytes;
      for (std::int64_t i = 0; i < size.rows * size.columns; ++i)
        bytes.push_back(static_cast<double>(random.below(256)));
      GuardedMatrix<std::uint8_t> in(size.rows, size.columns, size.gap);
      in.fill(bytes);
      GuardedMatrix<std::uint8_t> out(size.rows, size.columns, to_gap);
      launch_on(backend, kernels::CopyRows{.in = in.matrix(), .out = out.matrix()});
      CHECK(out.values() == bytes);
      CHECK(out.guards_are_intact());
    });
  }
}

TEST_CASE("elementwise: fill writes its value everywhere and nowhere else") {
  for_sizes(kSizes, [&](Backend backend, const MatrixSize& size) {
    GuardedMatrix<float> out(size.rows, size.columns, size.gap);
    launch_on(backend, kernels::Fill{.out = out.matrix(), .value = -2.5F});
    CHECK(out.values() == Numbers(static_cast<std::size_t>(size.rows * size.columns), -2.5));
    CHECK(out.guards_are_intact());
  });
}

namespace {

template <class T>
void check_to_float(kernels::ElementType type, const std::vector<T>& values) {
  for (const std::size_t count : {std::size_t{0}, std::size_t{1}, values.size()}) {
    GuardedMatrix<T> in(1, static_cast<std::int64_t>(count));
    std::vector<float> expected;
    for (std::size_t i = 0; i < count; ++i) {
      in.data()[i] = values[i];
      expected.push_back(static_cast<float>(values[i]));
    }
    for (const Backend backend : tested_backends()) {
      INFO(kernels::name_of(backend) << ", type " << static_cast<int>(type));
      GuardedMatrix<float> out(1, static_cast<std::int64_t>(count));
      launch_on(backend, kernels::ToFloat{.in = in.data(),
                                          .type = type,
                                          .out = out.data(),
                                          .count = static_cast<std::int64_t>(count)});
      CHECK(out.elements() == expected);
      CHECK(out.guards_are_intact());
    }
  }
}

// The limits, what float32 must round (ties too), and enough others for whole vectors.
template <class T>
std::vector<T> integers(RandomNumbers& random) {
  std::vector<T> values{0, 1, std::numeric_limits<T>::min(), std::numeric_limits<T>::max()};
  for (int i = 0; i < 61; ++i) values.push_back(static_cast<T>(random.bits()));
  if constexpr (sizeof(T) >= 4) {
    for (const T big : {T{1} << 24, T{1} << 25, T{1} << 30}) {
      for (T near = -3; near <= 3; ++near) {
        values.push_back(big + near);
        values.push_back(-big + near);
      }
    }
  }
  // Rounded to float64 first these would be halfway between two floats.
  if constexpr (sizeof(T) == 8) {
    for (const T near : {-1, 1}) values.push_back((T{1} << 60) + (T{1} << 36) + near);
  }
  return values;
}

}  // namespace

TEST_CASE("elementwise: elements of every type become the nearest floats") {
  RandomNumbers random(85);
  const auto check = [](kernels::ElementType type, const auto& values) {
    check_to_float(type, values);
    // Alone, once in each order of the threads.
    const LaunchesAlone alone;
    for (int order = 0; order < 3; ++order) check_to_float(type, values);
  };
  check(kernels::ElementType::int32, integers<std::int32_t>(random));
  check(kernels::ElementType::int64, integers<std::int64_t>(random));
  check(kernels::ElementType::uint8, integers<std::uint8_t>(random));
  std::vector<float> floats;
  for (const double value : random.floats(67, -2, 2)) floats.push_back(static_cast<float>(value));
  floats.push_back(std::numeric_limits<float>::infinity());
  check(kernels::ElementType::float32, floats);
}

TEST_CASE("elementwise: floats become ids towards zero; what is no int32 becomes the lowest one") {
  const double infinity = std::numeric_limits<double>::infinity();
  const Numbers values{0,    0.999, -0.999,   1,         -1,         1.5,           -1.5,
                       7.99, 1e6,   -1e6,     NAN,       2147483520, -2147483648.0, 2147483648.0,
                       1e10, -1e10, infinity, -infinity, -0.0,       3e-45,         16777217};
  const std::vector<std::int32_t> expected{
      0,          0,     0,     1,     -1,    1,     -1,    7, 1000000, -1000000, kNoId,
      2147483520, kNoId, kNoId, kNoId, kNoId, kNoId, kNoId, 0, 0,       16777216};
  // Of every two launches one is a row program's; the third of the others takes a random order.
  for (const std::int64_t columns : {1, 3, 7, 21, 3, 1}) {
    for (const Backend backend : tested_backends()) {
      INFO(kernels::name_of(backend) << ", C " << columns);
      GuardedMatrix<float> in(values, columns, 1);
      GuardedMatrix<std::int32_t> out(21 / columns, columns, 2);
      launch_on(backend, kernels::FloatToIds{.in = in.matrix(), .out = out.matrix()});
      CHECK(out.elements() == expected);
      CHECK(out.guards_are_intact());
    }
  }
}

TEST_CASE("elementwise: blocks of rows are turned") {
  RandomNumbers random(86);
  for (const std::int64_t blocks : {0, 1, 3}) {
    for (const std::int64_t rows : {0, 1, 2, 17}) {
      for (const std::int64_t columns : {0, 1, 5, 33}) {
        const Numbers values = random.floats(blocks * rows * columns, -2, 2);
        Numbers expected;
        for (std::int64_t n = 0; n < blocks; ++n) {
          for (std::int64_t c = 0; c < columns; ++c) {
            for (std::int64_t r = 0; r < rows; ++r)
              expected.push_back(values[static_cast<std::size_t>((n * rows + r) * columns + c)]);
          }
        }
        GuardedMatrix<float> in(1, blocks * rows * columns);
        in.fill(values);
        for (const Backend backend : tested_backends()) {
          GuardedMatrix<float> out(1, blocks * rows * columns);
          launch_on(backend, kernels::TransposeBlocks{.in = in.data(),
                                                      .out = out.data(),
                                                      .blocks = blocks,
                                                      .rows = rows,
                                                      .columns = columns});
          CHECK(out.values() == expected);
          CHECK(out.guards_are_intact());
        }
      }
    }
  }
}

TEST_CASE("elementwise: a quotient by nothing is the numerator, by zero it is zero") {
  for (const Backend backend : tested_backends()) {
    const auto quotient = [&](double numerator, const Numbers& divisor) {
      GuardedMatrix<float> by(divisor, 1);
      GuardedMatrix<float> out(1, 1);
      launch_on(backend, kernels::Quotient{.numerator = numerator,
                                           .divisor = divisor.empty() ? nullptr : by.data(),
                                           .out = out.data()});
      CHECK(out.guards_are_intact());
      return out.elements()[0];
    };
    INFO(kernels::name_of(backend));
    CHECK(quotient(0.1, {}) == 0.1F);
    CHECK(quotient(7, {3}) == static_cast<float>(7.0 / 3));
    CHECK(quotient(1, {0}) == 0);
    CHECK(quotient(1, {-0.0}) == 0);
    CHECK(quotient(1.0 / 3, {0.75}) == static_cast<float>(1.0 / 3 / 0.75));
    CHECK(std::isnan(quotient(1, {NAN})));
  }
}

TEST_CASE("elementwise: the gradient of penalties is 0 at 0, scaled, and added when asked") {
  RandomNumbers random(87);
  for_sizes(kSizes, [&](Backend backend, const MatrixSize& size) {
    Numbers weights = random_values(size, random);
    for (std::size_t i = 0; i < weights.size(); i += 3) weights[i] = i % 2 == 0 ? 0.0 : -0.0;
    const Numbers before = random_values(size, random);
    const Numbers factor{0.375};
    GuardedMatrix<float> scale(factor, 1);
    auto weight = filled(weights, size);
    for (const bool scaled : {false, true}) {
      for (const bool accumulate : {false, true}) {
        const auto slope = [&](std::size_t i) {
          const double w = weights[i];
          const double sign = w > 0 ? 1 : (w < 0 ? -1 : 0);
          return (scaled ? factor[0] : 1) * (0.125 * sign + 2 * 0.75 * w);
        };
        const auto exact = [&](std::size_t i) { return slope(i) + (accumulate ? before[i] : 0); };
        const auto magnitude = [&](std::size_t i) {
          return std::fabs(slope(i)) + (accumulate ? std::fabs(before[i]) : 0);
        };
        GuardedMatrix<float> out(size.rows, size.columns, size.gap);
        if (accumulate) out.fill(before);
        launch_on(backend, kernels::PenaltyGradient{.weight = weight.matrix(),
                                                    .out = out.matrix(),
                                                    .scale = scaled ? scale.data() : nullptr,
                                                    .l1 = 0.125F,
                                                    .l2 = 0.75F,
                                                    .accumulate = accumulate});
        CHECK(are_near(out.values(), exact, magnitude));
        CHECK(out.guards_are_intact());
      }
    }
  });
}
