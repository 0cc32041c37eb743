// The mask kernels against plain loops.
#include <cmath>
#include <vector>

#include "kernels/mask.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/guarded_matrix.hpp"
#include "tests/support/matrix_sizes.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

constexpr MatrixSize kSizes[] = {{0, 3, 0}, {3, 0, 0},  {1, 1, 0},
                                 {7, 5, 2}, {3, 17, 0}, {13, 67, 1}};

// Bytes other than 1 count as valid too.
Numbers mask_bytes(std::int64_t count, RandomNumbers& random) {
  Numbers bytes;
  for (std::int64_t i = 0; i < count; ++i) {
    constexpr double kBytes[] = {0, 1, 0, 1, 255, 2};
    bytes.push_back(kBytes[random.below(6)]);
  }
  return bytes;
}

template <class T>
GuardedMatrix<T> filled(const Numbers& values, std::int64_t rows, std::int64_t columns,
                        std::int64_t gap) {
  GuardedMatrix<T> matrix(rows, columns, gap);
  matrix.fill(values);
  return matrix;
}

std::size_t place(std::int64_t row, std::int64_t column, std::int64_t columns) {
  return static_cast<std::size_t>(row * columns + column);
}

}  // namespace

TEST_CASE("mask: ids that are not the padding are valid, where the other mask says so too") {
  RandomNumbers random(111);
  for (const std::int32_t value : {0, -1, 3}) {
    for (const bool with_other : {false, true}) {
      for_sizes(kSizes, [&](Backend backend, const MatrixSize& size) {
        const std::int64_t count = size.rows * size.columns;
        Numbers ids;
        for (std::int64_t i = 0; i < count; ++i)
          ids.push_back(static_cast<double>(random.below(5) - 1));
        const Numbers other = mask_bytes(count, random);
        Numbers expected;
        for (std::size_t i = 0; i < ids.size(); ++i)
          expected.push_back(ids[i] != value && (!with_other || other[i] != 0) ? 1 : 0);
        auto in = filled<std::int32_t>(ids, size.rows, size.columns, size.gap);
        auto and_mask = filled<std::uint8_t>(other, size.rows, size.columns, 3);
        GuardedMatrix<std::uint8_t> mask(size.rows, size.columns, size.gap);
        launch_on(backend, kernels::IdsNotEqual{
                               .ids = in.matrix(),
                               .and_mask = with_other ? and_mask.matrix() : Matrix<std::uint8_t>{},
                               .mask = mask.matrix(),
                               .value = value});
        CHECK(mask.values() == expected);
        CHECK(mask.guards_are_intact());
      });
    }
  }
}

TEST_CASE("mask: a step is masked if all it holds is the mask value, and its values become 0") {
  RandomNumbers random(112);
  for (const double value : {0.0, -1.5}) {
    for (const bool with_other : {false, true}) {
      for_sizes(kSizes, [&](Backend backend, const MatrixSize& size) {
        // Steps of mask values alone, with one other value, or with NaN, which differs from all.
        Numbers in(static_cast<std::size_t>(size.rows * size.columns), value);
        for (std::int64_t n = 0; n < size.rows && size.columns > 0; ++n) {
          const std::size_t at = place(n, random.below(size.columns), size.columns);
          if (n % 4 == 1) in[at] = 0.25;
          if (n % 4 == 2) in[at] = NAN;
        }
        const Numbers other = mask_bytes(size.rows, random);
        Numbers mask;
        std::vector<float> out;
        for (std::int64_t n = 0; n < size.rows; ++n) {
          bool valid = false;
          for (std::int64_t f = 0; f < size.columns; ++f)
            valid = valid || in[place(n, f, size.columns)] != value;
          if (with_other) valid = valid && other[static_cast<std::size_t>(n)] != 0;
          mask.push_back(valid ? 1 : 0);
          for (std::int64_t f = 0; f < size.columns; ++f)
            out.push_back(valid ? static_cast<float>(in[place(n, f, size.columns)]) : 0.0F);
        }
        auto values = filled<float>(in, size.rows, size.columns, size.gap);
        auto and_mask = filled<std::uint8_t>(other, size.rows, 1, 2);
        const Matrix<std::uint8_t> also = with_other ? and_mask.matrix() : Matrix<std::uint8_t>{};
        const auto value32 = static_cast<float>(value);
        GuardedMatrix<float> both_out(size.rows, size.columns, 1);
        GuardedMatrix<float> only_out(size.rows, size.columns, 1);
        GuardedMatrix<std::uint8_t> both_mask(size.rows, 1, 1);
        GuardedMatrix<std::uint8_t> only_mask(size.rows, 1, 1);
        const kernels::MaskingForward arguments{
            .in = values.matrix(), .and_mask = also, .value = value32};
        kernels::MaskingForward both = arguments;
        both.out = both_out.matrix();
        both.mask = both_mask.matrix();
        launch_on(backend, both);
        kernels::MaskingForward values_alone = arguments;
        values_alone.out = only_out.matrix();
        launch_on(backend, values_alone);
        kernels::MaskingForward mask_alone = arguments;
        mask_alone.mask = only_mask.matrix();
        launch_on(backend, mask_alone);
        for (auto* written : {&both_mask, &only_mask}) {
          CHECK(written->values() == mask);
          CHECK(written->guards_are_intact());
        }
        for (auto* written : {&both_out, &only_out}) {
          const std::vector<float> got = written->elements();
          int wrong = 0;
          for (std::size_t i = 0; i < out.size(); ++i)
            wrong += (std::isnan(out[i]) ? std::isnan(got[i]) : got[i] == out[i]) ? 0 : 1;
          CHECK(wrong == 0);
          CHECK(written->guards_are_intact());
        }
      });
    }
  }
}

TEST_CASE("mask: gradients of masked steps are 0, whatever arrives, in place too") {
  RandomNumbers random(113);
  for_sizes(kSizes, [&](Backend backend, const MatrixSize& size) {
    Numbers arriving = random.floats(size.rows * size.columns, -2, 2);
    const Numbers bytes = mask_bytes(size.rows, random);
    Numbers expected;
    for (std::size_t i = 0; i < arriving.size(); ++i) {
      const bool valid = bytes[i / static_cast<std::size_t>(size.columns)] != 0;
      if (!valid && i % 3 == 0) arriving[i] = NAN;
      expected.push_back(valid ? arriving[i] : 0);
    }
    auto mask = filled<std::uint8_t>(bytes, size.rows, 1, 2);
    auto out_grad = filled<float>(arriving, size.rows, size.columns, size.gap);
    GuardedMatrix<float> in_grad(size.rows, size.columns, size.gap);
    for (auto* target : {&in_grad, &out_grad}) {
      launch_on(backend, kernels::MaskingBackward{.mask = mask.matrix(),
                                                  .out_grad = out_grad.matrix(),
                                                  .in_grad = target->matrix()});
      CHECK(target->values() == expected);
      CHECK(target->guards_are_intact());
    }
  });
}

TEST_CASE("mask: two masks are combined by OR and by AND, into ones and zeros") {
  RandomNumbers random(114);
  for (const bool all : {false, true}) {
    for_sizes(kSizes, [&](Backend backend, const MatrixSize& size) {
      const Numbers a_bytes = mask_bytes(size.rows * size.columns, random);
      const Numbers b_bytes = mask_bytes(size.rows * size.columns, random);
      Numbers expected;
      for (std::size_t i = 0; i < a_bytes.size(); ++i) {
        const int valid = (a_bytes[i] != 0 ? 1 : 0) + (b_bytes[i] != 0 ? 1 : 0);
        expected.push_back(valid >= (all ? 2 : 1) ? 1 : 0);
      }
      auto a = filled<std::uint8_t>(a_bytes, size.rows, size.columns, size.gap);
      auto b = filled<std::uint8_t>(b_bytes, size.rows, size.columns, 2);
      GuardedMatrix<std::uint8_t> out(size.rows, size.columns, size.gap);
      launch_on(backend, kernels::CombineMasks{
                             .a = a.matrix(), .b = b.matrix(), .out = out.matrix(), .all = all});
      CHECK(out.values() == expected);
      CHECK(out.guards_are_intact());
    });
  }
}

TEST_CASE("mask: weights are 0 at masked places, else the sample weight or 1") {
  RandomNumbers random(115);
  for (const bool with_weight : {false, true}) {
    for_sizes(kSizes, [&](Backend backend, const MatrixSize& size) {
      const Numbers bytes = mask_bytes(size.rows * size.columns, random);
      Numbers given = random.floats(size.rows * size.columns, -2, 2);
      Numbers expected;
      for (std::size_t i = 0; i < bytes.size(); ++i) {
        if (bytes[i] == 0 && i % 2 == 0) given[i] = NAN;
        expected.push_back(bytes[i] != 0 ? (with_weight ? given[i] : 1) : 0);
      }
      auto mask = filled<std::uint8_t>(bytes, size.rows, size.columns, size.gap);
      auto sample_weight = filled<float>(given, size.rows, size.columns, 1);
      GuardedMatrix<float> weight(size.rows, size.columns, size.gap);
      launch_on(backend, kernels::MaskToWeight{.mask = mask.matrix(),
                                               .sample_weight = with_weight ? sample_weight.matrix()
                                                                            : Matrix<float>{},
                                               .weight = weight.matrix()});
      CHECK(weight.values() == expected);
      CHECK(weight.guards_are_intact());
    });
  }
}

TEST_CASE("mask: rows are valid up to their ends, or throughout") {
  RandomNumbers random(116);
  for (const bool with_ends : {false, true}) {
    for_sizes(kSizes, [&](Backend backend, const MatrixSize& size) {
      Numbers ends;
      // From before the first step to beyond the last.
      for (std::int64_t n = 0; n < size.rows; ++n)
        ends.push_back(static_cast<double>(random.below(size.columns + 3) - 1));
      Numbers expected;
      for (std::int64_t n = 0; n < size.rows; ++n) {
        for (std::int64_t t = 0; t < size.columns; ++t) {
          const bool valid = static_cast<double>(t) < ends[static_cast<std::size_t>(n)];
          expected.push_back(!with_ends || valid ? 1 : 0);
        }
      }
      auto given = filled<std::int64_t>(ends, 1, size.rows, 0);
      GuardedMatrix<std::uint8_t> mask(size.rows, size.columns, size.gap);
      launch_on(backend, kernels::RowEnds{.ends = with_ends ? given.data() : nullptr,
                                          .mask = mask.matrix()});
      CHECK(mask.values() == expected);
      CHECK(mask.guards_are_intact());
    });
  }
}
