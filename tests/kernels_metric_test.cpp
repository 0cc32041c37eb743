// The metric kernels against plain counting.
#include <vector>

#include "kernels/metric.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/guarded_matrix.hpp"

using namespace braid;
using namespace braid::testing;
using kernels::AccuracyKind;

namespace {

using Numbers = std::vector<double>;

std::size_t at(std::int64_t row, std::int64_t column, std::int64_t columns) {
  return static_cast<std::size_t>(row * columns + column);
}

// The first of the largest numbers.
std::int64_t place_of_largest(const Numbers& values, std::int64_t row, std::int64_t columns) {
  std::int64_t place = columns - 1;
  for (std::int64_t c = columns; c-- > 0;) {
    if (values[at(row, c, columns)] >= values[at(row, place, columns)]) place = c;
  }
  return place;
}

struct AccuracyCase {
  AccuracyKind kind;
  Numbers truth;
  Numbers labels;
  Numbers predicted;
  std::int64_t rows;
  std::int64_t columns;
  double threshold = 0.5;
};

Numbers expected_accuracy(const AccuracyCase& test) {
  Numbers values;
  for (std::int64_t n = 0; n < test.rows; ++n) {
    double matches = 0;
    for (std::int64_t c = 0; c < test.columns; ++c) {
      const double p = test.predicted[at(n, c, test.columns)];
      const double said = test.kind == AccuracyKind::exact ? p : (p > test.threshold ? 1 : 0);
      if (!test.truth.empty() && test.truth[at(n, c, test.columns)] == said) ++matches;
    }
    double value = matches / static_cast<double>(test.columns);
    const auto chosen = place_of_largest(test.predicted, n, test.columns);
    if (test.kind == AccuracyKind::categorical) {
      value = place_of_largest(test.truth, n, test.columns) == chosen ? 1 : 0;
    }
    if (test.kind == AccuracyKind::sparse_categorical) {
      value = test.labels[at(n, 0, 1)] == static_cast<double>(chosen) ? 1 : 0;
    }
    values.push_back(value);
  }
  return values;
}

void check_on_every_backend(const AccuracyCase& test, std::int64_t gap) {
  const bool sparse = test.kind == AccuracyKind::sparse_categorical;
  GuardedMatrix<float> truth(test.truth, test.columns, gap);
  GuardedMatrix<std::int32_t> labels(test.labels, 1, gap);
  GuardedMatrix<float> predicted(test.predicted, test.columns, gap);
  for (const Backend backend : tested_backends()) {
    INFO(kernels::name_of(backend) << ", kind " << static_cast<int>(test.kind) << ", N "
                                   << test.rows << ", C " << test.columns);
    GuardedMatrix<float> values(test.rows, 1, gap);
    launch_on(backend,
              kernels::AccuracyValues{.kind = test.kind,
                                      .truth = sparse ? Matrix<float>{} : truth.matrix(),
                                      .labels = sparse ? labels.matrix() : Matrix<std::int32_t>{},
                                      .predicted = predicted.matrix(),
                                      .values = values.matrix(),
                                      .threshold = static_cast<float>(test.threshold)});
    CHECK(largest_error(values.values(), expected_accuracy(test)) < 1e-7);
    CHECK(values.guards_are_intact());
  }
}

// Numbers of few values, so that equal ones are common.
Numbers coarse(std::int64_t count, std::int64_t levels, RandomNumbers& random) {
  Numbers values;
  for (std::int64_t i = 0; i < count; ++i) {
    values.push_back(static_cast<double>(random.below(levels)) / 4.0);
  }
  return values;
}

Numbers zeros_and_ones(std::int64_t count, RandomNumbers& random) {
  Numbers values;
  for (std::int64_t i = 0; i < count; ++i) values.push_back(static_cast<double>(random.below(2)));
  return values;
}

}  // namespace

TEST_CASE("metric: accuracies count matches, and the first of equal predictions wins") {
  RandomNumbers random(31);
  for (const std::int64_t rows : {0, 1, 2, 17, 64, 300}) {
    for (const std::int64_t columns : {1, 2, 10, 16, 37}) {
      const std::int64_t count = rows * columns;
      Numbers labels;
      for (std::int64_t n = 0; n < rows; ++n) {
        labels.push_back(static_cast<double>(random.below(columns)));
      }
      const Numbers predicted = coarse(count, 5, random);
      const std::int64_t gap = rows % 2 == 0 ? 0 : 3;
      const auto check = [&](AccuracyKind kind, const Numbers& truth) {
        check_on_every_backend({kind, truth, labels, predicted, rows, columns}, gap);
      };
      check(AccuracyKind::exact, coarse(count, 5, random));
      check(AccuracyKind::binary, zeros_and_ones(count, random));
      check(AccuracyKind::categorical, coarse(count, 5, random));
      check(AccuracyKind::sparse_categorical, {});
    }
  }
}

TEST_CASE("metric: a prediction at the threshold is not positive") {
  for (const double threshold : {0.25, 0.5, 0.0}) {
    check_on_every_backend({.kind = AccuracyKind::binary,
                            .truth = {1, 1, 1, 0, 0, 0},
                            .labels = {},
                            .predicted = {0.25, 0.5, 0.75, 0, 0.25, 0.5},
                            .rows = 3,
                            .columns = 2,
                            .threshold = threshold},
                           0);
  }
}

TEST_CASE("metric: confusion counts are right for every threshold, weighted or not") {
  RandomNumbers random(32);
  enum { kUnweighted, kByRow, kByElement };
  for (const std::int64_t rows : {0, 1, 5, 64}) {
    for (const std::int64_t columns : {1, 3, 18}) {
      for (const std::int64_t threshold_count : {1, 2, 16, 33}) {
        for (const int weighting : {kUnweighted, kByRow, kByElement}) {
          const Numbers truth = zeros_and_ones(rows * columns, random);
          const Numbers predicted = coarse(rows * columns, 5, random);
          const std::int64_t weight_columns = weighting == kByElement ? columns : 1;
          // Eighths, so that sums are exact in any order.
          Numbers weight = coarse(rows * weight_columns, 17, random);
          for (double& w : weight) w /= 2;
          Numbers thresholds;
          for (std::int64_t k = 0; k < threshold_count; ++k) {
            thresholds.push_back(static_cast<double>(k) / 16.0);
          }
          Numbers expected(static_cast<std::size_t>(4 * threshold_count), 0.0);
          for (std::int64_t n = 0; n < rows; ++n) {
            for (std::int64_t c = 0; c < columns; ++c) {
              double w = 1;
              if (weighting == kByRow) w = weight[at(n, 0, 1)];
              if (weighting == kByElement) w = weight[at(n, c, columns)];
              const bool is = truth[at(n, c, columns)] != 0;
              for (std::int64_t k = 0; k < threshold_count; ++k) {
                const bool said = predicted[at(n, c, columns)] > thresholds[at(k, 0, 1)];
                const int row = said ? (is ? 0 : 1) : (is ? 3 : 2);
                expected[at(row, k, threshold_count)] += w;
              }
            }
          }
          GuardedMatrix<float> truths(truth, columns, 2);
          GuardedMatrix<float> predictions(predicted, columns, 1);
          GuardedMatrix<float> weights(weight, weight_columns, 1);
          GuardedMatrix<float> limits(thresholds, threshold_count);
          for (const Backend backend : tested_backends()) {
            INFO(kernels::name_of(backend) << ", N " << rows << ", C " << columns << ", K "
                                           << threshold_count << ", weighting " << weighting);
            GuardedMatrix<float> counts(4, threshold_count);
            kernels::ConfusionCounts arguments{
                .truth = truths.matrix(),
                .predicted = predictions.matrix(),
                .weight = weighting == kUnweighted ? Matrix<float>{} : weights.matrix(),
                .thresholds = limits.data(),
                .threshold_count = threshold_count,
                .counts = counts.data()};
            launch_on(backend, arguments);
            CHECK(counts.values() == expected);
            arguments.accumulate = true;
            launch_on(backend, arguments);
            Numbers twice = expected;
            for (double& value : twice) value *= 2;
            CHECK(counts.values() == twice);
            CHECK(counts.guards_are_intact());
          }
        }
      }
    }
  }
}
