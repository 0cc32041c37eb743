// How a device's launches are made of ops: which share one, in which order, and what adds up.
#include "engine/runtime/launches.hpp"

#include <cmath>
#include <sstream>
#include <string>

#include "engine/graph/autograd.hpp"
#include "engine/graph/ops/dense.hpp"
#include "engine/graph/ops/dropout.hpp"
#include "engine/graph/ops/elementwise.hpp"
#include "engine/graph/ops/embedding.hpp"
#include "engine/graph/ops/loss.hpp"
#include "engine/graph/ops/shape.hpp"
#include "engine/runtime/workspace.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/guarded_matrix.hpp"
#include "tests/support/variables.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

// The kinds of a program's ops, launch by launch: "rows: dense activation, last block: affine".
std::string launches_of(const Program& program) {
  std::ostringstream text;
  for (std::size_t number = 0; number < program.stages().size(); ++number) {
    const Program::Stage& stage = program.stages()[number];
    if (program.closes_row_program(number)) {
      text << ", last block:";
    } else {
      text << (number > 0 ? " | " : "")
           << (!stage.joined ? "alone:"
               : stage.rows  ? "rows:"
                             : "one block:");
    }
    if (!stage.sums.empty()) text << " +" << stage.sums.size();
    for (const Program::BoundOp& bound : stage.ops) text << " " << bound.op->kind();
  }
  return text.str();
}

// ids -> embedding -> flatten -> dense beside numbers -> dense -> join -> dense -> sum, and the
// gradient of the last kernel.
struct Sample {
  explicit Sample(Device on) : device(on) {
    const Value ids =
        graph->input("ids", {.shape = {None, 3}, .dtype = DType::int32, .batched = true});
    numbers = graph->input("numbers", {.shape = {None, 4}, .batched = true});
    const auto w = [&](const char* name, Shape shape) {
      return graph->weight(random_variable(shape, device, name));
    };
    const Value table = ops::embedding(*graph, ids, w("table", {10, 2}));
    const Value flat = ops::reshape(*graph, table, Shape{6});
    const Value left = ops::dense(*graph, flat, w("left", {6, 5}), {});
    const Value right = ops::dense(*graph, numbers, w("right", {4, 5}), {});
    const Value both = ops::sum(*graph, {left, right});
    kernel = w("last", {5, 2});
    const Value out = ops::dense(*graph, both, kernel, {});
    total = ops::affine(*graph, ops::weighted_sum(*graph, out, {}), 0.5F, 0);
    gradient = add_gradients(*graph, {{total, graph->scalar(1)}}, {kernel})[0];
  }
  Program program(std::int64_t rows, const std::vector<Value>& left_in_slices = {}) const {
    return {graph,
            {total, gradient},
            {{.shape = {rows, 3}, .dtype = DType::int32, .batched = true},
             {.shape = {rows, 4}, .batched = true}},
            device,
            kernels::Precision::float32,
            left_in_slices};
  }
  Device device;
  std::shared_ptr<Graph> graph = std::make_shared<Graph>();
  Value numbers;
  Value kernel;
  Value total;
  Value gradient;
};

using Results = std::vector<float>;

// Total and gradient.
Results run(const Sample& sample, std::int64_t rows, const std::vector<Value>& left_in_slices) {
  RandomNumbers random(3);
  std::vector<std::int32_t> ids;
  std::vector<float> numbers;
  for (std::int64_t i = 0; i < rows * 3; ++i)
    ids.push_back(static_cast<std::int32_t>(random.below(10)));
  for (std::int64_t i = 0; i < rows * 4; ++i)
    numbers.push_back(static_cast<float>(random.uniform(-1, 1)));
  const Program program = sample.program(rows, left_in_slices);
  Workspace workspace(sample.device);
  Results results;
  // Launched, recorded, replayed.
  for (int i = 0; i < 3; ++i) {
    results.clear();
    workspace.run(program, {reinterpret_cast<const std::byte*>(ids.data()),
                            reinterpret_cast<const std::byte*>(numbers.data())});
    for (const std::size_t output : {0, 1}) {
      const Matrix<const float> matrix = workspace.output<float>(program, output);
      results.insert(results.end(), matrix.data, matrix.data + matrix.rows * matrix.columns);
    }
  }
  return results;
}

}  // namespace

TEST_CASE("launches: what needs one of its own goes first, and all others share one") {
  const Sample sample(Device::emulated());
  INFO(describe(*sample.graph));
  CHECK(launches_of(sample.program(3)) ==
        "alone: embedding | rows: dense dense sum dense weighted_sum weighted_sum_gradient "
        "dense_weight_gradient, last block: affine");
}

TEST_CASE("launches: sums of slices are added up before they are read, or left to the caller") {
  const Sample sample(Device::emulated());
  const std::string rows =
      "alone: embedding | rows: dense dense sum dense weighted_sum weighted_sum_gradient "
      "dense_weight_gradient, ";
  CHECK(launches_of(sample.program(9)) == rows + "last block: +2 affine");
  const Program program = sample.program(9, {sample.total, sample.gradient});
  CHECK(launches_of(program) == rows + "last block: +1 affine");
  CHECK(program.slices() == 3);
  CHECK(program.outputs()[0].slices == 1);  // not made slice by slice
  CHECK(program.outputs()[1].slices == 3);
}

// The sample with a launch behind its rows: the gradient of a second table. What comes last reads
// that gradient, or only the total.
struct LongerSample : Sample {
  explicit LongerSample(bool reads_gradient) : Sample(Device::emulated()) {
    const Value table = graph->weight(random_variable({10, 6}, device));
    const Value ids =
        graph->input("more", {.shape = {None, 3}, .dtype = DType::int32, .batched = true});
    const Value rows = graph->input("six", {.shape = {None, 3, 6}, .batched = true});
    table_gradient = ops::embedding_gradient(*graph, ids, table, rows);
    last = reads_gradient ? ops::sum(*graph, {ops::sum_all(*graph, table_gradient), total})
                          : ops::affine(*graph, total, 2, 0);
  }
  Program program(const std::vector<Value>& outputs) const {
    return {graph,
            outputs,
            {{.shape = {3, 3}, .dtype = DType::int32, .batched = true},
             {.shape = {3, 4}, .batched = true},
             {.shape = {3, 3}, .dtype = DType::int32, .batched = true},
             {.shape = {3, 3, 6}, .batched = true}},
            device};
  }
  std::optional<std::size_t> ending(const std::vector<Value>& outputs) const {
    std::vector<std::size_t> numbers(outputs.size());
    for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = i;
    return program(outputs).ending_stage(numbers);
  }
  Value table_gradient;
  Value last;
};

TEST_CASE("launches: the last block of a row program goes on, if nothing between is waited for") {
  const std::string rows = "alone: embedding | rows: dense dense sum dense weighted_sum";
  const std::string gradient = " | alone: embedding_sort | alone: embedding_gradient";
  const LongerSample apart(false);
  CHECK(launches_of(apart.program({apart.table_gradient, apart.last})) ==
        rows + ", last block: affine affine" + gradient);
  const LongerSample together(true);
  CHECK(launches_of(together.program({together.table_gradient, together.last})) ==
        rows + gradient + " | one block: affine sum_all sum");
}

TEST_CASE("launches: a step ends as soon as what it adds up is there, and nothing is drawn later") {
  const LongerSample apart(false);
  // Stages: embedding, rows, last block, sort, gradient.
  CHECK(apart.ending({apart.last, apart.total}) == 2);
  CHECK(apart.ending({apart.last, apart.table_gradient}) == std::nullopt);
  const LongerSample together(true);
  CHECK(together.ending({together.last}) == 4);
  CHECK(together.ending({together.last, together.table_gradient}) == 4);

  // Rows behind the total, with dropout or without: they have launches of their own.
  for (const bool draws : {false, true}) {
    const Sample sample(Device::emulated());
    Value scaled = ops::scale_by(*sample.graph, sample.numbers, sample.total);
    if (draws) scaled = ops::dropout(*sample.graph, scaled, 0.5, 1);
    const Value later = ops::affine(*sample.graph, ops::weighted_sum(*sample.graph, scaled, {}), 3);
    const Program program(sample.graph, {sample.total, later},
                          {{.shape = {3, 3}, .dtype = DType::int32, .batched = true},
                           {.shape = {3, 4}, .batched = true}},
                          sample.device);
    INFO(describe(program));
    CHECK(program.ending_stage(std::vector<std::size_t>{0}) == (draws ? 4U : 2U));
    CHECK(program.ending_stage(std::vector<std::size_t>{0, 1}) == 4U);
  }
}

TEST_CASE("launches: every way to add up gives the sums of the CPU") {
  for (const std::int64_t rows : {0, 1, 4, 5, 9, 40, 700}) {
    const Results expected = run(Sample(Device::cpu()), rows, {});
    const Sample sample(Device::emulated());
    for (const auto& left : {std::vector<Value>{}, {sample.gradient}}) {
      INFO(rows << " rows, " << left.size() << " left");
      const Results got = run(sample, rows, left);
      REQUIRE(got.size() == expected.size());
      for (std::size_t i = 0; i < got.size(); ++i)
        CHECK(std::abs(got[i] - expected[i]) <= 1e-4F * (1 + std::abs(expected[i])));
    }
  }
}

TEST_CASE("launches: ops of a wave read nothing that the others make") {
  Graph graph;
  const Value x = graph.input("x", {.shape = {None, 6}, .batched = true});
  const auto scaled = [&](Value value) { return ops::affine(graph, value, 2, 0); };
  const Value a = scaled(x);
  const Value b = scaled(x);
  const Value c = scaled(a);
  const Value sum = ops::concatenate(graph, {b, c}, 1);
  const Value outside = scaled(sum);
  const auto node = [&](Value value) { return graph.value(value).producer; };
  const std::vector<int> all{node(a), node(b), node(c), node(sum), node(outside)};
  std::vector<bool> nothing(graph.nodes().size(), false);
  CHECK(waves_of(graph, all, nothing) == std::vector<int>{0, 0, 1, 2, 3});
  // What is not in the group has been made before it.
  CHECK(waves_of(graph, {node(b), node(c), node(outside)}, nothing) == std::vector<int>{0, 0, 0});
  CHECK(waves_of(graph, {}, nothing).empty());
  // What shares the memory of something else is there with it, the last of several.
  nothing[static_cast<std::size_t>(node(sum))] = true;
  CHECK(waves_of(graph, all, nothing) == std::vector<int>{0, 0, 1, 1, 2});
  // Also of something that has been made before the group.
  CHECK(waves_of(graph, {node(sum), node(outside)}, nothing) == std::vector<int>{-1, 0});
}

TEST_CASE("launches: what shapes alone decide is a constant of the program") {
  for (const Device& device : {Device::cpu(), Device::emulated()}) {
    const Sample sample(device);
    // The gradient of the total, 0.5, is no op any more.
    const std::string text = describe(sample.program(3));
    INFO(text);
    std::size_t affines = 0;
    for (std::size_t at = text.find("affine"); at != std::string::npos;
         at = text.find("affine", at + 1)) {
      ++affines;
    }
    CHECK(affines == 1);
  }
}
