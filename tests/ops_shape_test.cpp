// Ops that move elements and change none.
#include <string>

#include "engine/core/error.hpp"
#include "engine/graph/ops/elementwise.hpp"
#include "engine/graph/ops/shape.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/moving_reference.hpp"
#include "tests/support/op_check.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

// Elements are moved bit for bit.
OpCheck moving(std::string name, std::vector<OpInput> inputs) {
  OpCheck check{.name = std::move(name), .inputs = std::move(inputs)};
  check.tolerance = 0;
  check.gradient_tolerance = 1e-9;
  return check;
}

OpInput of_type(std::string name, const Shape& shape, DType dtype, RandomNumbers& random) {
  if (dtype == DType::float32) return batched(std::move(name), random_array(shape, random));
  OpInput input = ids(std::move(name), random_ids(shape, 2, random));
  input.dtype = dtype;
  return input;
}

std::vector<OpCheck> reshapes() {
  RandomNumbers random(1);
  std::vector<OpCheck> checks;
  for (const auto& [from, target] : std::vector<std::pair<Shape, Shape>>{{{5, 6}, {2, 3}},
                                                                         {{67, 2, 3}, {6}},
                                                                         {{3, 4, 5}, {None}},
                                                                         {{3, 4, 5}, {2, None, 5}},
                                                                         {{0, 4, 5}, {20}},
                                                                         {{7}, {1}},
                                                                         {{7, 1}, {}},
                                                                         {{19, 2, 3, 2}, {3, 4}},
                                                                         {{3, 6}, {6}},
                                                                         {{2, 0, 3}, {0}},
                                                                         {{21, 3, 2}, {3, 2, 1}}}) {
    for (const DType dtype : {DType::float32, DType::int64, DType::bool_}) {
      OpCheck check = moving(named("reshape ", from, " to ", target.prepend(None)),
                             {of_type("in", from, dtype, random)});
      check.build = [target = target](Graph& graph, const Values& in) -> Values {
        return {ops::reshape(graph, in[0], target)};
      };
      check.reference = [target = target](const Arrays& in) -> Arrays {
        return {reshaped(in[0], target)};
      };
      checks.push_back(std::move(check));
    }
  }
  // The number of steps comes with the batch.
  for (const Dim steps : {0, 1, 5}) {
    OpCheck check = moving(named("flatten ", steps, " steps"),
                           {batched("in", random_array({6, steps, 3}, random)).any_length()});
    check.build = [](Graph& graph, const Values& in) -> Values {
      return {ops::reshape(graph, in[0], {None})};
    };
    check.reference = [](const Arrays& in) -> Arrays {
      return {reshaped(in[0], {in[0].shape[1] * 3})};
    };
    checks.push_back(std::move(check));
  }
  return checks;
}

std::vector<OpCheck> column_slices() {
  RandomNumbers random(2);
  std::vector<OpCheck> checks;
  for (const auto& [shape, first, count] :
       std::vector<std::tuple<Shape, int, int>>{{{5, 7}, 2, 3},
                                                {{67, 3}, 0, 3},
                                                {{19, 2, 5}, 4, 1},
                                                {{3, 2, 2, 4}, 1, 2},
                                                {{0, 4}, 1, 2},
                                                {{4, 0, 3}, 0, 2},
                                                {{4, 5}, 3, 0}}) {
    for (const DType dtype : {DType::float32, DType::int32, DType::uint8}) {
      OpCheck check = moving(named("columns ", first, " + ", count, " of ", shape),
                             {of_type("in", shape, dtype, random)});
      check.build = [first = first, count = count](Graph& graph, const Values& in) -> Values {
        return {ops::columns(graph, in[0], first, count)};
      };
      check.reference = [first = first, count = count](const Arrays& in) -> Arrays {
        return {sliced(in[0], in[0].shape.rank() - 1, first, count)};
      };
      checks.push_back(std::move(check));
    }
  }
  return checks;
}

enum class Lengths { known, any };

OpCheck concatenation(const std::vector<Shape>& shapes, std::int64_t axis, DType dtype,
                      Lengths lengths, RandomNumbers& random) {
  OpCheck check = moving(named("concatenate along axis ", axis, " of ", name_of(dtype)), {});
  for (const Shape& shape : shapes) {
    OpInput input = of_type(named("in ", check.inputs.size()), shape, dtype, random);
    if (lengths == Lengths::any) input.known_from = shape.rank();
    check.name = named(check.name, " ", shape);
    check.inputs.push_back(std::move(input));
  }
  check.build = [axis](Graph& graph, const Values& in) -> Values {
    return {ops::concatenate(graph, in, axis)};
  };
  check.reference = [axis](const Arrays& in) -> Arrays {
    const auto rank = static_cast<std::int64_t>(in[0].shape.rank());
    return {joined(in, static_cast<std::size_t>(axis < 0 ? axis + rank : axis))};
  };
  return check;
}

std::vector<OpCheck> concatenations() {
  RandomNumbers random(3);
  std::vector<OpCheck> checks;
  for (const auto& [shapes, axis] : std::vector<std::pair<std::vector<Shape>, std::int64_t>>{
           {{{5, 3}, {5, 4}}, -1},
           {{{67, 1}, {67, 2}, {67, 17}}, 1},
           {{{0, 1}, {0, 2}}, 1},
           {{{4, 0}, {4, 2}, {4, 0}}, 1},
           {{{9, 2, 3}, {9, 2, 1}}, 2},
           {{{9, 2, 3}, {9, 5, 3}, {9, 1, 3}}, 1},
           {{{21, 2, 3}, {21, 0, 3}}, -2},
           {{{3, 2, 3, 2}, {3, 2, 1, 2}}, 2},
           {{{3, 2, 3, 2}, {3, 1, 3, 2}}, 1},
           {{{3, 2, 3, 2}, {3, 2, 3, 5}}, 3},
           {{{3, 2}}, 1},
       }) {
    for (const DType dtype : {DType::float32, DType::int64, DType::bool_}) {
      checks.push_back(concatenation(shapes, axis, dtype, Lengths::known, random));
      checks.push_back(concatenation(shapes, axis, dtype, Lengths::any, random));
    }
  }
  for (int n = 0; n < 12; ++n) {
    std::vector<Shape> shapes{random_shape(static_cast<std::size_t>(2 + random.below(3)), random)};
    const auto axis =
        static_cast<std::size_t>(1 + random.below(static_cast<std::int64_t>(shapes[0].rank()) - 1));
    while (static_cast<int>(shapes.size()) < 2 + n % 3) {
      shapes.push_back(shapes[0]);
      shapes.back()[axis] = random.below(6);
    }
    checks.push_back(concatenation(shapes, static_cast<std::int64_t>(axis), DType::float32,
                                   n % 2 == 0 ? Lengths::known : Lengths::any, random));
  }
  // The same value more than once, and beside another concatenation of it.
  OpCheck twice = moving(
      "concatenate one value twice",
      {batched("a", random_array({13, 3}, random)), batched("b", random_array({13, 2}, random))});
  twice.build = [](Graph& graph, const Values& in) -> Values {
    const Value doubled = ops::affine(graph, in[0], 2);
    const Value inner = ops::concatenate(graph, {doubled, in[1], doubled}, 1);
    return {ops::concatenate(graph, {inner, doubled, inner}, 1), inner,
            ops::concatenate(graph, {doubled, in[1]}, 1), doubled};
  };
  twice.reference = [](const Arrays& in) -> Arrays {
    const Array doubled = in[0].times(2);
    const Array inner = joined({doubled, in[1], doubled}, 1);
    return {joined({inner, doubled, inner}, 1), inner, joined({doubled, in[1]}, 1), doubled};
  };
  twice.gradient_tolerance = 1e-6;
  checks.push_back(std::move(twice));
  return checks;
}

std::vector<OpCheck> slices() {
  RandomNumbers random(4);
  std::vector<OpCheck> checks;
  for (const auto& [shape, axis, start, stop] :
       std::vector<std::tuple<Shape, int, Dim, Dim>>{{{5, 7}, 1, 2, 5},
                                                     {{67, 3, 2}, 1, 1, None},
                                                     {{9, 4, 3}, 2, 0, 1},
                                                     {{9, 4, 3}, 1, 4, None},
                                                     {{0, 4, 3}, 1, 1, 2},
                                                     {{2, 3, 2, 2}, 2, 1, 2},
                                                     {{3, 5, 2}, 1, 0, None},
                                                     {{17, 3}, 1, 1, 1}}) {
    for (const DType dtype : {DType::float32, DType::int32, DType::bool_}) {
      OpCheck check =
          moving(named("slice ", start, " .. ", stop, " along axis ", axis, " of ", shape),
                 {of_type("in", shape, dtype, random)});
      check.inputs[0] = std::move(check.inputs[0]).any_length();
      check.build = [axis = axis, start = start, stop = stop](Graph& graph,
                                                              const Values& in) -> Values {
        return {ops::slice_axis(graph, in[0], axis, start, stop)};
      };
      check.reference = [axis = static_cast<std::size_t>(axis), start = start,
                         stop = stop](const Arrays& in) -> Arrays {
        const Dim end = stop == None ? in[0].shape[axis] : stop;
        return {sliced(in[0], axis, start, end - start)};
      };
      checks.push_back(std::move(check));
    }
  }
  return checks;
}

std::vector<OpCheck> moved_axes() {
  RandomNumbers random(5);
  std::vector<OpCheck> checks;
  for (const Shape& shape : and_random({{5, 3},
                                        {7, 3, 4},
                                        {67, 2, 3},
                                        {3, 1, 5},
                                        {2, 3, 4, 5},
                                        {0, 3, 2},
                                        {4, 0, 2},
                                        {4, 3, 0}},
                                       4, random)) {
    OpCheck check =
        moving(named("first axis last of ", shape), {batched("in", random_array(shape, random))});
    check.build = [](Graph& graph, const Values& in) -> Values {
      return {ops::first_axis_last(graph, in[0])};
    };
    check.reference = [](const Arrays& in) -> Arrays {
      return {in[0].shape.rank() < 3 ? in[0] : first_axis_moved_last(in[0])};
    };
    checks.push_back(std::move(check));
  }
  return checks;
}

const OpFamily family{reshapes, column_slices, concatenations, slices, moved_axes};

}  // namespace

TEST_CASE("ops: reshape keeps the elements and their order") { check(reshapes()); }

TEST_CASE("ops: columns are a part of the last axis") { check(column_slices()); }

TEST_CASE("ops: concatenate joins values along any axis") { check(concatenations()); }

TEST_CASE("ops: a slice takes elements of any axis") { check(slices()); }

TEST_CASE("ops: the first axis can be put last") { check(moved_axes()); }

TEST_CASE("ops: shapes that do not fit are named") {
  Graph graph;
  const Value in = graph.input("in", {.shape = {None, 2, 3}, .batched = true});
  const Value other = graph.input("other", {.shape = {None, 3, 3}, .batched = true});
  CHECK_THROWS_WITH(ops::reshape(graph, in, {4}),
                    ContainsSubstring("6 elements") && ContainsSubstring("[batch, 4]"));
  CHECK_THROWS_WITH(ops::reshape(graph, in, {4, None}), ContainsSubstring("[batch, 4, none]"));
  CHECK_THROWS_WITH(ops::concatenate(graph, {in, other}, -1),
                    ContainsSubstring("[batch, 2, 3]") && ContainsSubstring("[batch, 3, 3]"));
  CHECK_THROWS_AS(ops::concatenate(graph, {in, in}, 0), ShapeError);
  CHECK_THROWS_AS(ops::concatenate(graph, {in, in}, 3), ShapeError);
  CHECK_THROWS_AS(ops::slice_axis(graph, in, 1, 1, 3), ShapeError);
}
