#include "engine/graph/ops/embedding.hpp"

#include <algorithm>

#include "engine/graph/autograd.hpp"
#include "kernels/embedding.hpp"

namespace braid::ops {
namespace {

// Positions of the batch sorted by id, for the gradient: order [N], segments [V + 1].
class EmbeddingSort final : public Op {
 public:
  std::string_view kind() const override { return "embedding_sort"; }
  bool reads(std::size_t input) const override { return input == 0; }
  bool tileable() const override { return false; }
  bool needs_packed() const override { return true; }
  std::vector<ValueInfo> infer(Infos in) const override {
    return {{.shape = Shape{in[0].shape.elements()}, .dtype = DType::int32},
            {.shape = Shape{in[1].shape[0] + 1}, .dtype = DType::int32}};
  }
  void run(const Run& run) const override {
    run.launch(kernels::EmbeddingSort{.ids = run.in<std::int32_t>(0),
                                      .order = run.out<std::int32_t>(0).data,
                                      .segments = run.out<std::int32_t>(1).data,
                                      .vocabulary = run.in_shape(1)[0]});
  }
};

class EmbeddingGradient final : public Op {
 public:
  std::string_view kind() const override { return "embedding_gradient"; }
  bool reads(std::size_t input) const override { return input != kTable; }
  bool tileable() const override { return false; }
  std::vector<ValueInfo> infer(Infos in) const override { return {{.shape = in[kTable].shape}}; }
  // About 64 KB of the table a piece.
  std::int64_t parts(Infos in) const override {
    const Shape& table = in[kTable].shape;
    return std::clamp<std::int64_t>(table.elements() / 16384, 1, 64);
  }
  void run(const Run& run) const override {
    const std::int64_t vocabulary = run.out_shape(0)[0];
    run.launch(kernels::EmbeddingBackward{.order = run.in<std::int32_t>(kOrder).data,
                                          .segments = run.in<std::int32_t>(kSegments).data,
                                          .out_grad = run.in<float>(kOutGrad),
                                          .table_grad = run.out<float>(0),
                                          .first = vocabulary * run.part() / run.parts(),
                                          .last = vocabulary * (run.part() + 1) / run.parts()});
  }

 private:
  enum { kOrder, kSegments, kOutGrad, kTable };
};

class Embedding final : public Op {
 public:
  std::string_view kind() const override { return "embedding"; }
  std::vector<ValueInfo> infer(Infos in) const override {
    return {{.shape = in[kIds].shape.append(in[kTable].shape.back()), .batched = in[kIds].batched}};
  }
  void run(const Run& run) const override {
    run.launch(kernels::EmbeddingForward{.ids = run.in<std::int32_t>(kIds),
                                         .table = run.in<float>(kTable),
                                         .out = run.out<float>(0)});
  }
  std::vector<Value> gradients(GradientBuilder& build) const override {
    const auto sorted = build.graph.add(std::make_shared<EmbeddingSort>(),
                                        {build.input(kIds), build.input(kTable)});
    return {Value{}, build.graph.op<EmbeddingGradient>(
                         {sorted[0], sorted[1], build.gradient(), build.input(kTable)})};
  }

 private:
  enum { kIds, kTable };
};

}  // namespace

Value embedding(Graph& graph, Value ids, Value table) { return graph.op<Embedding>({ids, table}); }

}  // namespace braid::ops
