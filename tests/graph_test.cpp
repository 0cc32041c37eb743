#include <cmath>

#include "engine/graph/autograd.hpp"
#include "engine/graph/ops/activation.hpp"
#include "engine/graph/ops/dense.hpp"
#include "engine/graph/ops/elementwise.hpp"
#include "engine/graph/ops/shape.hpp"
#include "engine/runtime/executor.hpp"
#include "engine/runtime/memory_plan.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/variables.hpp"

using namespace braid;

namespace {

VariablePointer variable(const Shape& shape, float start) {
  Tensor numbers = Tensor::zeros(shape);
  for (std::int64_t i = 0; i < numbers.elements(); ++i)
    numbers.data<float>()[i] = start + 0.1F * static_cast<float>((i * 7) % 11 - 5);
  return testing::variable_of(std::move(numbers));
}

}  // namespace

TEST_CASE(
    "the memory plan keeps blocks that live at the same time apart, and shares memory between the "
    "others") {
  const MemoryPlan plan = plan_memory({{100, 0, 2}, {64, 1, 3}, {100, 3, 4}, {10, 4, 5}});
  CHECK(plan.offsets[0] != plan.offsets[1]);
  CHECK(plan.offsets[2] == plan.offsets[0]);
  CHECK(plan.bytes == 192);
  for (std::int64_t offset : plan.offsets) CHECK(offset % kMemoryAlignment == 0);
}

TEST_CASE(
    "a dense layer with tanh gives what plain loops give, and its gradient is that of "
    "differences") {
  const std::int64_t batch = GENERATE(1, 7, 65);
  auto graph = std::make_shared<Graph>();
  const auto kernel = variable({5, 3}, 0.05F);
  const auto bias = variable({3}, 0.2F);
  const Value in = graph->input("x", {.shape = {None, 5}, .batched = true});
  const Value weight = graph->weight(kernel);
  const Value out = ops::activation(*graph, ops::dense(*graph, in, weight, graph->weight(bias)),
                                    {kernels::ActivationKind::tanh});
  const Value total = ops::weighted_sum(*graph, ops::reshape(*graph, out, {None}), {});
  const auto gradients =
      add_gradients(*graph, {{total, graph->scalar(1)}}, {weight, graph->weight(bias)});
  Executor executor(graph, {out, total, gradients[0], gradients[1]}, Device::cpu());

  std::vector<float> x;
  for (std::int64_t i = 0; i < batch * 5; ++i)
    x.push_back(0.03F * static_cast<float>((i * 13) % 29 - 14));
  const auto reference = [&](const std::vector<double>& w) {
    double sum = 0;
    for (std::int64_t n = 0; n < batch; ++n) {
      for (int m = 0; m < 3; ++m) {
        double z = bias->value.data<float>()[m];
        for (int k = 0; k < 5; ++k)
          z += x[static_cast<std::size_t>(n * 5 + k)] * w[static_cast<std::size_t>(k * 3 + m)];
        sum += std::tanh(z);
      }
    }
    return sum;
  };
  std::vector<double> w(kernel->value.data<float>(), kernel->value.data<float>() + 15);
  const auto planned = executor.program({{.shape = {batch, 5}, .batched = true}});
  const Program& program = *planned;
  const auto workspace = executor.borrow();
  workspace->run(program, {reinterpret_cast<const std::byte*>(x.data())});
  CHECK(std::abs(workspace->output<float>(program, 1).data[0] - reference(w)) < 1e-4);
  for (std::size_t i = 0; i < 15; ++i) {
    auto up = w;
    auto down = w;
    up[i] += 1e-5;
    down[i] -= 1e-5;
    const double slope = (reference(up) - reference(down)) / 2e-5;
    CHECK(std::abs(workspace->output<float>(program, 2).data[i] - slope) < 1e-4);
  }
}
