// What plans must keep: blocks apart, rows covered, values complete before they are read.
#include <algorithm>

#include "engine/graph/autograd.hpp"
#include "engine/graph/ops/activation.hpp"
#include "engine/graph/ops/dense.hpp"
#include "engine/graph/ops/elementwise.hpp"
#include "engine/graph/ops/embedding.hpp"
#include "engine/graph/ops/loss.hpp"
#include "engine/graph/ops/shape.hpp"
#include "engine/runtime/memory_plan.hpp"
#include "engine/runtime/row_cut.hpp"
#include "engine/runtime/stages.hpp"
#include "tests/support/array.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/variables.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

std::vector<MemoryRequest> random_requests(RandomNumbers& random) {
  std::vector<MemoryRequest> requests;
  const std::int64_t count = random.below(60);
  const std::int64_t moments = 1 + random.below(30);
  for (std::int64_t n = 0; n < count; ++n) {
    MemoryRequest request{.bytes = random.below(4) == 0 ? random.below(2) : random.below(5000)};
    request.first = static_cast<int>(random.below(moments)) - 5;
    request.last =
        request.first + static_cast<int>(random.below(4) == 0 ? moments : random.below(3));
    requests.push_back(request);
  }
  return requests;
}

// Bytes that live at the busiest moment: no plan can do with less.
std::int64_t busiest(const std::vector<MemoryRequest>& requests) {
  std::int64_t most = 0;
  for (const MemoryRequest& moment : requests) {
    std::int64_t bytes = 0;
    for (const MemoryRequest& other : requests) {
      if (other.first <= moment.first && moment.first <= other.last) bytes += other.bytes;
    }
    most = std::max(most, bytes);
  }
  return most;
}

}  // namespace

TEST_CASE("memory plan: blocks that live at the same time never overlap") {
  RandomNumbers random(1);
  for (int round = 0; round < 300; ++round) {
    const std::vector<MemoryRequest> requests = random_requests(random);
    const MemoryPlan plan = plan_memory(requests);
    REQUIRE(plan.offsets.size() == requests.size());
    bool apart = true;
    bool inside = true;
    for (std::size_t a = 0; a < requests.size(); ++a) {
      inside = inside && plan.offsets[a] >= 0 && plan.offsets[a] % kMemoryAlignment == 0 &&
               plan.offsets[a] + requests[a].bytes <= plan.bytes;
      for (std::size_t b = 0; b < a; ++b) {
        const bool together =
            requests[a].first <= requests[b].last && requests[b].first <= requests[a].last;
        const bool overlap = plan.offsets[a] < plan.offsets[b] + requests[b].bytes &&
                             plan.offsets[b] < plan.offsets[a] + requests[a].bytes;
        apart = apart && !(together && overlap);
      }
    }
    CHECK(apart);
    CHECK(inside);
    CHECK(plan.bytes >= busiest(requests));
    const MemoryPlan again = plan_memory(requests);
    CHECK(again.offsets == plan.offsets);
    CHECK(again.bytes == plan.bytes);
  }
}

TEST_CASE("memory plan: blocks that follow one another share one place") {
  std::vector<MemoryRequest> requests;
  for (int n = 0; n < 40; ++n)
    requests.push_back({.bytes = 64 * (1 + n % 7), .first = n, .last = n});
  CHECK(plan_memory(requests).bytes == 64 * 7);
  CHECK(plan_memory({}).bytes == 0);
}

TEST_CASE("rows are cut into slices of nearly equal tiles that cover the batch") {
  RandomNumbers random(2);
  for (int round = 0; round < 2000; ++round) {
    const std::int64_t batch = random.below(4) == 0 ? random.below(20) : random.below(3000);
    const double operations = std::pow(10, random.uniform(0, 13));
    const std::int64_t bytes = random.below(3) == 0 ? 0 : random.below(400000);
    const std::int64_t summed = random.below(3) == 0 ? 0 : random.below(3000000);
    const std::int64_t cores = 1 + random.below(20);
    const RowCut cut = cut_rows(batch, operations, bytes, summed, cores);
    CAPTURE(batch, operations, bytes, summed, cores, cut.slices, cut.tile_rows);
    const std::int64_t rows = (batch + cut.slices - 1) / cut.slices;
    const std::int64_t tiles =
        (rows + cut.tile_rows - 1) / std::max<std::int64_t>(cut.tile_rows, 1);
    const bool sound = cut.slices >= 1 && cut.tile_rows >= 1 &&
                       (batch == 0 || cut.slices <= std::max<std::int64_t>(1, batch / 4)) &&
                       (summed > 0 || cut.slices <= std::max(cores, batch / 64)) &&
                       cut.tile_rows <= 64 && tiles * cut.tile_rows >= rows &&
                       // No tile without rows.
                       (tiles - 1) * cut.tile_rows < std::max<std::int64_t>(rows, 1);
    CHECK(sound);
    // What is summed has the same order on any number of cores.
    const RowCut there = cut_rows(batch, operations, bytes, summed, cores + 7);
    CHECK((summed == 0 || (there.slices == cut.slices && there.tile_rows == cut.tile_rows)));
  }
  // More work, more slices; little work, one.
  const auto slices = [](std::int64_t batch, double operations, std::int64_t summed) {
    return cut_rows(batch, operations, 100, summed, 6).slices;
  };
  CHECK(slices(1024, 1e4, 0) == 1);
  CHECK(slices(1024, 1e12, 10) > slices(1024, 4e6, 10));
  CHECK(slices(128, 1e12, 0) == 6);
  CHECK(slices(1024, 1e12, 0) == 16);
  // Weights that are read from far away want more rows.
  CHECK(slices(32, 1e12, 1000) == 8);
  CHECK(slices(32, 1e12, 1000000) == 4);
}

namespace {

// Dense layers, sums over the batch, an embedding and their gradients, in some random order.
struct RandomGraph {
  std::shared_ptr<Graph> graph = std::make_shared<Graph>();
  std::vector<Value> outputs;

  explicit RandomGraph(RandomNumbers& random) {
    std::vector<Value> rows{graph->input("x", {.shape = {None, 4}, .batched = true})};
    std::vector<Value> sums;
    std::vector<Value> weights;
    const Value ids =
        graph->input("ids", {.shape = {None}, .dtype = DType::int32, .batched = true});
    const auto any = [&] {
      return rows[static_cast<std::size_t>(random.below(static_cast<std::int64_t>(rows.size())))];
    };
    const auto variable = [&](const Shape& shape) {
      weights.push_back(graph->weight(variable_of(Tensor::zeros(shape))));
      return weights.back();
    };
    const std::int64_t count = 2 + random.below(12);
    for (std::int64_t n = 0; n < count; ++n) {
      switch (random.below(6)) {
        case 0: rows.push_back(ops::dense(*graph, any(), variable({4, 4}), variable({4}))); break;
        case 1: rows.push_back(ops::embedding(*graph, ids, variable({5, 4}))); break;
        case 2: rows.push_back(ops::sum(*graph, {any(), any()})); break;
        case 3: sums.push_back(ops::penalty(*graph, any(), 0.1, 0.1)); break;
        case 4:
          if (!sums.empty()) rows.push_back(ops::scale_by(*graph, any(), sums.back()));
          break;
        default: rows.push_back(ops::activation(*graph, any(), {kernels::ActivationKind::tanh}));
      }
    }
    const Value values = ops::loss_values(*graph, {}, any(), rows.back());
    const Value total =
        ops::reduce_loss(*graph, values, {}, {}, ops::Reduction::sum_over_batch_size);
    outputs.push_back(total);
    if (!weights.empty()) {
      for (Value gradient : add_gradients(*graph, {{total, graph->scalar(1)}}, weights)) {
        if (gradient) outputs.push_back(gradient);
      }
    }
  }
};

bool by_rows(const Graph& graph, const GraphNode& node) {
  const auto batched = [&](Value value) { return value && graph.info(value).batched; };
  bool any = std::any_of(node.outputs.begin(), node.outputs.end(), batched);
  for (std::size_t i = 0; i < node.inputs.size(); ++i)
    any = any || (batched(node.inputs[i]) && node.op->reads(i));
  return any && node.op->tileable(graph.infos(node.inputs));
}

}  // namespace

TEST_CASE("stages: a value is complete before it is read, and nothing dead is run") {
  RandomNumbers random(3);
  for (int round = 0; round < 200; ++round) {
    const RandomGraph made(random);
    const Graph& graph = *made.graph;
    const std::vector<int> stages = assign_stages(graph, made.outputs);
    REQUIRE(stages.size() == graph.nodes().size());
    std::vector<bool> wanted(graph.values().size(), false);
    for (Value output : made.outputs) wanted[index(output)] = true;
    bool sound = true;
    for (std::size_t n = stages.size(); n-- > 0;) {
      const GraphNode& node = graph.nodes()[n];
      const bool alive = std::any_of(node.outputs.begin(), node.outputs.end(),
                                     [&](Value output) { return output && wanted[index(output)]; });
      sound = sound && alive == (stages[n] != kDeadStage);
      if (!alive) continue;
      const bool rows = by_rows(graph, node);
      sound = sound && (stages[n] % 2 == 0) == rows;
      for (std::size_t i = 0; i < node.inputs.size(); ++i) {
        const Value input = node.inputs[i];
        if (!input || !node.op->reads(i)) continue;
        wanted[index(input)] = true;
        const int producer = graph.value(input).producer;
        if (producer < 0) continue;
        const bool made_by_rows = by_rows(graph, graph.nodes()[static_cast<std::size_t>(producer)]);
        // Within one stage rows follow rows, and whole ops follow whole ops, in the graph's order.
        const bool may_share = made_by_rows == rows && (!rows || graph.info(input).batched);
        const int stage = stages[static_cast<std::size_t>(producer)];
        sound = sound && (may_share ? stage <= stages[n] : stage < stages[n]);
      }
    }
    CHECK(sound);
  }
}
