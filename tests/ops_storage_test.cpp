// Values that share storage: random programs of reshapes, column slices and concatenations between
// ops that compute.
#include <string>

#include "engine/graph/ops/activation.hpp"
#include "engine/graph/ops/elementwise.hpp"
#include "engine/graph/ops/shape.hpp"
#include "engine/runtime/program.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/moving_reference.hpp"
#include "tests/support/op_check.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

// A step of a random program: what is done with which of the values so far.
struct Step {
  enum class Kind { affine, add, softmax, columns, reshape, concatenate, slice };
  Kind kind = Kind::affine;
  std::vector<std::size_t> operands;
  std::size_t axis = 0;
  std::int64_t first = 0;
  std::int64_t count = 0;
  Shape target = {};
};

Value emit(Graph& graph, const Step& step, const Values& values) {
  Values in;
  for (const std::size_t operand : step.operands) in.push_back(values[operand]);
  switch (step.kind) {
    case Step::Kind::affine: return ops::affine(graph, in[0], -1.5F, 0.25F);
    case Step::Kind::add: return ops::sum(graph, in);
    case Step::Kind::softmax: return ops::softmax(graph, in[0]);
    case Step::Kind::columns: return ops::columns(graph, in[0], step.first, step.count);
    case Step::Kind::reshape: return ops::reshape(graph, in[0], step.target);
    case Step::Kind::concatenate:
      return ops::concatenate(graph, in, static_cast<std::int64_t>(step.axis));
    case Step::Kind::slice:
      return ops::slice_axis(graph, in[0], static_cast<std::int64_t>(step.axis), step.first,
                             step.first + step.count);
  }
  return {};
}

Array softmax_rows(Array in) {
  for (std::int64_t n = 0; n < in.rows(); ++n) {
    double sum = 0;
    for (std::int64_t c = 0; c < in.columns(); ++c) sum += std::exp(in(n, c));
    for (std::int64_t c = 0; c < in.columns(); ++c) in(n, c) = std::exp(in(n, c)) / sum;
  }
  return in;
}

Array compute(const Step& step, const Arrays& values) {
  Arrays in;
  for (const std::size_t operand : step.operands) in.push_back(values[operand]);
  switch (step.kind) {
    case Step::Kind::affine:
      for (double& value : in[0].values) value = -1.5 * value + 0.25;
      return in[0];
    case Step::Kind::add:
      for (std::int64_t i = 0; i < in[0].elements(); ++i) in[0][i] += in[1][i];
      return in[0];
    case Step::Kind::softmax: return softmax_rows(in[0]);
    case Step::Kind::columns: return sliced(in[0], in[0].shape.rank() - 1, step.first, step.count);
    case Step::Kind::reshape: return reshaped(in[0], step.target);
    case Step::Kind::concatenate: return joined(in, step.axis);
    case Step::Kind::slice: return sliced(in[0], step.axis, step.first, step.count);
  }
  return {};
}

// Draws a program, step by step.
class RandomProgram {
 public:
  RandomProgram(std::vector<Shape> inputs, RandomNumbers& random)
      : shapes_(std::move(inputs)), random_(random) {}

  std::vector<Step> steps(int count) {
    while (static_cast<int>(steps_.size()) < count) {
      Step step{.kind = static_cast<Step::Kind>(random_.below(7)), .operands = {any_value()}};
      if (!complete(step)) continue;
      Arrays values;
      for (const Shape& shape : shapes_) values.emplace_back(shape);
      shapes_.push_back(compute(step, values).shape);
      steps_.push_back(std::move(step));
    }
    return steps_;
  }

 private:
  // Late values more often than early ones.
  std::size_t any_value() {
    const auto count = static_cast<std::int64_t>(shapes_.size());
    return static_cast<std::size_t>(std::max(random_.below(count), random_.below(count)));
  }
  std::size_t any_axis(const Shape& shape) {
    return static_cast<std::size_t>(1 + random_.below(static_cast<std::int64_t>(shape.rank()) - 1));
  }

  // False if the operand does not allow it.
  bool complete(Step& step) {
    const Shape& shape = shapes_[step.operands[0]];
    switch (step.kind) {
      case Step::Kind::affine:
      case Step::Kind::softmax: return true;
      case Step::Kind::add: {
        for (std::size_t other = shapes_.size(); other-- > 0;) {
          if (shapes_[other] != shape) continue;
          step.operands.push_back(other);
          return true;
        }
        return false;
      }
      case Step::Kind::columns:
      case Step::Kind::slice: {
        step.axis = step.kind == Step::Kind::columns ? shape.rank() - 1 : any_axis(shape);
        step.count = 1 + random_.below(shape[step.axis]);
        step.first = random_.below(shape[step.axis] - step.count + 1);
        return true;
      }
      case Step::Kind::reshape: return draw_target(step, shape);
      case Step::Kind::concatenate: {
        step.axis = random_.below(3) > 0 ? shape.rank() - 1 : any_axis(shape);
        for (int n = 0; n < 3; ++n) {
          const std::size_t other = any_value();
          if (fits_beside(shapes_[other], shape, step.axis)) step.operands.push_back(other);
        }
        return step.operands.size() > 1 && shape.elements() < 64 * shape[0];
      }
    }
    return false;
  }

  bool draw_target(Step& step, const Shape& shape) {
    const std::int64_t row = shape.slice(1, shape.rank()).elements();
    std::vector<Dim> dims;
    std::int64_t rest = row;
    for (const std::int64_t factor : {2, 3, 5}) {
      if (rest % factor != 0 || random_.below(2) == 0) continue;
      dims.push_back(factor);
      rest /= factor;
    }
    dims.insert(dims.begin() + random_.below(static_cast<std::int64_t>(dims.size()) + 1), rest);
    step.target = Shape(std::move(dims));
    return true;
  }

  static bool fits_beside(const Shape& a, const Shape& b, std::size_t axis) {
    if (a.rank() != b.rank()) return false;
    for (std::size_t i = 0; i < a.rank(); ++i) {
      if (i != axis && a[i] != b[i]) return false;
    }
    return true;
  }

  std::vector<Shape> shapes_;
  RandomNumbers& random_;
  std::vector<Step> steps_;
};

std::vector<OpCheck> random_programs() {
  RandomNumbers random(1);
  std::vector<OpCheck> checks;
  for (int number = 0; number < 200; ++number) {
    const std::int64_t rows = number % 10 == 0 ? 67 : 1 + number % 5;
    const std::vector<Shape> shapes{{rows, 2, 3}, {rows, 6}};
    const std::vector<Step> steps = RandomProgram(shapes, random).steps(3 + number % 7);
    OpCheck check{.name = named("random program ", number)};
    for (const Shape& shape : shapes)
      check.inputs.push_back(batched(named("in ", shape.rank()), random_array(shape, random)));
    // The last value, and one before it that so may not share its storage.
    const std::size_t seen =
        shapes.size() +
        static_cast<std::size_t>(random.below(static_cast<std::int64_t>(steps.size())));
    check.build = [steps, seen](Graph& graph, const Values& in) -> Values {
      Values values = in;
      for (const Step& step : steps) values.push_back(emit(graph, step, values));
      return {values.back(), values[seen]};
    };
    check.reference = [steps, seen](const Arrays& in) -> Arrays {
      Arrays values = in;
      for (const Step& step : steps) values.push_back(compute(step, values));
      return {values.back(), values[seen]};
    };
    checks.push_back(std::move(check));
  }
  return checks;
}

// What once went wrong, or nearly.
OpCheck of_one(std::string name, const Shape& shape, std::vector<Step> steps) {
  RandomNumbers random(2);
  OpCheck check{.name = std::move(name), .inputs = {batched("in", random_array(shape, random))}};
  check.build = [steps](Graph& graph, const Values& in) -> Values {
    Values values = in;
    for (const Step& step : steps) values.push_back(emit(graph, step, values));
    return {values.back()};
  };
  check.reference = [steps](const Arrays& in) -> Arrays {
    Arrays values = in;
    for (const Step& step : steps) values.push_back(compute(step, values));
    return {values.back()};
  };
  return check;
}

std::vector<OpCheck> known_programs() {
  using Kind = Step::Kind;
  const Step scale{.kind = Kind::affine, .operands = {0}};
  return {
      of_one("columns of a reshaped value", {5, 2, 6},
             {scale,
              {.kind = Kind::reshape, .operands = {1}, .target = {4, 3}},
              {.kind = Kind::columns, .operands = {2}, .first = 1, .count = 2},
              {.kind = Kind::affine, .operands = {3}}}),
      of_one("a reshaped half of a reshaped value", {5, 2, 3},
             {scale,
              {.kind = Kind::reshape, .operands = {1}, .target = {1, 6}},
              {.kind = Kind::columns, .operands = {2}, .first = 3, .count = 3},
              {.kind = Kind::reshape, .operands = {3}, .target = {3}},
              {.kind = Kind::affine, .operands = {4}}}),
      of_one("a flattened concatenation", {5, 2, 3},
             {scale,
              {.kind = Kind::affine, .operands = {1}},
              {.kind = Kind::concatenate, .operands = {1, 2}, .axis = 2},
              {.kind = Kind::reshape, .operands = {3}, .target = {12}},
              {.kind = Kind::affine, .operands = {4}}}),
  };
}

const OpFamily family{random_programs, known_programs};

}  // namespace

TEST_CASE("storage: values that share memory keep their numbers and gradients") {
  check(known_programs());
  check(random_programs());
}
