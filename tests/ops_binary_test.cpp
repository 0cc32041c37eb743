// The operators of the merge layers against plain loops: broadcasting, masks, ties.
#include "engine/core/error.hpp"
#include "engine/graph/ops/elementwise.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/op_check.hpp"

using namespace braid;
using namespace braid::testing;
using kernels::BinaryKind;

namespace {

const std::vector<BinaryKind> kKinds{BinaryKind::add,    BinaryKind::subtract, BinaryKind::multiply,
                                     BinaryKind::divide, BinaryKind::maximum,  BinaryKind::minimum};
const std::vector<BinaryKind> kKindsWithMasks{BinaryKind::multiply, BinaryKind::maximum,
                                              BinaryKind::minimum};

double combined(BinaryKind kind, double a, double b) {
  switch (kind) {
    case BinaryKind::add: return a + b;
    case BinaryKind::subtract: return a - b;
    case BinaryKind::multiply: return a * b;
    case BinaryKind::divide: return a / b;
    case BinaryKind::maximum: return std::fmax(a, b);
    case BinaryKind::minimum: return std::fmin(a, b);
  }
  return NAN;
}

// What Keras's merge layers make of masks: a product takes 1 for what is masked, an extreme takes
// the other operand, the first if both are masked.
double combined(BinaryKind kind, double a, double b, bool a_valid, bool b_valid) {
  if (kind == BinaryKind::multiply) return (a_valid ? a : 1) * (b_valid ? b : 1);
  const double second = b_valid ? b : a;
  const double first = a_valid ? a : second;
  return combined(kind, first, second);
}

// Axes of 1 behind the first until there are `rank`.
Shape lengthened(const Shape& shape, std::size_t rank) {
  std::vector<Dim> dims = shape.dims();
  while (dims.size() < rank) dims.insert(dims.begin() + 1, 1);
  return Shape(std::move(dims));
}

// Element of an operand that stands at `element` of the result.
std::int64_t element_of(const Shape& operand, const Shape& result, std::int64_t element) {
  const Shape aligned = lengthened(operand, result.rank());
  std::int64_t found = 0;
  std::int64_t stride = 1;
  for (std::size_t axis = result.rank(); axis-- > 0;) {
    const std::int64_t at = element % result[axis];
    element /= result[axis];
    found += aligned[axis] == 1 ? 0 : at * stride;
    stride *= aligned[axis];
  }
  return found;
}

Shape result_shape(const Shape& a, const Shape& b) {
  const std::size_t rank = std::max(a.rank(), b.rank());
  Shape shape = lengthened(a, rank);
  const Shape other = lengthened(b, rank);
  for (std::size_t axis = 0; axis < rank; ++axis) {
    if (shape[axis] == 1) shape[axis] = other[axis];
  }
  return shape;
}

Array combined(BinaryKind kind, const Array& a, const Array& b) {
  Array out(result_shape(a.shape, b.shape));
  for (std::int64_t i = 0; i < out.elements(); ++i) {
    out[i] =
        combined(kind, a[element_of(a.shape, out.shape, i)], b[element_of(b.shape, out.shape, i)]);
  }
  return out;
}

OpCheck binary_of(BinaryKind kind, OpInput a, OpInput b) {
  OpCheck check{.name = named("binary ", static_cast<int>(kind), " of ", a.array.shape, " and ",
                              b.array.shape)};
  check.inputs = {std::move(a), std::move(b)};
  check.build = [kind](Graph& graph, const Values& in) -> Values {
    return {ops::binary(graph, kind, in[0], in[1])};
  };
  check.reference = [kind](const Arrays& in) -> Arrays { return {combined(kind, in[0], in[1])}; };
  // Sums over many rows of both signs come out small.
  check.gradient_tolerance = 3e-5;
  return check;
}

// Far from 0, where quotients have no pole, and equal or well apart.
Array divisor(const Shape& shape, RandomNumbers& random) {
  Array array = random_ids(shape, 512, random);
  for (double& value : array.values) value = (random.below(2) == 0 ? 1 : -1) * (0.5 + value / 256);
  return array;
}

// Two operands that can be broadcast: some axes of 1, some left out.
std::pair<Shape, Shape> random_pair(RandomNumbers& random) {
  const Shape whole = random_shape(static_cast<std::size_t>(2 + random.below(3)), random);
  const auto operand = [&] {
    Shape shape = whole;
    for (std::size_t axis = 1; axis < shape.rank(); ++axis) {
      if (random.below(3) == 0) shape[axis] = 1;
    }
    while (shape.rank() > 1 && shape[1] == 1 && random.below(2) == 0)
      shape = shape.slice(2, shape.rank()).prepend(shape[0]);
    return shape;
  };
  const Shape first = operand();
  return {first, operand()};
}

std::vector<OpCheck> broadcasts() {
  RandomNumbers random(1);
  std::vector<std::pair<Shape, Shape>> shapes{
      {{0, 3}, {0, 3}},
      {{1, 1}, {1, 1}},
      {{5}, {5}},
      {{7, 3}, {7, 3}},
      {{67, 5}, {67, 5}},
      {{7, 1}, {7, 5}},
      {{19, 5}, {19, 1}},
      {{9}, {9, 4}},
      {{9, 4}, {9}},
      {{5, 3, 4}, {5, 4}},
      {{5, 4}, {5, 3, 4}},
      {{3, 2, 5}, {3, 2, 1}},
      {{17, 2, 1}, {17, 1, 3}},
      {{4, 2, 3, 5}, {4, 5}},
      {{4, 2, 3, 5}, {4, 3, 1}},
      {{2, 1, 3, 1}, {2, 4, 1, 5}},
      {{3, 0, 2}, {3, 1, 2}},
      {{0, 2, 3}, {0, 3}},
      {{2, 1, 2, 1, 2, 3}, {2, 2, 2, 1, 2, 1}},
  };
  for (int n = 0; n < 8; ++n) shapes.push_back(random_pair(random));
  std::vector<OpCheck> checks;
  for (const BinaryKind kind : kKinds) {
    for (const auto& [a, b] : shapes) {
      checks.push_back(binary_of(kind, batched("a", divisor(a, random)).any_length(3),
                                 batched("b", divisor(b, random)).any_length(3)));
    }
  }
  return checks;
}

// Weights and constants beside batched values, whose gradients are sums over the rows.
std::vector<OpCheck> unbatched_operands() {
  RandomNumbers random(2);
  const std::vector<std::pair<Shape, Shape>> shapes{
      {{1, 3}, {7, 3}}, {{1}, {67, 2}},   {{1, 2, 5}, {23, 2, 5}},
      {{1, 1}, {3, 4}}, {{1, 3}, {0, 3}}, {{1, 1, 4}, {130, 3, 1}}};
  std::vector<OpCheck> checks;
  for (const BinaryKind kind : kKinds) {
    for (const auto& [a, b] : shapes) {
      checks.push_back(
          binary_of(kind, weight("a", divisor(a, random)), batched("b", divisor(b, random))));
      checks.push_back(
          binary_of(kind, batched("a", divisor(b, random)), weight("b", divisor(a, random))));
    }
    checks.push_back(binary_of(kind, weight("a", divisor({3, 1}, random)),
                               weight("b", divisor({1, 4}, random))));
  }
  return checks;
}

// Small integers, so that many are equal: each side of a tie gets half the gradient.
std::vector<OpCheck> ties() {
  RandomNumbers random(3);
  std::vector<OpCheck> checks;
  for (const BinaryKind kind : {BinaryKind::maximum, BinaryKind::minimum}) {
    for (const auto& [a, b] : std::vector<std::pair<Shape, Shape>>{
             {{13, 5}, {13, 5}}, {{7, 3, 1}, {7, 1, 4}}, {{67, 2}, {67, 1}}}) {
      OpCheck check = binary_of(kind, batched("a", random_ids(a, 3, random)),
                                batched("b", random_ids(b, 3, random)));
      check.name += " with ties";
      checks.push_back(std::move(check));
    }
  }
  return checks;
}

OpCheck masked_of(BinaryKind kind, Array a, Array b, const Array* a_mask, const Array* b_mask) {
  OpCheck check = binary_of(kind, batched("a", std::move(a)), batched("b", std::move(b)));
  check.name = named(check.name, a_mask != nullptr ? ", first masked" : "",
                     b_mask != nullptr ? ", second masked" : "");
  if (a_mask != nullptr) check.inputs.push_back(mask("mask of a", *a_mask));
  if (b_mask != nullptr) check.inputs.push_back(mask("mask of b", *b_mask));
  const bool first = a_mask != nullptr;
  const bool second = b_mask != nullptr;
  check.build = [=](Graph& graph, const Values& in) -> Values {
    return {ops::binary(graph, kind, in[0], in[1], first ? in[2] : Value{},
                        second ? in.back() : Value{})};
  };
  check.reference = [=](const Arrays& in) -> Arrays {
    Array out(result_shape(in[0].shape, in[1].shape));
    // A mask [B, T] belongs to the steps of its operand.
    const auto valid = [&](const Array& steps, const Array& operand, std::int64_t element) {
      const std::int64_t width = operand.elements() / std::max<std::int64_t>(steps.elements(), 1);
      return steps[element / width] != 0;
    };
    for (std::int64_t i = 0; i < out.elements(); ++i) {
      const std::int64_t a = element_of(in[0].shape, out.shape, i);
      const std::int64_t b = element_of(in[1].shape, out.shape, i);
      out[i] = combined(kind, in[0][a], in[1][b], !first || valid(in[2], in[0], a),
                        !second || valid(in.back(), in[1], b));
    }
    return {out};
  };
  return check;
}

std::vector<OpCheck> masked() {
  RandomNumbers random(4);
  std::vector<OpCheck> checks;
  // Kinds that know no masks leave them alone.
  for (const BinaryKind kind : kKindsWithMasks) {
    for (std::int64_t steps = 1; steps <= 4; ++steps) {
      // Every mask of the one beside every mask of the other.
      const Array patterns = all_masks(steps);
      const std::int64_t count = patterns.shape[0];
      Array first(Shape{count * count, steps});
      Array second(first.shape);
      for (std::int64_t n = 0; n < count * count; ++n) {
        for (std::int64_t t = 0; t < steps; ++t) {
          first(n, t) = patterns(n / count, t);
          second(n, t) = patterns(n % count, t);
        }
      }
      const Shape shape{count * count, steps, 2};
      checks.push_back(masked_of(kind, random_array(shape, random), random_array(shape, random),
                                 &first, &second));
    }
    const Array mask_of_a = random_masks(23, 5, random);
    const Array mask_of_b = random_masks(23, 5, random);
    for (const auto& [a, b] :
         std::vector<std::pair<Shape, Shape>>{{{23, 5, 3}, {23, 5, 3}},
                                              {{23, 5, 1}, {23, 5, 4}},
                                              {{23, 5}, {23, 5}},
                                              {{23, 5, 2, 3}, {23, 5, 2, 1}}}) {
      const auto add = [&](const Array* first, const Array* second) {
        checks.push_back(
            masked_of(kind, random_array(a, random), random_array(b, random), first, second));
      };
      add(&mask_of_a, &mask_of_b);
      add(&mask_of_a, nullptr);
      add(nullptr, &mask_of_b);
    }
    // No steps at all, and ties under masks.
    const Array none(Shape{3, 0});
    checks.push_back(masked_of(kind, Array(Shape{3, 0, 2}), Array(Shape{3, 0, 2}), &none, &none));
    checks.push_back(masked_of(kind, random_ids({23, 5, 3}, 3, random),
                               random_ids({23, 5, 3}, 3, random), &mask_of_a, &mask_of_b));
  }
  return checks;
}

// Weights of rows repeated for their steps. They get no gradient, nor does what they are repeated
// to.
std::vector<OpCheck> repeated() {
  RandomNumbers random(6);
  std::vector<OpCheck> checks;
  for (const auto& [in, like] : std::vector<std::pair<Shape, Shape>>{{{7, 1}, {7, 5}},
                                                                     {{67, 1}, {67, 3}},
                                                                     {{5, 3}, {5, 3}},
                                                                     {{9, 1, 1}, {9, 4, 2}},
                                                                     {{9, 4, 1}, {9, 4, 2}},
                                                                     {{0, 1}, {0, 3}},
                                                                     {{3, 1}, {3, 0}}}) {
    OpCheck check{.name = named("broadcast ", in, " like ", like)};
    check.inputs = {given("in", random_array(in, random)),
                    given("like", random_array(like, random))};
    check.build = [](Graph& graph, const Values& of) -> Values {
      return {ops::broadcast_like(graph, of[0], of[1])};
    };
    check.reference = [](const Arrays& of) -> Arrays {
      return {combined(BinaryKind::add, of[0], Array(of[1].shape))};
    };
    checks.push_back(std::move(check));
  }
  return checks;
}

// A mean of three, and a value that meets itself: the gradients of all its uses add up.
std::vector<OpCheck> chains() {
  RandomNumbers random(5);
  OpCheck average{.name = "average of three"};
  average.inputs = {batched("a", random_array({11, 3}, random)),
                    batched("b", random_array({11, 1}, random)),
                    batched("c", random_array({11, 3}, random))};
  average.build = [](Graph& graph, const Values& in) -> Values {
    const Value two = ops::binary(graph, BinaryKind::add, in[0], in[1]);
    return {ops::affine(graph, ops::binary(graph, BinaryKind::add, two, in[2]), 1.0F / 3.0F)};
  };
  average.reference = [](const Arrays& in) -> Arrays {
    return {
        combined(BinaryKind::add, combined(BinaryKind::add, in[0], in[1]), in[2]).times(1 / 3.0)};
  };
  OpCheck itself{.name = "x * x + max(x, x) - x"};
  itself.inputs = {batched("x", random_array({37, 5}, random))};
  itself.build = [](Graph& graph, const Values& in) -> Values {
    const Value square = ops::binary(graph, BinaryKind::multiply, in[0], in[0]);
    const Value largest = ops::binary(graph, BinaryKind::maximum, in[0], in[0]);
    const Value both = ops::binary(graph, BinaryKind::add, square, largest);
    return {ops::binary(graph, BinaryKind::subtract, both, in[0])};
  };
  itself.reference = [](const Arrays& in) -> Arrays {
    return {combined(BinaryKind::multiply, in[0], in[0])};
  };
  return {average, itself};
}

const OpFamily family{broadcasts, unbatched_operands, ties, masked, repeated, chains};

}  // namespace

TEST_CASE("ops: operators broadcast as Keras's merge layers do") { check(broadcasts()); }

TEST_CASE("ops: an operand without rows gets the sum of its gradient over the batch") {
  check(unbatched_operands());
}

TEST_CASE("ops: both sides of a tie get half of a maximum's gradient") { check(ties()); }

TEST_CASE("ops: products and extremes leave masked elements out") { check(masked()); }

TEST_CASE("ops: weights of rows are repeated for every step") { check(repeated()); }

TEST_CASE("ops: gradients of an operand that is used more than once add up") { check(chains()); }

TEST_CASE("ops: shapes that cannot be broadcast are named") {
  CHECK(ops::broadcast_shape({None, 3, 1}, {None, 4}) == Shape{None, 3, 4});
  CHECK_THROWS_AS(ops::broadcast_shape({None, 3}, {None, 4}), ShapeError);
  CHECK_THROWS_WITH(ops::broadcast_shape({None, 3}, {None, 4}),
                    ContainsSubstring("[batch, 3]") && ContainsSubstring("[batch, 4]"));
  CHECK_THROWS_AS(ops::broadcast_shape({1, 1, 1, 1, 1, 1, 1}, {1}), ShapeError);
}
