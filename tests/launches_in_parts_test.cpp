// Gradients that one launch sums up in parts: who adds these up.
#include <cmath>

#include "engine/graph/autograd.hpp"
#include "engine/graph/ops/dense.hpp"
#include "engine/graph/ops/elementwise.hpp"
#include "engine/graph/ops/loss.hpp"
#include "engine/runtime/workspace.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/guarded_matrix.hpp"
#include "tests/support/variables.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

// Layers on the same inputs, whose weights are too many for a row program, and their gradients.
struct LargeLayers {
  LargeLayers(Device on, std::int64_t count, std::int64_t inputs, std::int64_t units) : device(on) {
    const Value x = graph->input("x", {.shape = {None, inputs}, .batched = true});
    std::vector<Value> weights;
    std::vector<Value> totals;
    for (std::int64_t i = 0; i < count; ++i) {
      weights.push_back(graph->weight(random_variable({inputs, units}, device)));
      weights.push_back(graph->weight(random_variable({units}, device)));
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

}  // namespace

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
    std::vector<float> results;
    for (const std::size_t output : {0, 1}) {
      const Matrix<const float> matrix = workspace.output<float>(program, output);
      results.insert(results.end(), matrix.data, matrix.data + matrix.rows * matrix.columns);
    }
    return results;
  };
  const LargeLayers on_cpu(Device::cpu(), 1, kInputs, kUnits);
  const std::vector<float> expected = gradients_of(on_cpu, on_cpu.program(kRows, on_cpu.gradients));
  const LargeLayers layers(Device::emulated(), 1, kInputs, kUnits);
  const auto check = [&](const std::vector<Value>& left, std::int64_t sums) {
    const Program program = layers.program(kRows, left);
    INFO(describe(program));
    CHECK(program.outputs()[0].slices == sums);
    CHECK(program.outputs()[1].slices == sums);
    CHECK((program.scratch_bytes() == 0) == (sums > 1));
    const std::vector<float> got = gradients_of(layers, program);
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
