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
#include "engine/runtime/row_cut.hpp"
#include "engine/runtime/workspace.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/guarded_matrix.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

VariablePointer weight(std::string name, const Shape& shape, Device device) {
  auto variable = std::make_shared<Variable>();
  variable->name = std::move(name);
  variable->shape = shape;
  RandomNumbers random(5);
  Tensor values = Tensor::uninitialized(shape, DType::float32);
  for (std::int64_t i = 0; i < shape.elements(); ++i)
    values.data<float>()[i] = static_cast<float>(random.uniform(-1, 1));
  variable->value = values.to(device);
  return variable;
}

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
      return graph->weight(weight(name, shape, device));
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
    const Value table = graph->weight(weight("other", {10, 6}, device));
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

// Layers on the same inputs, whose weights are too many for a row program, and their gradients.
struct LargeLayers {
  LargeLayers(Device on, std::int64_t count, std::int64_t inputs, std::int64_t units) : device(on) {
    const Value x = graph->input("x", {.shape = {None, inputs}, .batched = true});
    std::vector<Value> weights;
    std::vector<Value> totals;
    for (std::int64_t i = 0; i < count; ++i) {
      weights.push_back(graph->weight(weight("kernel", {inputs, units}, device)));
      weights.push_back(graph->weight(weight("bias", {units}, device)));
      const Value out = ops::dense(*graph, x, weights[weights.size() - 2], weights.back());
      totals.push_back(ops::weighted_sum(
          *graph, ops::binary(*graph, kernels::BinaryKind::multiply, out, out), {}));
    }
    const Value total = ops::sum(*graph, totals);
    gradients = add_gradients(*graph, {{total, graph->scalar(1)}}, weights);
  }
  Program program(std::int64_t rows, const std::vector<Value>& left) const {
    return {graph,
            gradients,
            {{.shape = {rows, graph->values()[0].info.shape[1]}, .batched = true}},
            device,
            kernels::Precision::float32,
            left};
  }
  Device device;
  std::shared_ptr<Graph> graph = std::make_shared<Graph>();
  std::vector<Value> gradients;
};

TEST_CASE("launches: what one launch sums in parts is left to the caller who reads them all") {
  constexpr std::int64_t kRows = 384;
  constexpr std::int64_t kInputs = 26;
  constexpr std::int64_t kUnits = 1000;
  const std::int64_t parts = kernels::dense_weight_parts(kRows, kInputs, kUnits);
  REQUIRE(parts > 1);
  RandomNumbers random(8);
  std::vector<float> x;
  for (std::int64_t i = 0; i < kRows * kInputs; ++i)
    x.push_back(static_cast<float>(random.uniform(-1, 1)));
  const auto gradients_of = [&](const LargeLayers& layers, const Program& program) {
    Workspace workspace(layers.device);
    workspace.run(program, {reinterpret_cast<const std::byte*>(x.data())});
    Results results;
    for (const std::size_t output : {0, 1}) {
      const Matrix<const float> matrix = workspace.output<float>(program, output);
      results.insert(results.end(), matrix.data, matrix.data + matrix.rows * matrix.columns);
    }
    return results;
  };
  const LargeLayers on_cpu(Device::cpu(), 1, kInputs, kUnits);
  const Results expected = gradients_of(on_cpu, on_cpu.program(kRows, on_cpu.gradients));
  const LargeLayers layers(Device::emulated(), 1, kInputs, kUnits);
  const auto check = [&](const std::vector<Value>& left, std::int64_t sums) {
    const Program program = layers.program(kRows, left);
    INFO(describe(program));
    CHECK(program.outputs()[0].slices == sums);
    CHECK(program.outputs()[1].slices == sums);
    CHECK((program.scratch_bytes() == 0) == (sums > 1));
    const Results got = gradients_of(layers, program);
    REQUIRE(got.size() == expected.size());
    for (std::size_t i = 0; i < got.size(); ++i)
      CHECK(std::abs(got[i] - expected[i]) <= 1e-4F * (1 + std::abs(expected[i])));
  };
  check(layers.gradients, parts);
  // One launch makes both.
  check({layers.gradients[0]}, 1);
  check({}, 1);
}

TEST_CASE("launches: all sums that are left to the caller take 32 megabytes at most") {
  constexpr std::int64_t kRows = 2000;
  constexpr std::int64_t kLayers = 12;  // 40 megabytes
  const LargeLayers layers(Device::emulated(), kLayers, 1000, 300);
  const Program program = layers.program(kRows, layers.gradients);
  std::int64_t bytes = 0;
  std::int64_t left = 0;
  for (const Operand& output : program.outputs()) {
    if (output.slices == 1) continue;
    bytes += output.slices * output.slice_bytes;
    ++left;
  }
  CHECK(left > 0);
  CHECK(left < 2 * kLayers);
  CHECK(bytes <= 32 << 20);
}

TEST_CASE("launches: what is much work for one block is launched alone") {
  Graph graph;
  const Value x = graph.input("x", {.shape = {None, 100}, .batched = true});
  const Value small =
      ops::dense(graph, x, graph.weight(weight("small", {100, 32}, Device::cpu())), {});
  const Value little =
      ops::dense(graph, x, graph.weight(weight("little", {100, 79}, Device::cpu())), {});
  const Value middle =
      ops::dense(graph, x, graph.weight(weight("middle", {100, 256}, Device::cpu())), {});
  const Value large =
      ops::dense(graph, x, graph.weight(weight("large", {100, 257}, Device::cpu())), {});
  // Reads one number of many: their shape is enough.
  const Value share =
      ops::reduce_loss(graph, graph.input("values", {.shape = {None}, .batched = true}), {}, {},
                       ops::Reduction::sum_over_batch_size);
  const Value whole = ops::affine(graph, graph.weight(weight("w", {65, 64}, Device::cpu())), 2, 0);
  const Value scalar = ops::affine(graph, graph.weight(weight("s", {64, 64}, Device::cpu())), 2, 0);
  const auto input = [&](const char* name, const Shape& shape) {
    return graph.input(name, {.shape = shape, .batched = true});
  };
  const Value wide = ops::affine(graph, input("wide", {None, 8192}), 2, 0);
  const Value wider = ops::affine(graph, input("wider", {None, 8193}), 2, 0);
  const Value narrowest = ops::affine(graph, input("narrowest", {None, 1}), 2, 0);
  const Value less_narrow = ops::affine(graph, input("less narrow", {None, 17}), 2, 0);
  const Value steps = ops::dense(graph, input("steps", {None, 30, 256}),
                                 graph.weight(weight("of steps", {256, 128}, Device::cpu())), {});
  const auto node = [&](Value value) {
    return static_cast<std::size_t>(graph.value(value).producer);
  };
  const auto joinable = [&](std::int64_t batch, std::int64_t slices) {
    std::vector<ValueInfo> infos;
    for (const GraphValue& value : graph.values()) {
      infos.push_back(value.info);
      if (value.info.batched) infos.back().shape[0] = batch;
    }
    return find_joinable(graph, infos, slices);
  };
  CHECK(joinable(128, 32)[node(small)]);
  CHECK_FALSE(joinable(128, 32)[node(large)]);
  CHECK(joinable(128, 32)[node(scalar)]);
  CHECK(joinable(100000, 128)[node(share)]);
  CHECK_FALSE(joinable(128, 32)[node(whole)]);
  // The same layer: few rows for each block, and more; and less work.
  CHECK(joinable(8 * 8, 8)[node(middle)]);
  CHECK_FALSE(joinable(8 * 64, 8)[node(middle)]);
  CHECK(joinable(8 * 64, 8)[node(small)]);
  CHECK_FALSE(joinable(8 * 64 + 1, 8)[node(small)]);
  CHECK(joinable(8 * 63, 8)[node(little)]);
  CHECK_FALSE(joinable(8 * 63 + 3, 8)[node(little)]);
  // As many numbers as a block does well, and more.
  CHECK(joinable(8, 1)[node(wide)]);
  CHECK_FALSE(joinable(8, 1)[node(wider)]);
  // So many rows, and where they are narrow more of them.
  CHECK(joinable(8 * 64, 8)[node(less_narrow)]);
  CHECK_FALSE(joinable(8 * 64 + 1, 8)[node(less_narrow)]);
  CHECK(joinable(8 * 1024, 8)[node(narrowest)]);
  CHECK_FALSE(joinable(8 * 1024 + 1, 8)[node(narrowest)]);
  // Rows of so many numbers.
  CHECK(joinable(8 * 8, 8)[node(wide)]);
  CHECK_FALSE(joinable(8 * 8 + 1, 8)[node(wide)]);
  // As many blocks as have room for the gradients of a layer's weights, and more.
  CHECK(joinable(256, 163)[node(middle)]);
  CHECK_FALSE(joinable(256, 164)[node(middle)]);
  // Many steps in each row: as many products as a block does well, and more.
  CHECK(joinable(4, 1)[node(steps)]);
  CHECK_FALSE(joinable(5, 1)[node(steps)]);
}

TEST_CASE("launches: rows with more places than 32 bits can count are in no row program") {
  Graph graph;
  const Value x = graph.input("x", {.shape = {None, 4}, .batched = true});
  const Value small = ops::affine(graph, x, 2, 0);
  const Value wide = graph.input("wide", {.shape = {None, 1}, .batched = true});
  const auto joins = [&](std::int64_t width) -> bool {
    std::vector<ValueInfo> infos;
    for (const GraphValue& value : graph.values()) infos.push_back(value.info);
    for (ValueInfo& info : infos) info.shape[0] = 3 * 8;
    infos[index(wide)].shape[1] = width;
    return find_joinable(graph, infos, 3)[static_cast<std::size_t>(graph.value(small).producer)];
  };
  CHECK(joins(std::int64_t{1} << 24U));
  CHECK_FALSE(joins((std::int64_t{1} << 24U) + 1));
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

TEST_CASE("launches: slices are short while there are multiprocessors for them") {
  CHECK(slices_on_device(0, 0) == 1);
  CHECK(slices_on_device(4, 10) == 1);
  CHECK(slices_on_device(5, 10) == 2);
  CHECK(slices_on_device(512, 10) == 128);
  CHECK(slices_on_device(100000, 10) == 128);
  // Sums of all slices stay within 32 megabytes.
  CHECK(slices_on_device(100000, 1 << 20) == 8);
  CHECK(slices_on_device(100000, 1 << 24) == 1);
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
