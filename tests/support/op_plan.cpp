#include "tests/support/op_plan.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/graph/autograd.hpp"
#include "engine/graph/fusion.hpp"
#include "engine/graph/ops/elementwise.hpp"
#include "engine/graph/ops/mask.hpp"
#include "engine/graph/ops/shape.hpp"
#include "tests/support/variables.hpp"

namespace braid::testing {
namespace {

// Takes no time, but seems to: makes the planner cut the batch.
class Ballast final : public Op {
 public:
  explicit Ballast(Dim columns) : columns_(columns) {}
  std::string_view kind() const override { return "ballast"; }
  std::vector<ValueInfo> infer(Infos in) const override {
    return {{.shape = Shape{in[0].shape[0], columns_}, .batched = true}};
  }
  void run(const Run&) const override {}
  double operations(Infos, Infos) const override { return 1e12; }

 private:
  Dim columns_;
};

Arrays arrays_of(const OpCheck& problem) {
  Arrays arrays;
  for (const OpInput& input : problem.inputs) arrays.push_back(input.array);
  return arrays;
}

bool any_differentiable(const OpCheck& problem) {
  return std::any_of(problem.inputs.begin(), problem.inputs.end(),
                     [](const OpInput& input) { return input.differentiable; });
}

ValueInfo symbolic(const OpInput& input) {
  ValueInfo info{.shape = input.array.shape, .dtype = input.dtype, .batched = input.batched};
  for (std::size_t axis = 0; input.batched && axis < input.known_from; ++axis)
    info.shape[axis] = None;
  return info;
}

VariablePointer variable_of(const OpInput& input) {
  return testing::variable_of(Tensor::from(input.array.values, input.array.shape), input.name);
}

double contracted(const Arrays& outputs, const Arrays& out_grads) {
  double sum = 0;
  for (std::size_t o = 0; o < outputs.size(); ++o) {
    for (std::size_t i = 0; i < out_grads[o].values.size(); ++i)
      sum += outputs[o].values[i] * out_grads[o].values[i];
  }
  return sum;
}

Array differences_of(const OpCheck& problem, Arrays inputs, const Arrays& out_grads,
                     std::size_t which) {
  const double step = problem.step;
  Array slopes(inputs[which].shape);
  for (std::int64_t i = 0; i < slopes.elements(); ++i) {
    const double value = inputs[which][i];
    inputs[which][i] = value + step;
    const double above = contracted(problem.reference(inputs), out_grads);
    inputs[which][i] = value - step;
    const double below = contracted(problem.reference(inputs), out_grads);
    inputs[which][i] = value;
    slopes[i] = (above - below) / (2 * step);
  }
  return slopes;
}

// Central differences with respect to one input; where rows stand alone, each row by itself.
Array gradient_of(const OpCheck& problem, const Expected& expected, std::size_t which) {
  const Arrays inputs = arrays_of(problem);
  if (!problem.rows_stand_alone || !problem.inputs[which].batched)
    return differences_of(problem, inputs, expected.out_grads, which);
  Array gradient(inputs[which].shape);
  gradient.values.clear();
  for (std::int64_t b = 0; b < gradient.shape[0]; ++b) {
    Arrays rows = inputs;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (problem.inputs[i].batched) rows[i] = inputs[i].row(b);
    }
    Arrays grads = expected.out_grads;
    for (std::size_t o = 0; o < grads.size(); ++o) {
      if (expected.infos[o].batched && !grads[o].values.empty()) grads[o] = grads[o].row(b);
    }
    const Array slopes = differences_of(problem, std::move(rows), grads, which);
    gradient.values.insert(gradient.values.end(), slopes.values.begin(), slopes.values.end());
  }
  return gradient;
}

// Numbers in the middle of wider rows of something else.
constexpr std::int64_t kBefore = 3;
constexpr std::int64_t kBehind = 2;
Array widened(const Array& array, double filler) {
  Shape shape = array.shape;
  shape[shape.rank() - 1] += kBefore + kBehind;
  Array wide(shape, filler);
  for (std::int64_t n = 0; n < array.rows(); ++n) {
    for (std::int64_t c = 0; c < array.columns(); ++c) wide(n, kBefore + c) = array(n, c);
  }
  return wide;
}

Array side_by_side(const Array& left, const Array& right) {
  Shape shape = left.shape;
  shape[shape.rank() - 1] += right.columns();
  Array both(shape);
  for (std::int64_t n = 0; n < left.rows(); ++n) {
    for (std::int64_t c = 0; c < left.columns(); ++c) both(n, c) = left(n, c);
    for (std::int64_t c = 0; c < right.columns(); ++c) both(n, left.columns() + c) = right(n, c);
  }
  return both;
}

// Builds the graph of one check in its surroundings, step by step; thrown away afterwards.
class PlanMaker {
 public:
  PlanMaker(const OpCheck& problem, const Expected& expected, const Surroundings& around)
      : problem_(problem), expected_(expected), around_(around) {}

  std::optional<Plan> make() {
    Values handles;
    for (std::size_t i = 0; i < problem_.inputs.size(); ++i)
      handles.push_back(add_input(problem_.inputs[i], expected_.gradients[i]));
    Values outputs = problem_.build(graph(), handles);
    find_unnamed(outputs);
    if (around_.fused) {
      const std::string before = describe(graph());
      fuse(graph(), outputs);
      if (describe(graph()) == before) return std::nullopt;
    }
    for (std::size_t o = 0; o < outputs.size(); ++o) add_output(outputs[o], o);
    if (around_.gradients) add_all_gradients();
    for (const Wanted& wanted : plan_.wanted) plan_.outputs.push_back(wanted.value);
    if (around_.ballast) add_ballast();
    return std::move(plan_);
  }

 private:
  Graph& graph() { return *plan_.graph; }

  Value feed(OpInput input) {
    plan_.feeds.push_back(input);
    return graph().input(input.name, symbolic(input));
  }

  void target(const OpInput& input, Value value, double factor, Array gradient) {
    if (!input.differentiable) return;
    targets_.push_back({value, "gradient of " + input.name, std::move(gradient),
                        problem_.gradient_tolerance, problem_.each_by_itself, factor,
                        !around_.columns});
  }

  // The operand as the ops under test see it.
  Value add_input(const OpInput& input, const Array& gradient) {
    if (!input.batched) {
      const Value value = graph().weight(variable_of(input));
      target(input, value, 1, gradient);
      return value;
    }
    OpInput fed = input;
    if (around_.between && input.dtype == DType::float32) {
      fed.array = input.array.times(0.5);
      const Value outer = feed(fed);
      target(input, outer, 2, gradient.times(2));
      return ops::affine(graph(), outer, 2);
    }
    if (around_.between && input.dtype == DType::int32) {
      fed.dtype = DType::float32;
      return ops::to_ids(graph(), feed(fed));
    }
    if (around_.between && input.dtype == DType::bool_) {
      const Value outer = feed(fed);
      fed.array = Array(input.array.shape, 1);
      return ops::both(graph(), outer, feed(fed));
    }
    if (around_.columns && input.array.shape.rank() >= 2) {
      fed.array = widened(input.array, input.dtype == DType::float32 ? NAN : 1);
      const Value outer = feed(fed);
      if (input.differentiable) target(input, outer, 1, widened(gradient, 0));
      return ops::columns(graph(), outer, kBefore, input.array.columns());
    }
    const Value value = feed(fed);
    target(input, value, 1, gradient);
    return value;
  }

  // What ops made for their own gradients: no other op can make a column slice of it.
  void find_unnamed(const Values& outputs) {
    for (const GraphNode& node : graph().nodes()) {
      for (Value output : node.outputs) {
        if (output) plan_.unnamed.insert(output.id);
      }
    }
    for (const GraphNode& node : graph().nodes()) {
      for (Value input : node.inputs) plan_.unnamed.erase(input.id);
    }
    for (Value output : outputs) plan_.unnamed.erase(output.id);
  }

  // Sums over the rows, and what is made of them, have other bits where the rows are cut elsewhere.
  bool has_own_bits(const ValueInfo& info) const {
    return info.batched && problem_.rows_stand_alone;
  }

  void add_output(Value output, std::size_t number) {
    const ValueInfo info = graph().info(output);
    const Array& numbers = expected_.outputs[number];
    const Array& grads = expected_.out_grads[number];
    Wanted wanted{output, "output " + std::to_string(number), numbers, problem_.tolerance,
                  problem_.each_by_itself};
    Array seed = grads;
    if (info.dtype == DType::float32 && info.batched && around_.between) {
      wanted.value = ops::affine(graph(), output, 0.5F);
      wanted.expected = numbers.times(0.5);
      wanted.factor = 0.5;
      seed = grads.times(2);
    } else if (info.dtype == DType::bool_ && info.batched && around_.between) {
      wanted.value = ops::mask_weights(graph(), output);
    } else if (info.dtype == DType::float32 && info.batched && around_.columns &&
               info.shape.rank() >= 2) {
      wanted.value = ops::concatenate(graph(), {ops::affine(graph(), output, 2), output}, -1);
      wanted.expected = side_by_side(numbers.times(2), numbers);
      seed = side_by_side(grads.times(0.25), grads.times(0.5));
      wanted.comparable = false;
    }
    wanted.comparable = wanted.comparable && has_own_bits(info);
    if (around_.gradients && info.dtype == DType::float32 && any_differentiable(problem_)) {
      OpInput gradient = given("gradient of output " + std::to_string(number), seed);
      gradient.batched = info.batched;
      seeds_.emplace_back(wanted.value, std::move(gradient));
    }
    plan_.wanted.push_back(std::move(wanted));
  }

  void add_all_gradients() {
    if (targets_.empty()) return;
    std::vector<std::pair<Value, Value>> seeds;
    for (auto& [value, gradient] : seeds_) {
      plan_.feeds.push_back(gradient);
      ValueInfo info = graph().info(value);
      seeds.emplace_back(value, graph().input(gradient.name, info));
    }
    Values values;
    for (const Wanted& wanted : targets_) values.push_back(wanted.value);
    const Values gradients = add_gradients(graph(), seeds, values, around_.gradient_of);
    for (std::size_t t = 0; t < targets_.size(); ++t) {
      Wanted wanted = targets_[t];
      wanted.value = gradients[t];
      wanted.comparable =
          wanted.comparable && gradients[t] && has_own_bits(graph().info(gradients[t]));
      plan_.wanted.push_back(std::move(wanted));
    }
  }

  void add_ballast() {
    const auto first = std::find_if(problem_.inputs.begin(), problem_.inputs.end(),
                                    [](const OpInput& input) { return input.batched; });
    const Value rows = feed(given("ballast", Array(Shape{first->array.shape[0], 1})));
    // 32 KB a row.
    const Value load = graph().op<Ballast>({rows}, 8192);
    plan_.outputs.push_back(graph().op<Ballast>({load}, 1));
  }

  const OpCheck& problem_;
  const Expected& expected_;
  const Surroundings& around_;
  Plan plan_;
  std::vector<Wanted> targets_;
  std::vector<std::pair<Value, OpInput>> seeds_;
};

}  // namespace

Expected expect_outputs(const OpCheck& problem) {
  Expected expected{.outputs = problem.reference(arrays_of(problem))};
  Graph graph;
  Values handles;
  for (const OpInput& input : problem.inputs) {
    handles.push_back(input.batched ? graph.input(input.name, symbolic(input))
                                    : graph.weight(variable_of(input)));
  }
  const Values outputs = problem.build(graph, handles);
  REQUIRE(outputs.size() == expected.outputs.size());
  RandomNumbers random(77);
  for (std::size_t o = 0; o < outputs.size(); ++o) {
    expected.infos.push_back(graph.info(outputs[o]));
    expected.out_grads.push_back(expected.infos[o].dtype == DType::float32
                                     ? random_array(expected.outputs[o].shape, random)
                                     : Array(Shape{0}));
  }
  return expected;
}

Expected expect(const OpCheck& problem) {
  Expected expected = expect_outputs(problem);
  Arrays given;
  if (problem.gradients) given = problem.gradients(arrays_of(problem), expected.out_grads);
  std::size_t next = 0;
  for (std::size_t i = 0; i < problem.inputs.size(); ++i) {
    if (!problem.inputs[i].differentiable) {
      expected.gradients.emplace_back(Shape{0});
    } else if (problem.gradients) {
      expected.gradients.push_back(given.at(next++));
    } else {
      expected.gradients.push_back(gradient_of(problem, expected, i));
    }
  }
  return expected;
}

std::optional<Plan> make_plan(const OpCheck& problem, const Expected& expected,
                              const Surroundings& around) {
  std::optional<Plan> plan = PlanMaker(problem, expected, around).make();
  if (!plan || around.gradient_of == GradientOf::tiles) return plan;
  Surroundings of_tiles = around;
  of_tiles.gradient_of = GradientOf::tiles;
  const std::optional<Plan> other = PlanMaker(problem, expected, of_tiles).make();
  return describe(*plan->graph) == describe(*other->graph) ? std::nullopt : std::move(plan);
}

}  // namespace braid::testing
