#include "engine/graph/ops/embedding.hpp"

#include <algorithm>

#include "engine/core/error.hpp"
#include "engine/graph/autograd.hpp"

namespace braid::ops {
namespace {

// The sorted positions, and where each id's begin, are kept as int32.
void refuse_uncountable(const std::string& what, std::int64_t count, const Shape& shape) {
  constexpr std::int64_t kMost = 2147483647;
  if (count <= kMost) return;
  throw ShapeError("the gradient of an embedding takes at most " + std::to_string(kMost) + " " +
                   what + ", received " + std::to_string(count) + " of shape " + to_string(shape));
}

// Positions of the batch sorted by id, for the gradient: order [N], segments [V + 1]. What sorting
// needs lies behind the order: as a value's, its memory is there once, and free for others later.
class EmbeddingSort final : public Op {
 public:
  explicit EmbeddingSort(std::int32_t padding) : padding_(padding) {}

  std::string_view kind() const override { return "embedding_sort"; }
  bool reads(std::size_t input) const override { return input != kTable; }
  bool tileable(Infos) const override { return false; }
  bool needs_packed() const override { return true; }
  std::vector<ValueInfo> infer(Infos in) const override {
    refuse_uncountable("positions", in[kIds].shape.elements(), in[kIds].shape);
    refuse_uncountable("ids of a table", in[kTable].shape[0], in[kTable].shape);
    const std::int64_t positions = in[kIds].shape.elements();
    const std::int64_t scratch = kernels::embedding_sort_scratch(positions, in[kTable].shape[0]);
    return {{.shape = Shape{scratch == 0 ? positions : scratch_begin(positions) + scratch},
             .dtype = DType::int32},
            {.shape = Shape{in[kTable].shape[0] + 1}, .dtype = DType::int32}};
  }
  void run(const Run& run) const override {
    std::int32_t* const order = run.out<std::int32_t>(0).data;
    const std::int64_t begin = scratch_begin(run.in_shape(kIds).elements());
    const bool has_scratch = run.out_shape(0)[0] > begin;
    run.launch(kernels::EmbeddingSort{.ids = run.in<std::int32_t>(kIds),
                                      .mask = run.in<std::uint8_t>(kMask),
                                      .padding = padding_,
                                      .order = order,
                                      .segments = run.out<std::int32_t>(1).data,
                                      .vocabulary = run.in_shape(kTable)[0],
                                      .scratch = has_scratch ? order + begin : nullptr});
  }

 private:
  // Aligned to two numbers.
  static std::int64_t scratch_begin(std::int64_t positions) { return positions + positions % 2; }

  enum { kIds, kTable, kMask };
  std::int32_t padding_;
};

class EmbeddingGradient final : public Op {
 public:
  std::string_view kind() const override { return "embedding_gradient"; }
  bool reads(std::size_t input) const override { return input != kTable; }
  bool tileable(Infos) const override { return false; }
  std::vector<ValueInfo> infer(Infos in) const override { return {{.shape = in[kTable].shape}}; }
  // About 64 KB of the table a piece.
  std::int64_t parts(Infos in) const override {
    const Shape& table = in[kTable].shape;
    return std::clamp<std::int64_t>(table.elements() / 16384, 1, 64);
  }
  void run(const Run& run) const override {
    const std::int64_t vocabulary = run.out_shape(0)[0];
    run.launch(kernels::EmbeddingBackward{.ids = run.in<std::int32_t>(kIds),
                                          .order = run.in<std::int32_t>(kOrder).data,
                                          .segments = run.in<std::int32_t>(kSegments).data,
                                          .out_grad = run.in<float>(kOutGrad),
                                          .table_grad = run.out<float>(0),
                                          .first = vocabulary * run.part() / run.parts(),
                                          .last = vocabulary * (run.part() + 1) / run.parts(),
                                          .scratch = reinterpret_cast<float*>(run.scratch())});
  }
  std::int64_t scratch_bytes(Infos in, std::int64_t) const override {
    return 4 * kernels::embedding_sums_scratch(in[kIds].shape.elements(), in[kTable].shape[1]);
  }

 private:
  enum { kIds, kOrder, kSegments, kOutGrad, kTable };
};

enum { kIds, kTable };

}  // namespace

std::vector<ValueInfo> Embedding::infer(Infos in) const {
  return {{.shape = in[kIds].shape.append(in[kTable].shape.back()), .batched = in[kIds].batched}};
}

void Embedding::run(const Run& run) const {
  const Matrix<const std::int32_t> ids = run.in<std::int32_t>(kIds);
  const Matrix<const float> table = run.in<float>(kTable);
  check_ids(run, ids, table.rows, layer_);
  run.launch(kernels::EmbeddingForward{.ids = ids, .table = table, .out = run.out<float>(0)});
}

std::vector<Value> Embedding::gradients(GradientBuilder& build) const {
  return {Value{}, embedding_gradient(build.graph, build.input(kIds), build.input(kTable),
                                      build.gradient())};
}

void check_ids(const Run& run, Matrix<const std::int32_t> ids, std::int64_t limit,
               const std::string& layer) {
  if (!run.on_host()) return;
  for (std::int64_t b = 0; b < ids.rows; ++b) {
    const std::int32_t* first = ids.row(b);
    const std::int32_t* last = first + ids.columns;
    const std::int32_t* wrong =
        std::find_if(first, last, [&](std::int32_t id) { return id < 0 || id >= limit; });
    if (wrong == last) continue;
    const std::int64_t rows_a_row =
        run.rows() == 0 ? 1 : std::max<std::int64_t>(ids.rows / run.rows(), 1);
    throw RangeError(layer + ": row " + std::to_string(run.first_row() + b / rows_a_row) +
                     ", column " + std::to_string(b % rows_a_row * ids.columns + (wrong - first)) +
                     ": the id " + std::to_string(*wrong) + " is not in 0 .. " +
                     std::to_string(limit - 1));
  }
}

Value embedding(Graph& graph, Value ids, Value table, std::string layer) {
  return graph.op<Embedding>({ids, table}, std::move(layer));
}

SortedIds sort_ids(Graph& graph, Value ids, Value table, const LeftOut& left_out) {
  const auto sorted =
      graph.add(std::make_shared<EmbeddingSort>(left_out.padding), {ids, table, left_out.mask});
  return {sorted[0], sorted[1]};
}

Value embedding_gradient(Graph& graph, Value ids, Value table, Value out_grad,
                         const LeftOut& left_out) {
  const SortedIds sorted = sort_ids(graph, ids, table, left_out);
  return graph.op<EmbeddingGradient>({ids, sorted.order, sorted.segments, out_grad, table});
}

}  // namespace braid::ops
