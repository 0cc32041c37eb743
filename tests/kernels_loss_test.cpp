// The loss kernels against Keras's formulas in float64; gradients against central differences.
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "kernels/loss.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/guarded_matrix.hpp"
#include "tests/support/loss_reference.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

constexpr double kTolerance = 3e-6;

struct LossRow {
  Numbers truth;  // of the sparse kind: the label alone
  Numbers predicted;
};

double loss_of(const LossRule& rule, const LossRow& row) {
  return LossOfRow(rule, row.truth, row.predicted).value();
}

Numbers slopes_of(const LossRule& rule, LossRow row, double step) {
  Numbers slopes;
  for (double& p : row.predicted) {
    const double value = p;
    p = value + step;
    const double above = loss_of(rule, row);
    p = value - step;
    const double below = loss_of(rule, row);
    p = value;
    slopes.push_back((above - below) / (2 * step));
  }
  return slopes;
}

struct LossCase {
  LossRule rule;
  std::vector<LossRow> rows;
  Numbers value_grads;
  double step = 1e-6;
};

Numbers joined(const std::vector<LossRow>& rows, Numbers LossRow::*field) {
  Numbers all;
  for (const LossRow& row : rows) all.insert(all.end(), (row.*field).begin(), (row.*field).end());
  return all;
}

// Each element by its own size, for rows of very different magnitude.
double largest_relative_error(const Numbers& got, const Numbers& expected) {
  double worst = got.size() == expected.size() ? 0 : INFINITY;
  for (std::size_t i = 0; i < expected.size() && i < got.size(); ++i) {
    worst = std::fmax(worst, largest_error({got[i]}, {expected[i]}, 0.1));
  }
  return worst;
}

void check_on_every_backend(const LossCase& test, std::int64_t gap) {
  const bool sparse = test.rule.kind == LossKind::sparse_categorical_crossentropy;
  const auto rows = static_cast<std::int64_t>(test.rows.size());
  const auto columns = rows == 0 ? 3 : static_cast<std::int64_t>(test.rows[0].predicted.size());
  const bool logits = test.rule.from_logits;
  constexpr float kScale = 0.5F;
  Numbers values;
  Numbers slopes;
  Numbers scaled;
  for (std::size_t n = 0; n < test.rows.size(); ++n) {
    values.push_back(loss_of(test.rule, test.rows[n]));
    for (const double slope : slopes_of(test.rule, test.rows[n], test.step)) {
      slopes.push_back(slope);
      scaled.push_back(slope * test.value_grads[n] * 0.375);
    }
  }
  const Numbers truth_values = joined(test.rows, &LossRow::truth);
  GuardedMatrix<float> truth(sparse ? Numbers{} : truth_values, columns, gap);
  GuardedMatrix<std::int32_t> labels(sparse ? truth_values : Numbers{}, 1, gap);
  GuardedMatrix<float> predicted(joined(test.rows, &LossRow::predicted), columns, gap);
  GuardedMatrix<float> value_grads(test.value_grads, 1, gap);
  GuardedMatrix<float> scalar(Numbers{0.75}, 1);
  for (const Backend backend : tested_backends()) {
    INFO(kernels::name_of(backend) << ", N " << rows << ", C " << columns);
    GuardedMatrix<float> value(rows, 1, gap);
    GuardedMatrix<float> probabilities(rows, columns, gap);
    kernels::LossForward forward{.rule = test.rule,
                                 .truth = sparse ? Matrix<float>{} : truth.matrix(),
                                 .labels = sparse ? labels.matrix() : Matrix<std::int32_t>{},
                                 .predicted = predicted.matrix(),
                                 .values = value.matrix()};
    launch_on(backend, forward);
    CHECK(largest_relative_error(value.values(), values) < kTolerance);
    const std::vector<float> without = value.elements();
    if (logits) {
      forward.probabilities = probabilities.matrix();
      launch_on(backend, forward);
      CHECK(value.elements() == without);
    }
    CHECK(value.guards_are_intact());
    CHECK(probabilities.guards_are_intact());

    kernels::LossBackward backward{.rule = test.rule,
                                   .truth = forward.truth,
                                   .labels = forward.labels,
                                   .predicted = predicted.matrix(),
                                   .probabilities = forward.probabilities};
    const auto gradient = [&] {
      GuardedMatrix<float> grad(rows, columns, gap);
      backward.predicted_grad = grad.matrix();
      launch_on(backend, backward);
      CHECK(grad.guards_are_intact());
      return grad.values();
    };
    // What differences lose of a large value does not count.
    const double tolerance = test.step < 1e-6 ? 5e-5 : kTolerance;
    CHECK(largest_relative_error(gradient(), slopes) < tolerance);
    backward.probabilities = {};
    CHECK(largest_relative_error(gradient(), slopes) < tolerance);
    backward.value_grad = value_grads.matrix();
    backward.scalar = scalar.data();
    backward.scale = kScale;
    CHECK(largest_relative_error(gradient(), scaled) < tolerance);
  }
}

struct LossSize {
  std::int64_t rows;
  std::int64_t columns;
};
constexpr LossSize kSizes[] = {{0, 3}, {1, 1}, {2, 3}, {5, 16}, {3, 17}, {33, 7}, {4, 130}};

std::string described(const LossRule& rule) {
  return "kind " + std::to_string(static_cast<int>(rule.kind)) +
         (rule.from_logits ? ", from logits" : "") + ", smoothing " +
         std::to_string(rule.label_smoothing);
}

LossCase random_case(const LossRule& rule, const LossSize& size, RandomNumbers& random) {
  LossCase test{.rule = rule, .rows = {}, .value_grads = random.floats(size.rows, -2, 2)};
  const bool probabilities = !rule.from_logits;
  for (std::int64_t n = 0; n < size.rows; ++n) {
    LossRow row;
    row.predicted = probabilities ? random.floats(size.columns, 0.05, 0.95)
                                  : random.floats(size.columns, -4, 4);
    row.truth = rule.kind == LossKind::sparse_categorical_crossentropy
                    ? Numbers{static_cast<double>(random.below(size.columns))}
                    : random.floats(size.columns, 0.02, 0.98);
    // The targets of a row sum up to 1.25: what is not 1 counts too.
    if (rule.kind == LossKind::categorical_crossentropy) {
      double sum = 0;
      for (const double y : row.truth) sum += y;
      for (double& y : row.truth) y = static_cast<double>(static_cast<float>(1.25 * y / sum));
    }
    // Far from the corners of the absolute values, where differences say nothing.
    for (std::size_t c = 0; c < row.predicted.size() && row.truth.size() > 1; ++c) {
      if (std::fabs(row.predicted[c] - row.truth[c]) < 1e-3) row.truth[c] += 0.015625;
    }
    test.rows.push_back(row);
  }
  return test;
}

}  // namespace

TEST_CASE("loss: every elementwise kind and its gradient are Keras's, for all sizes") {
  RandomNumbers random(21);
  for (const LossKind kind : kElementwiseLosses) {
    for (const LossSize& size : kSizes) {
      const LossRule rule{.kind = kind, .delta = 0.3F};
      INFO(described(rule));
      check_on_every_backend(random_case(rule, size, random), size.rows == 2 ? 3 : 0);
    }
  }
}

TEST_CASE("loss: crossentropies take probabilities or logits, smoothed or not") {
  RandomNumbers random(22);
  for (const LossKind kind : kCrossentropies) {
    for (const bool from_logits : {false, true}) {
      for (const float smoothing : {0.0F, 0.2F}) {
        for (const LossSize& size : kSizes) {
          const LossRule rule{
              .kind = kind, .from_logits = from_logits, .label_smoothing = smoothing};
          INFO(described(rule));
          check_on_every_backend(random_case(rule, size, random), size.rows == 2 ? 3 : 0);
        }
      }
    }
  }
}

TEST_CASE("loss: values from logits come with the probabilities") {
  RandomNumbers random(23);
  const Numbers logits = random.floats(4 * 19, -6, 6);
  for (const Backend backend : tested_backends()) {
    for (const LossKind kind :
         {LossKind::binary_crossentropy, LossKind::categorical_crossentropy}) {
      Numbers expected;
      for (std::size_t n = 0; n < 4; ++n) {
        const Numbers row(logits.begin() + static_cast<std::ptrdiff_t>(n * 19),
                          logits.begin() + static_cast<std::ptrdiff_t>(n * 19 + 19));
        const double shift = log_of_sum_of_exponentials(row);
        for (const double x : row) {
          const bool binary = kind == LossKind::binary_crossentropy;
          expected.push_back(binary ? 1 / (1 + std::exp(-x)) : std::exp(x - shift));
        }
      }
      GuardedMatrix<float> predicted(logits, 19);
      GuardedMatrix<float> truth(Numbers(4 * 19, 1.0 / 19), 19);
      GuardedMatrix<float> values(4, 1);
      GuardedMatrix<float> probabilities(4, 19, 5);
      launch_on(backend, kernels::LossForward{.rule = {.kind = kind, .from_logits = true},
                                              .truth = truth.matrix(),
                                              .predicted = predicted.matrix(),
                                              .values = values.matrix(),
                                              .probabilities = probabilities.matrix()});
      CHECK(largest_error(probabilities.values(), expected) < kTolerance);
      CHECK(probabilities.guards_are_intact());
    }
  }
}

TEST_CASE("loss: rows of one column are what they are alone, however many blocks they take") {
  RandomNumbers random(27);
  constexpr std::int64_t kRows = 1031;
  GuardedMatrix<float> predicted(random.floats(kRows, 0.05, 0.95), 1);
  GuardedMatrix<float> truth(random.floats(kRows, 0, 1), 1);
  for (const Backend backend : tested_backends()) {
    INFO(kernels::name_of(backend));
    // At most so many rows a launch.
    const auto values_and_slopes = [&](std::int64_t at_once) {
      GuardedMatrix<float> values(kRows, 1);
      GuardedMatrix<float> slopes(kRows, 1);
      for (std::int64_t first = 0; first < kRows; first += at_once) {
        const auto some = [&](auto& whole) {
          const auto all = whole.matrix();
          return decltype(all){all.row(first), std::min(at_once, kRows - first), 1, all.stride};
        };
        const kernels::LossRule rule{.kind = LossKind::binary_crossentropy};
        launch_on(backend, kernels::LossForward{.rule = rule,
                                                .truth = some(truth),
                                                .predicted = some(predicted),
                                                .values = some(values)});
        launch_on(backend, kernels::LossBackward{.rule = rule,
                                                 .truth = some(truth),
                                                 .predicted = some(predicted),
                                                 .predicted_grad = some(slopes)});
      }
      return std::pair(values.elements(), slopes.elements());
    };
    CHECK(values_and_slopes(kRows) == values_and_slopes(29));
  }
}

TEST_CASE("loss: saturated predictions give finite losses and Keras's clipped gradients") {
  const Numbers ones{1, 1};
  const double step = 1e-9;
  for (const float smoothing : {0.0F, 0.1F}) {
    check_on_every_backend(
        {.rule = {.kind = LossKind::binary_crossentropy, .label_smoothing = smoothing},
         .rows = {{{0, 1, 0, 1}, {0, 0, 1, 1}}, {{1, 0, 1, 0}, {1e-9, 0.25, 1.5, -0.5}}},
         .value_grads = ones,
         .step = step},
        0);
    check_on_every_backend(
        {.rule = {.kind = LossKind::categorical_crossentropy, .label_smoothing = smoothing},
         .rows = {{{0, 1, 0}, {1, 0, 0}}, {{0, 0, 1}, {0.5, 0.5, 1e-9}}},
         .value_grads = ones,
         .step = step},
        0);
  }
  check_on_every_backend({.rule = {.kind = LossKind::sparse_categorical_crossentropy},
                          .rows = {{{1}, {1, 0, 0}}, {{2}, {0.5, 0.25, 1e-9}}},
                          .value_grads = ones,
                          .step = step},
                         0);
  check_on_every_backend({.rule = {.kind = LossKind::kl_divergence},
                          .rows = {{{0, 1, 0.5}, {0.25, 0, 1.5}}, {{2, 1e-9, 1}, {0.5, 1e-9, -1}}},
                          .value_grads = ones,
                          .step = step},
                         0);
  check_on_every_backend({.rule = {.kind = LossKind::mean_squared_logarithmic_error},
                          .rows = {{{0, -1, 3}, {-2, 5, 0}}, {{1e6, 1, 2}, {0.5, 1e6, -1}}},
                          .value_grads = ones,
                          .step = step},
                         0);
}

TEST_CASE("loss: extreme logits overflow nowhere") {
  const LossRow binary{{0, 1, 0, 1}, {1000, 1000, -1000, -1000}};
  const LossRow milder{{0.5, 1, 0, 0.25}, {90, -90, 90, -20}};
  const LossRow one_hot{{0, 1, 0, 0}, {1000, -1000, 999, 0}};
  const LossRow equal{{1, 0, 0, 0}, {-3e4, -3e4, -3e4, -3e4}};
  for (const float smoothing : {0.0F, 0.1F}) {
    LossRule rule{
        .kind = LossKind::binary_crossentropy, .from_logits = true, .label_smoothing = smoothing};
    check_on_every_backend({.rule = rule, .rows = {binary, milder}, .value_grads = {1, -1}}, 0);
    rule.kind = LossKind::categorical_crossentropy;
    check_on_every_backend({.rule = rule, .rows = {one_hot, equal}, .value_grads = {1, -1}}, 0);
  }
  check_on_every_backend(
      {.rule = {.kind = LossKind::sparse_categorical_crossentropy, .from_logits = true},
       .rows = {{{1}, one_hot.predicted}, {{3}, equal.predicted}},
       .value_grads = {1, -1}},
      0);
  check_on_every_backend({.rule = {.kind = LossKind::log_cosh},
                          .rows = {{{0, 0}, {1e4, -1e4}}, {{0, 1}, {20, -20}}},
                          .value_grads = {1, -1}},
                         0);
}

TEST_CASE("loss: rows of the ignored class have no loss and no gradient, whatever the label") {
  RandomNumbers random(24);
  for (const bool from_logits : {false, true}) {
    for (const std::int32_t ignored : {-1, 2, 255}) {
      LossRule rule{.kind = LossKind::sparse_categorical_crossentropy,
                    .from_logits = from_logits,
                    .has_ignore_class = true,
                    .ignore_class = ignored};
      LossCase test = random_case(rule, {6, 5}, random);
      for (const std::size_t n : {0U, 3U, 4U}) test.rows[n].truth = {static_cast<double>(ignored)};
      check_on_every_backend(test, 0);
    }
  }
}

TEST_CASE("loss: the absolute error has no slope where it is zero") {
  GuardedMatrix<float> truth(Numbers{1, 2}, 2);
  GuardedMatrix<float> predicted(Numbers{1, 3}, 2);
  for (const Backend backend : tested_backends()) {
    GuardedMatrix<float> grad(1, 2);
    launch_on(backend, kernels::LossBackward{.rule = {.kind = LossKind::mean_absolute_error},
                                             .truth = truth.matrix(),
                                             .predicted = predicted.matrix(),
                                             .predicted_grad = grad.matrix()});
    CHECK(grad.values() == Numbers{0, 0.5});
  }
}

TEST_CASE("loss: weighted sums are exact to the last rounding and add to what is there") {
  RandomNumbers random(25);
  for (const std::int64_t rows : {0, 1, 7, 64, 100003}) {
    const Numbers value = random.floats(rows, 0, 3);
    const Numbers weight = random.floats(rows, 0, 2);
    double sum = 0;
    double plain = 0;
    double weights = 0;
    for (std::size_t n = 0; n < value.size(); ++n) {
      sum += value[n] * weight[n];
      plain += value[n];
      weights += weight[n];
    }
    GuardedMatrix<float> values(value, 1, 2);
    GuardedMatrix<float> factors(weight, 1, 1);
    for (const Backend backend : tested_backends()) {
      INFO(kernels::name_of(backend) << ", N " << rows);
      GuardedMatrix<float> sums(1, 2);
      kernels::WeightedSum arguments{.value = values.matrix(), .sums = sums.data()};
      launch_on(backend, arguments);
      CHECK(largest_relative_error(sums.values(), {plain, static_cast<double>(rows)}) < 6e-8);
      arguments.weight = factors.matrix();
      launch_on(backend, arguments);
      CHECK(largest_relative_error(sums.values(), {sum, weights}) < 6e-8);
      arguments.accumulate = true;
      launch_on(backend, arguments);
      CHECK(largest_relative_error(sums.values(), {2 * sum, 2 * weights}) < 1.2e-7);
      CHECK(sums.guards_are_intact());

      // By many blocks, where there are enough.
      GuardedScratch scratch(kernels::scratch_of_sums(rows, 2));
      arguments.scratch = static_cast<float*>(scratch.data());
      launch_on(backend, arguments);
      CHECK(largest_relative_error(sums.values(), {3 * sum, 3 * weights}) < 1.8e-7);
      arguments.accumulate = false;
      launch_on(backend, arguments);
      CHECK(largest_relative_error(sums.values(), {sum, weights}) < 6e-8);
      arguments.with_weights = false;
      arguments.weight = {};
      sums.fill({0, 0.5});
      launch_on(backend, arguments);
      CHECK(largest_relative_error(sums.values(), {plain, 0.5}) < 6e-8);
      CHECK(sums.guards_are_intact());
      CHECK(scratch.guards_are_intact());
    }
  }
}
