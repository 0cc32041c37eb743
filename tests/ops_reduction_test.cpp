// Losses of a batch become one number: Keras's reductions under masks and sample weights.
#include "tests/support/catch.hpp"
#include "tests/support/loss_problem.hpp"

using namespace braid;
using namespace braid::testing;
using ops::Reduction;

namespace {

// The weight at an element of the values; axes of 1 are repeated.
double weight_at(const Array& weight, const Shape& shape, std::int64_t element) {
  std::int64_t place = 0;
  std::int64_t stride = 1;
  for (std::size_t axis = shape.rank(); axis-- > 0;) {
    if (weight.shape[axis] != 1) place += element % shape[axis] * stride;
    element /= shape[axis];
    stride *= weight.shape[axis];
  }
  return weight[place];
}

// Keras 3: apply_mask, then reduce_weighted_values.
double reduced(const Array& values, const Array* mask, const Array* weight, Reduction reduction) {
  const bool is_mean = reduction == Reduction::sum_over_batch_size;
  double valid = 0;
  for (std::int64_t i = 0; mask != nullptr && i < mask->elements(); ++i) valid += (*mask)[i];
  const auto count = static_cast<double>(values.elements());
  double sum = 0;
  double weights = 0;
  for (std::int64_t i = 0; i < values.elements(); ++i) {
    double factor = weight != nullptr ? weight_at(*weight, values.shape, i) : 1;
    if (mask != nullptr) factor *= (*mask)[i] * (is_mean && valid > 0 ? count / valid : 1);
    sum += values[i] * factor;
    weights += factor;
  }
  // A weight that no mask has spread counts once, however often it is repeated.
  if (mask == nullptr && weight != nullptr) {
    weights = 0;
    for (const double one : weight->values) weights += one;
  }
  if (reduction == Reduction::sum) return sum;
  const double divisor = is_mean ? count : weights;
  return divisor == 0 ? 0 : sum / divisor;
}

OpCheck reduction_of(const Array& values, const Array* valid, const Array* weight,
                     Reduction reduction) {
  OpCheck check{.name = named("reduction ", static_cast<int>(reduction), " of ", values.shape,
                              valid != nullptr ? ", masked" : "")};
  if (weight != nullptr) check.name = named(check.name, ", weights ", weight->shape);
  check.inputs = {batched("values", values).any_length()};
  if (valid != nullptr) check.inputs.push_back(mask("mask", *valid).any_length());
  if (weight != nullptr) check.inputs.push_back(given("weight", *weight));
  if (weight != nullptr && weight->shape == values.shape)
    check.inputs.back() = std::move(check.inputs.back()).any_length();
  const bool masked = valid != nullptr;
  const bool weighted = weight != nullptr;
  // A mean over the batch is no sum over the rows.
  check.rows_stand_alone = false;
  check.tolerance = 1e-5;
  check.build = [=](Graph& graph, const Values& in) -> Values {
    return {ops::reduce_loss(graph, in[0], masked ? in[1] : Value{}, weighted ? in.back() : Value{},
                             reduction)};
  };
  check.reference = [=](const Arrays& in) -> Arrays {
    return {Array(Shape{1}, reduced(in[0], masked ? &in[1] : nullptr,
                                    weighted ? &in.back() : nullptr, reduction))};
  };
  return check;
}

constexpr Reduction kReductions[] = {Reduction::sum_over_batch_size, Reduction::sum,
                                     Reduction::mean_with_sample_weight};

std::vector<OpCheck> reductions() {
  RandomNumbers random(1);
  std::vector<OpCheck> checks;
  for (const Reduction reduction : kReductions) {
    for (const Shape& shape : {Shape{0}, Shape{1}, Shape{67}, Shape{5, 3}, Shape{257, 2},
                               Shape{0, 4}, random_shape(1, random), random_shape(2, random)}) {
      const Array values = random_array(shape, random, 0, 2);
      const Array weight = random_array(shape, random, 0, 3);
      const Array none(shape);
      checks.push_back(reduction_of(values, nullptr, nullptr, reduction));
      checks.push_back(reduction_of(values, nullptr, &weight, reduction));
      checks.push_back(reduction_of(values, nullptr, &none, reduction));
      if (shape.rank() < 2) continue;
      const Array of_rows = random_array({shape[0], 1}, random, 0, 3);
      const Array valid = random_masks(shape[0], shape[1], random);
      checks.push_back(reduction_of(values, nullptr, &of_rows, reduction));
      checks.push_back(reduction_of(values, &valid, nullptr, reduction));
      checks.push_back(reduction_of(values, &valid, &weight, reduction));
      checks.push_back(reduction_of(values, &valid, &of_rows, reduction));
      checks.push_back(reduction_of(values, &none, &weight, reduction));
    }
  }
  return checks;
}

// Each mask is a batch of its own, so that each divides by its own number of valid steps.
std::vector<OpCheck> every_mask_of_one_row() {
  RandomNumbers random(2);
  std::vector<OpCheck> checks;
  for (std::int64_t steps = 1; steps <= 4; ++steps) {
    const Array patterns = all_masks(steps);
    for (std::int64_t n = 0; n < patterns.shape[0]; ++n) {
      const Array valid = patterns.row(n);
      const Array values = random_array(valid.shape, random, 0, 2);
      const Array weight = random_array(valid.shape, random, 0, 3);
      for (const Reduction reduction : kReductions) {
        checks.push_back(reduction_of(values, &valid, nullptr, reduction));
        checks.push_back(reduction_of(values, &valid, &weight, reduction));
      }
    }
  }
  return checks;
}

// From predictions to the number that is trained on.
std::vector<OpCheck> whole_losses() {
  RandomNumbers random(3);
  std::vector<OpCheck> checks;
  for (const LossRule& rule :
       {LossRule{.kind = LossKind::mean_squared_error},
        LossRule{
            .kind = LossKind::binary_crossentropy, .from_logits = true, .label_smoothing = 0.1F},
        LossRule{.kind = LossKind::sparse_categorical_crossentropy}}) {
    for (const Reduction reduction : kReductions) {
      const Array valid = random_masks(21, 3, random);
      OpCheck check = loss_check(rule, {21, 3, 4}, random);
      check.name = named(check.name, ", reduced by ", static_cast<int>(reduction));
      check.rows_stand_alone = false;
      check.tolerance = 1e-5;
      check.inputs.push_back(mask("mask", valid));
      check.inputs.push_back(given("weight", random_array({21, 1}, random, 0, 2)));
      check.build = [=](Graph& graph, const Values& in) -> Values {
        const Value values = ops::loss_values(graph, rule, in[0], in[1]);
        return {ops::reduce_loss(graph, values, in[2], in[3], reduction)};
      };
      check.reference = [=](const Arrays& in) -> Arrays {
        return {Array(Shape{1}, reduced(losses(rule, in[0], in[1]), &in[2], &in[3], reduction))};
      };
      checks.push_back(std::move(check));
    }
  }
  return checks;
}

const OpFamily family{reductions, every_mask_of_one_row, whole_losses};

}  // namespace

TEST_CASE("ops: losses are reduced under masks and sample weights as in Keras") {
  check(reductions());
  check(every_mask_of_one_row());
}

TEST_CASE("ops: the gradient of a reduced loss reaches every prediction") { check(whole_losses()); }
