// What is fused and what must not be. That both give the same numbers is checked with each op.
#include "engine/graph/fusion.hpp"

#include <cstdlib>

#include "engine/graph/ops/activation.hpp"
#include "engine/graph/ops/dense.hpp"
#include "engine/graph/ops/elementwise.hpp"
#include "engine/graph/ops/embedding.hpp"
#include "engine/graph/ops/loss.hpp"
#include "engine/graph/ops/lstm.hpp"
#include "engine/graph/ops/mask.hpp"
#include "engine/graph/ops/shape.hpp"
#include "engine/runtime/program.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/variables.hpp"

using namespace braid;
using kernels::ActivationKind;
using kernels::LossKind;

namespace {

Value rows(Graph& graph, const char* name, Dim columns) {
  return graph.input(name, {.shape = {None, columns}, .batched = true});
}

VariablePointer kernel_of(Dim from, Dim to) {
  return testing::variable_of(Tensor::zeros({from, to}), "kernel");
}

struct DenseGraph {
  Graph graph;
  Value before = ops::dense(graph, rows(graph, "in", 3), graph.weight(kernel_of(3, 4)), {});

  Value activated(kernels::Activation function) { return ops::activation(graph, before, function); }
  std::string producer_of(Value value) {
    const Op& op = *graph.producer(value)->op;
    return std::string(op.kind()) + " " + op.detail();
  }
};

struct LstmGraph {
  Graph graph;
  Value words = graph.input("words", {.shape = {None, 5}, .dtype = DType::int32, .batched = true});
  Value table = graph.weight(kernel_of(9, 3));
  Value vectors = ops::embedding(graph, words, table);
  Value mask = ops::ids_not_equal(graph, words, 0);

  Value lstm(Value of_mask) {
    const ops::LstmInputs inputs{.in = vectors,
                                 .mask = of_mask,
                                 .kernel = graph.weight(kernel_of(3, 8)),
                                 .recurrent = graph.weight(kernel_of(2, 8))};
    return ops::lstm(graph, inputs, {}).last_output;
  }
  Value operand(Value out, ops::Lstm::Input input) const {
    return graph.producer(out)->inputs[static_cast<std::size_t>(input)];
  }
};

const kernels::LossRule kBinary{.kind = LossKind::binary_crossentropy, .from_logits = true};
const kernels::LossRule kCategorical{.kind = LossKind::categorical_crossentropy,
                                     .from_logits = true};

}  // namespace

TEST_CASE("fusion: an activation whose derivative its output tells goes into the dense op") {
  for (const ActivationKind kind : {ActivationKind::relu, ActivationKind::tanh,
                                    ActivationKind::sigmoid, ActivationKind::relu6}) {
    DenseGraph dense;
    const Value out = dense.activated({kind});
    CHECK(fuse_dense_activation(dense.graph, {out}) == 1);
    CHECK(dense.producer_of(out) == "dense " + ops::name_of({kind}));
  }
  for (const ActivationKind kind : {ActivationKind::gelu, ActivationKind::silu,
                                    ActivationKind::softplus, ActivationKind::elu}) {
    DenseGraph dense;
    const Value out = dense.activated({kind});
    CHECK(fuse_dense_activation(dense.graph, {out}) == 0);
    CHECK(dense.producer_of(out) == "activation " + ops::name_of({kind}));
  }
}

TEST_CASE("fusion: a pre-activation that is used elsewhere stays") {
  DenseGraph kept;
  const Value out = kept.activated({ActivationKind::tanh});
  CHECK(fuse_dense_activation(kept.graph, {out, kept.before}) == 0);
  DenseGraph used;
  const Value one = used.activated({ActivationKind::tanh});
  const Value other = ops::affine(used.graph, used.before, 2);
  CHECK(fuse_dense_activation(used.graph, {one, other}) == 0);
}

TEST_CASE("fusion: two activations one behind the other, and only the first goes in") {
  DenseGraph dense;
  const Value first = dense.activated({ActivationKind::relu});
  const Value second = ops::activation(dense.graph, first, {ActivationKind::tanh});
  CHECK(fuse_dense_activation(dense.graph, {second}) == 1);
  CHECK(dense.producer_of(first) == "dense relu");
  CHECK(dense.producer_of(second) == "activation tanh");
}

TEST_CASE("fusion: probabilities come out of the loss of their logits") {
  Graph graph;
  const Value logits = rows(graph, "logits", 4);
  const Value truth = rows(graph, "truth", 4);
  const Value soft = ops::softmax(graph, logits);
  const Value loss = ops::loss_values(graph, kCategorical, truth, logits);
  CHECK(fuse_probabilities_into_loss(graph) == 1);
  CHECK(graph.producer(soft) == graph.producer(loss));
}

TEST_CASE("fusion: a loss takes over no probabilities but its own") {
  const auto fused = [](const kernels::LossRule& rule, auto&& probabilities) {
    Graph graph;
    const Value logits = rows(graph, "logits", 4);
    const Value truth = rows(graph, "truth", 4);
    probabilities(graph, logits);
    ops::loss_values(graph, rule, truth, logits);
    return fuse_probabilities_into_loss(graph);
  };
  const auto sigmoid = [](Graph& graph, Value in) {
    return ops::activation(graph, in, {ActivationKind::sigmoid});
  };
  const auto softmax = [](Graph& graph, Value in) { return ops::softmax(graph, in); };
  const auto logarithm = [](Graph& graph, Value in) { return ops::log_softmax(graph, in); };
  CHECK(fused(kBinary, sigmoid) == 1);
  CHECK(fused(kCategorical, softmax) == 1);
  CHECK(fused(kBinary, softmax) == 0);
  CHECK(fused(kCategorical, sigmoid) == 0);
  CHECK(fused(kCategorical, logarithm) == 0);
  CHECK(fused({.kind = LossKind::binary_crossentropy}, sigmoid) == 0);
  // Somebody needs them before the loss is there.
  CHECK(fused(kBinary, [&](Graph& graph, Value in) {
          return ops::affine(graph, sigmoid(graph, in), 2);
        }) == 0);
}

TEST_CASE("fusion: of two losses of one prediction one takes its probabilities over") {
  Graph graph;
  const Value logits = rows(graph, "logits", 4);
  ops::activation(graph, logits, {ActivationKind::sigmoid});
  ops::loss_values(graph, kBinary, rows(graph, "truth", 4), logits);
  ops::loss_values(graph, kBinary, rows(graph, "other truth", 4), logits);
  CHECK(fuse_probabilities_into_loss(graph) == 1);
}

TEST_CASE("fusion: BRAID_FUSION=off leaves the graph as it is") {
  DenseGraph dense;
  std::vector<Value> kept{dense.activated({ActivationKind::tanh})};
  const std::string before = describe(dense.graph);
  setenv("BRAID_FUSION", "off", 1);
  fuse(dense.graph, kept);
  unsetenv("BRAID_FUSION");
  CHECK(describe(dense.graph) == before);
  fuse(dense.graph, kept);
  CHECK(describe(dense.graph) != before);
}

TEST_CASE("fusion: what a concatenation joins is written in its place at once") {
  auto graph = std::make_shared<Graph>();
  const Value in = rows(*graph, "in", 3);
  const Value wide = ops::dense(*graph, in, graph->weight(kernel_of(3, 5)), {});
  const Value narrow = ops::dense(*graph, in, graph->weight(kernel_of(3, 2)), {});
  const Value joined = ops::concatenate(*graph, {wide, narrow}, -1);
  const Program program(graph, {ops::dense(*graph, joined, graph->weight(kernel_of(7, 1)), {})},
                        {{.shape = {9, 3}, .batched = true}});
  int found = 0;
  for (const Program::Stage& stage : program.stages()) {
    for (const Program::BoundOp& op : stage.ops) {
      if (op.op->kind() != "concatenate") continue;
      ++found;
      const Operand& whole = op.outputs[0];
      const std::int64_t columns[] = {0, 5};
      for (std::size_t i = 0; i < 2; ++i) {
        CHECK(op.inputs[i].base == whole.base);
        CHECK(op.inputs[i].offset == whole.offset + columns[i] * 4);
        CHECK(op.inputs[i].stride == whole.stride);
      }
    }
  }
  CHECK(found == 1);
}

TEST_CASE("fusion: an LSTM reads the rows of a table itself, and the padding from the ids") {
  LstmGraph words;
  const Value out = words.lstm(words.mask);
  const Value more = ops::mask_weights(words.graph, words.mask);
  CHECK(fuse_embedding_into_lstm(words.graph, {out, more}) == 1);
  CHECK(words.operand(out, ops::Lstm::kIn) == words.words);
  CHECK(words.operand(out, ops::Lstm::kTable) == words.table);
  CHECK(words.operand(out, ops::Lstm::kMask) == Value{});
  CHECK(words.graph.producer(out)->op->detail() == "tanh, sigmoid, padding 0");
}

TEST_CASE("fusion: a mask that does not come from the LSTM's own ids stays its operand") {
  LstmGraph words;
  const Value others =
      words.graph.input("others", {.shape = {None, 5}, .dtype = DType::int32, .batched = true});
  const Value given =
      words.graph.input("given", {.shape = {None, 5}, .dtype = DType::bool_, .batched = true});
  for (const Value mask : {Value{}, given, ops::ids_not_equal(words.graph, others, 0)}) {
    LstmGraph again = words;
    const Value out = again.lstm(mask);
    CHECK(fuse_embedding_into_lstm(again.graph, {out}) == 1);
    CHECK(again.operand(out, ops::Lstm::kMask) == mask);
    CHECK(again.graph.producer(out)->op->detail() == "tanh, sigmoid");
  }
  const Value also = ops::ids_not_equal(words.graph, words.words, 0, given);
  const Value out = words.lstm(also);
  CHECK(fuse_embedding_into_lstm(words.graph, {out}) == 1);
  CHECK(words.operand(out, ops::Lstm::kMask) == given);
}

TEST_CASE("fusion: vectors of words that somebody else reads, or that are kept, stay") {
  LstmGraph kept;
  const Value out = kept.lstm(kept.mask);
  CHECK(fuse_embedding_into_lstm(kept.graph, {out, kept.vectors}) == 0);
  LstmGraph used;
  const Value one = used.lstm(used.mask);
  const Value other = ops::affine(used.graph, used.vectors, 2);
  CHECK(fuse_embedding_into_lstm(used.graph, {one, other}) == 0);
  CHECK(used.operand(one, ops::Lstm::kIn) == used.vectors);
  CHECK(used.operand(one, ops::Lstm::kTable) == Value{});
}
