// How much work a device's launches join, and into how many blocks it is cut.
#include "engine/graph/ops/dense.hpp"
#include "engine/graph/ops/elementwise.hpp"
#include "engine/graph/ops/loss.hpp"
#include "engine/runtime/launches.hpp"
#include "engine/runtime/row_cut.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/variables.hpp"

using namespace braid;
using namespace braid::testing;

TEST_CASE("launches: what is much work for one block is launched alone") {
  Graph graph;
  const auto weight = [&](const Shape& shape) {
    return graph.weight(random_variable(shape, Device::cpu()));
  };
  const Value x = graph.input("x", {.shape = {None, 100}, .batched = true});
  const Value small = ops::dense(graph, x, weight({100, 32}), {});
  const Value little = ops::dense(graph, x, weight({100, 79}), {});
  const Value middle = ops::dense(graph, x, weight({100, 256}), {});
  const Value large = ops::dense(graph, x, weight({100, 257}), {});
  // Reads one number of many: their shape is enough.
  const Value share =
      ops::reduce_loss(graph, graph.input("values", {.shape = {None}, .batched = true}), {}, {},
                       ops::Reduction::sum_over_batch_size);
  const Value whole = ops::affine(graph, weight({65, 64}), 2, 0);
  const Value scalar = ops::affine(graph, weight({64, 64}), 2, 0);
  const auto input = [&](const char* name, const Shape& shape) {
    return graph.input(name, {.shape = shape, .batched = true});
  };
  const Value wide = ops::affine(graph, input("wide", {None, 8192}), 2, 0);
  const Value wider = ops::affine(graph, input("wider", {None, 8193}), 2, 0);
  const Value narrowest = ops::affine(graph, input("narrowest", {None, 1}), 2, 0);
  const Value less_narrow = ops::affine(graph, input("less narrow", {None, 17}), 2, 0);
  const Value steps = ops::dense(graph, input("steps", {None, 30, 256}), weight({256, 128}), {});
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
