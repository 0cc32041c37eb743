// What metrics count, against plain loops.
#include "engine/graph/ops/metric.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/op_check.hpp"

using namespace braid;
using namespace braid::testing;
using kernels::AccuracyKind;

namespace {

std::int64_t first_largest(const Array& in, std::int64_t row) {
  std::int64_t best = 0;
  for (std::int64_t c = 1; c < in.columns(); ++c) {
    if (in(row, c) > in(row, best)) best = c;
  }
  return best;
}

double accuracy(AccuracyKind kind, const Array& truth, const Array& predicted, std::int64_t n,
                double threshold) {
  if (kind == AccuracyKind::categorical)
    return first_largest(truth, n) == first_largest(predicted, n) ? 1 : 0;
  if (kind == AccuracyKind::sparse_categorical)
    return static_cast<std::int64_t>(truth[n]) == first_largest(predicted, n) ? 1 : 0;
  double right = 0;
  for (std::int64_t c = 0; c < predicted.columns(); ++c) {
    const double said =
        kind == AccuracyKind::exact ? predicted(n, c) : (predicted(n, c) > threshold ? 1 : 0);
    right += said == truth(n, c) ? 1 : 0;
  }
  return right / static_cast<double>(predicted.columns());
}

// Quarters: many are equal, some lie on the threshold.
Array quarters(const Shape& shape, RandomNumbers& random) {
  return random_ids(shape, 5, random).times(0.25);
}

std::vector<OpCheck> accuracies() {
  RandomNumbers random(1);
  std::vector<OpCheck> checks;
  for (const AccuracyKind kind : {AccuracyKind::exact, AccuracyKind::binary,
                                  AccuracyKind::categorical, AccuracyKind::sparse_categorical}) {
    for (const Shape& shape :
         and_random({{0, 3}, {1, 1}, {67, 1}, {33, 4}, {9, 17}, {23, 3, 2}}, 2, random)) {
      const bool sparse = kind == AccuracyKind::sparse_categorical;
      const float threshold = kind == AccuracyKind::binary && shape.back() == 4 ? 0.25F : 0.5F;
      OpCheck check{.name = named("accuracy ", static_cast<int>(kind), " of ", shape)};
      const Array truth =
          kind == AccuracyKind::binary ? random_ids(shape, 2, random) : quarters(shape, random);
      check.inputs = {
          sparse ? ids("labels", random_ids(shape.slice(0, shape.rank() - 1), shape.back(), random))
                 : given("truth", truth),
          given("predicted", quarters(shape, random))};
      if (shape.rank() > 2) {
        for (OpInput& input : check.inputs) input = std::move(input).any_length();
      }
      check.build = [kind, threshold](Graph& graph, const Values& in) -> Values {
        return {ops::accuracy_values(graph, kind, in[0], in[1], threshold)};
      };
      check.reference = [kind, threshold](const Arrays& in) -> Arrays {
        Array out(in[1].shape.slice(0, in[1].shape.rank() - 1));
        for (std::int64_t n = 0; n < out.elements(); ++n)
          out[n] = accuracy(kind, in[0], in[1], n, static_cast<double>(threshold));
        return {out};
      };
      checks.push_back(std::move(check));
    }
  }
  return checks;
}

// `weight` has one number for each row of the predictions, for each element, or is not there.
Array counts(const Array& truth, const Array& predicted, const Array* weight,
             const std::vector<float>& thresholds) {
  Array out(Shape{4, static_cast<Dim>(thresholds.size())});
  for (std::int64_t n = 0; n < predicted.rows(); ++n) {
    for (std::int64_t c = 0; c < predicted.columns(); ++c) {
      const std::int64_t element = n * predicted.columns() + c;
      double w = 1;
      if (weight != nullptr) w = (*weight)[weight->elements() == predicted.rows() ? n : element];
      for (std::size_t k = 0; k < thresholds.size(); ++k) {
        const bool said = predicted[element] > static_cast<double>(thresholds[k]);
        const bool is = truth[element] != 0;
        // True positives, false positives, true negatives, false negatives.
        const int row = said ? (is ? 0 : 1) : (is ? 3 : 2);
        out(row, static_cast<std::int64_t>(k)) += w;
      }
    }
  }
  return out;
}

std::vector<OpCheck> confusions() {
  RandomNumbers random(2);
  std::vector<OpCheck> checks;
  std::vector<float> many;
  for (int k = 0; k < 200; ++k) many.push_back(static_cast<float>(k) / 199);
  for (const std::vector<float>& thresholds :
       {std::vector<float>{0.5F}, {0.25F, 0.5F, 0.75F}, many}) {
    for (const Shape& shape : {Shape{0, 3}, Shape{1, 1}, Shape{67, 1}, Shape{33, 4},
                               Shape{23, 3, 2}, Shape{9, 3, 3}, Shape{19, 1, 4}}) {
      const Shape rows = shape.slice(0, shape.rank() - 1);
      for (const Shape& weight : {Shape{}, rows, rows.append(1), shape}) {
        OpCheck check{.name = named("confusion counts of ", shape, " at ", thresholds.size(),
                                    ", weights ", weight)};
        check.inputs = {given("truth", random_ids(shape, 2, random)),
                        given("predicted", quarters(shape, random))};
        if (!weight.empty()) check.inputs.push_back(given("weight", quarters(weight, random)));
        check.build = [thresholds](Graph& graph, const Values& in) -> Values {
          return {ops::confusion_counts(graph, in[0], in[1], in.size() > 2 ? in[2] : Value{},
                                        thresholds)};
        };
        check.reference = [thresholds](const Arrays& in) -> Arrays {
          return {counts(in[0], in[1], in.size() > 2 ? &in[2] : nullptr, thresholds)};
        };
        checks.push_back(std::move(check));
      }
    }
  }
  return checks;
}

const OpFamily family{accuracies, confusions};

}  // namespace

TEST_CASE("ops: accuracy looks at thresholds, equal numbers or the first of the largest") {
  check(accuracies());
}

TEST_CASE("ops: confusion counts take weights of rows, steps or elements") { check(confusions()); }
