// Sums, scales, casts and penalties against plain loops.
#include <cmath>
#include <string>

#include "engine/core/error.hpp"
#include "engine/graph/ops/elementwise.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/op_check.hpp"

using namespace braid;
using namespace braid::testing;
using ops::SumOf;

namespace {

std::vector<Shape> shapes(RandomNumbers& random) {
  return and_random({{0, 3}, {1, 1}, {5}, {7, 3}, {3, 2, 5}, {131, 17}, {257, 2}, {4, 0}}, 4,
                    random);
}

std::vector<OpCheck> affines() {
  RandomNumbers random(1);
  std::vector<OpCheck> checks;
  for (const Shape& shape : shapes(random)) {
    OpCheck check{.name = named("affine of ", shape)};
    check.inputs = {batched("in", random_array(shape, random)),
                    weight("kernel", random_array({3, 2}, random))};
    check.build = [](Graph& graph, const Values& in) -> Values {
      return {ops::affine(graph, in[0], -1.75F, 0.375F), ops::affine(graph, in[1], 3),
              ops::affine(graph, in[0], 0, 1)};
    };
    check.reference = [](const Arrays& in) -> Arrays {
      Array scaled = in[0].times(-1.75);
      for (double& value : scaled.values) value += 0.375;
      return {scaled, in[1].times(3), Array(in[0].shape, 1)};
    };
    checks.push_back(std::move(check));
  }
  return checks;
}

std::vector<OpCheck> scales() {
  RandomNumbers random(2);
  std::vector<OpCheck> checks;
  for (const Shape& shape : shapes(random)) {
    OpCheck check{.name = named("scale_by of ", shape)};
    OpInput scalar = weight("scalar", random_array({1}, random));
    scalar.differentiable = false;  // a constant to the gradient, by contract
    check.inputs = {batched("in", random_array(shape, random)), scalar};
    check.build = [](Graph& graph, const Values& in) -> Values {
      return {ops::scale_by(graph, in[0], in[1])};
    };
    check.reference = [](const Arrays& in) -> Arrays { return {in[0].times(in[1][0])}; };
    checks.push_back(std::move(check));
  }
  return checks;
}

// Up to more summands than one op takes; some are given twice.
std::vector<OpCheck> sums() {
  RandomNumbers random(3);
  std::vector<OpCheck> checks;
  for (const std::size_t count : {1, 2, 3, 8, 9, 17}) {
    for (const Shape& shape : {Shape{0, 2}, Shape{5}, Shape{19, 3}, Shape{66, 2, 5}}) {
      OpCheck check{.name = named("sum of ", count, " ", shape)};
      for (std::size_t i = 0; i < count; ++i)
        check.inputs.push_back(batched(named("in ", i), random_array(shape, random)));
      check.build = [](Graph& graph, const Values& in) -> Values {
        Values summands = in;
        summands.push_back(in.front());
        return {ops::sum(graph, summands), ops::sum(graph, {in.back()})};
      };
      check.reference = [](const Arrays& in) -> Arrays {
        Array out = in[0];
        for (const Array& array : in) {
          for (std::int64_t i = 0; i < out.elements(); ++i) out[i] += array[i];
        }
        return {out, in.back()};
      };
      checks.push_back(std::move(check));
    }
  }
  return checks;
}

OpInput of_type(std::string name, Array array, DType dtype) {
  OpInput input = ids(std::move(name), std::move(array));
  input.dtype = dtype;
  return input;
}

std::vector<OpCheck> casts() {
  RandomNumbers random(4);
  std::vector<OpCheck> checks;
  for (const Shape& shape : shapes(random)) {
    for (const DType dtype : {DType::int32, DType::int64, DType::uint8, DType::bool_}) {
      const bool is_small = dtype == DType::uint8 || dtype == DType::bool_;
      Array numbers = random_ids(shape, dtype == DType::bool_ ? 2 : 256, random);
      if (!is_small) {
        for (double& value : numbers.values) value = (value - 128) * 65521;
      }
      OpCheck check{.name = named("to_float of ", name_of(dtype), " ", shape)};
      check.inputs = {of_type("in", std::move(numbers), dtype)};
      check.build = [](Graph& graph, const Values& in) -> Values {
        return {ops::to_float(graph, in[0])};
      };
      check.reference = [](const Arrays& in) -> Arrays { return {in[0]}; };
      check.tolerance = 0;
      checks.push_back(std::move(check));
    }
    OpCheck check{.name = named("to_ids of ", shape)};
    check.inputs = {given("in", random_array(shape, random, -5, 70000)),
                    batched("as it is", random_array(shape, random))};
    check.build = [](Graph& graph, const Values& in) -> Values {
      return {ops::to_ids(graph, in[0]), ops::to_float(graph, in[1])};
    };
    check.reference = [](const Arrays& in) -> Arrays {
      Array out = in[0];
      for (double& value : out.values) value = std::trunc(value);
      return {out, in[1]};
    };
    check.tolerance = 0;
    checks.push_back(std::move(check));
  }
  return checks;
}

double summed(const Array& in, SumOf of) {
  double sum = 0;
  for (const double x : in.values)
    sum += of == SumOf::values ? x : (of == SumOf::squares ? x * x : std::fabs(x));
  return sum;
}

std::vector<OpCheck> sums_of_all() {
  RandomNumbers random(5);
  std::vector<OpCheck> checks;
  for (const Shape& shape : shapes(random)) {
    OpCheck check{.name = named("sum_all of ", shape)};
    OpInput kernel = weight("kernel", random_array({3, 17}, random));
    kernel.differentiable = false;
    check.inputs = {given("in", random_array(shape, random)), kernel};
    check.build = [](Graph& graph, const Values& in) -> Values {
      Values out;
      for (const SumOf of : {SumOf::values, SumOf::squares, SumOf::magnitudes}) {
        out.push_back(ops::sum_all(graph, in[0], of));
        out.push_back(ops::sum_all(graph, in[1], of));
      }
      return out;
    };
    check.reference = [](const Arrays& in) -> Arrays {
      Arrays out;
      for (const SumOf of : {SumOf::values, SumOf::squares, SumOf::magnitudes}) {
        out.emplace_back(Shape{1}, summed(in[0], of));
        out.emplace_back(Shape{1}, summed(in[1], of));
      }
      return out;
    };
    checks.push_back(std::move(check));
  }
  return checks;
}

enum class Weights { none, given };

// sum of values times weights, and of the weights; the gradient of the first goes to the values.
std::vector<OpCheck> weighted_sums() {
  RandomNumbers random(6);
  std::vector<OpCheck> checks;
  for (const Shape& shape : shapes(random)) {
    for (const Weights weights : {Weights::none, Weights::given}) {
      OpCheck check{.name = named("weighted sums of ", shape)};
      check.tolerance = 1e-5;
      check.inputs = {batched("values", random_array(shape, random))};
      if (weights == Weights::given)
        check.inputs.push_back(given("weights", random_array(shape, random, 0, 2)));
      check.build = [](Graph& graph, const Values& in) -> Values {
        return {ops::weighted_sum(graph, in[0], in.size() > 1 ? in[1] : Value{})};
      };
      check.reference = [](const Arrays& in) -> Arrays {
        double sum = 0;
        for (std::int64_t i = 0; i < in[0].elements(); ++i)
          sum += in[0][i] * (in.size() > 1 ? in[1][i] : 1);
        return {Array(Shape{1}, sum)};
      };
      checks.push_back(check);
      check.name += ", with the weights'";
      check.inputs[0].differentiable = false;
      check.build = [](Graph& graph, const Values& in) -> Values {
        return {ops::weighted_sums(graph, in[0], in.size() > 1 ? in[1] : Value{})};
      };
      check.reference = [reference = check.reference](const Arrays& in) -> Arrays {
        Array out(Shape{2}, reference(in)[0][0]);
        out[1] = 0;
        for (std::int64_t i = 0; i < in[0].elements(); ++i) out[1] += in.size() > 1 ? in[1][i] : 1;
        return {out};
      };
      checks.push_back(std::move(check));
    }
  }
  return checks;
}

// At 0 the gradient of a magnitude is 0, which central differences say too.
std::vector<OpCheck> penalties() {
  RandomNumbers random(7);
  std::vector<OpCheck> checks;
  for (const Shape& shape : shapes(random)) {
    for (const auto& [l1, l2] : {std::pair{0.01, 0.0}, std::pair{0.0, 0.3}, std::pair{0.25, 0.5}}) {
      OpCheck check{.name = named("penalty ", l1, ", ", l2, " of ", shape)};
      Array kernel = random_array({5, 3}, random);
      kernel[4] = 0;
      Array rows = random_array(shape, random);
      for (std::int64_t i = 0; i < rows.elements(); i += 5) rows[i] = 0;
      check.inputs = {batched("rows", rows), weight("kernel", kernel)};
      check.build = [l1 = l1, l2 = l2](Graph& graph, const Values& in) -> Values {
        return {ops::penalty(graph, in[0], l1, l2), ops::penalty(graph, in[1], l1, l2)};
      };
      check.reference = [l1 = l1, l2 = l2](const Arrays& in) -> Arrays {
        Arrays out;
        for (const Array& array : in) {
          out.emplace_back(
              Shape{1}, l1 * summed(array, SumOf::magnitudes) + l2 * summed(array, SumOf::squares));
        }
        return out;
      };
      checks.push_back(std::move(check));
    }
  }
  return checks;
}

const OpFamily family{affines, scales, sums, casts, sums_of_all, weighted_sums, penalties};

}  // namespace

TEST_CASE("ops: affine scales and shifts every element") { check(affines()); }

TEST_CASE("ops: scale_by multiplies by one number") { check(scales()); }

TEST_CASE("ops: sum adds any number of values, the same one twice too") { check(sums()); }

TEST_CASE("ops: casts to numbers and ids are exact") { check(casts()); }

TEST_CASE("ops: sum_all adds up a batch or a weight") { check(sums_of_all()); }

TEST_CASE("ops: weighted sums take weights of the values' shape") {
  check(weighted_sums());
  Graph graph;
  const Value values = graph.input("values", {.shape = {None, 3}, .batched = true});
  const Value narrow = graph.input("weights", {.shape = {None, 1}, .batched = true});
  const Value flat = graph.input("flat", {.shape = {None}, .batched = true});
  CHECK_THROWS_AS(ops::weighted_sum(graph, values, narrow), ShapeError);
  CHECK_THROWS_AS(ops::weighted_sums(graph, values, flat), ShapeError);
}

TEST_CASE("ops: penalties add magnitudes and squares") { check(penalties()); }
