// Results never depend on the number of threads: a step is run by processes that have different
// numbers of them.
#include <unistd.h>

#include <array>
#include <cstdio>
#include <iostream>
#include <string>
#include <thread>

#include "engine/core/random.hpp"
#include "engine/graph/autograd.hpp"
#include "engine/graph/ops/activation.hpp"
#include "engine/graph/ops/dense.hpp"
#include "engine/graph/ops/dropout.hpp"
#include "engine/graph/ops/embedding.hpp"
#include "engine/graph/ops/loss.hpp"
#include "engine/graph/ops/lstm.hpp"
#include "engine/graph/ops/mask.hpp"
#include "engine/graph/ops/shape.hpp"
#include "engine/runtime/executor.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/variables.hpp"

using namespace braid;

namespace {

constexpr std::int64_t kRows = 257;
constexpr std::int64_t kSteps = 9;
constexpr std::int64_t kVocabulary = 4099;

VariablePointer random_variable(const Shape& shape, Random& random) {
  Tensor numbers = Tensor::zeros(shape);
  for (std::int64_t i = 0; i < numbers.elements(); ++i)
    numbers.data<float>()[i] = random.uniform() - 0.5F;
  return testing::variable_of(std::move(numbers));
}

// A masked LSTM over embedded words beside features, with dropout, a loss and all gradients.
struct TrainingStep {
  std::shared_ptr<Graph> graph = std::make_shared<Graph>();
  std::vector<Value> results;
  std::vector<Value> weights;
  Random random{5};

  Value weight(const Shape& shape) {
    weights.push_back(graph->weight(random_variable(shape, random)));
    return weights.back();
  }

  TrainingStep() {
    const Value words =
        graph->input("words", {.shape = {None, kSteps}, .dtype = DType::int32, .batched = true});
    const Value features = graph->input("features", {.shape = {None, 19}, .batched = true});
    const Value truth = graph->input("truth", {.shape = {None, 7}, .batched = true});
    const Value vectors = ops::embedding(*graph, words, weight({kVocabulary, 24}));
    const ops::LstmOutputs sequence = ops::lstm(*graph,
                                                {.in = vectors,
                                                 .mask = ops::ids_not_equal(*graph, words, 0),
                                                 .kernel = weight({24, 4 * 33}),
                                                 .recurrent = weight({33, 4 * 33}),
                                                 .bias = weight({4 * 33})},
                                                {});
    const Value dense =
        ops::activation(*graph, ops::dense(*graph, features, weight({19, 31}), weight({31})),
                        {kernels::ActivationKind::tanh});
    const Value joined = ops::concatenate(*graph, {sequence.last_output, dense}, -1);
    const Value hidden =
        ops::dense(*graph, ops::dropout(*graph, joined, 0.3, 1), weight({64, 300}), weight({300}));
    const Value logits = ops::dense(*graph, hidden, weight({300, 7}), weight({7}));
    const Value loss = ops::reduce_loss(
        *graph,
        ops::loss_values(*graph,
                         {.kind = kernels::LossKind::categorical_crossentropy, .from_logits = true},
                         truth, logits),
        {}, {}, ops::Reduction::sum_over_batch_size);
    results = add_gradients(*graph, {{loss, graph->scalar(1)}}, weights);
    results.push_back(loss);
    results.push_back(logits);
  }
};

// FNV-1a over the bits of all results.
std::uint64_t digest_of_a_step() {
  const TrainingStep step;
  const Program program(step.graph, step.results,
                        {{.shape = {kRows, kSteps}, .dtype = DType::int32, .batched = true},
                         {.shape = {kRows, 19}, .batched = true},
                         {.shape = {kRows, 7}, .batched = true}});
  REQUIRE(program.slices() > 2);
  Random random(9);
  std::vector<std::int32_t> words;
  for (std::int64_t i = 0; i < kRows * kSteps; ++i)
    words.push_back(random.uniform() < 0.3F ? 0
                                            : static_cast<std::int32_t>(random.below(kVocabulary)));
  std::vector<float> features;
  for (std::int64_t i = 0; i < kRows * 19; ++i) features.push_back(random.uniform() - 0.5F);
  std::vector<float> truth;
  for (std::int64_t i = 0; i < kRows * 7; ++i) truth.push_back(random.uniform());
  Workspace workspace(Device::cpu());
  const auto bytes = [](const auto& values) {
    return reinterpret_cast<const std::byte*>(values.data());
  };
  workspace.run(program, {bytes(words), bytes(features), bytes(truth)}, {.random = {3, 4}});

  std::uint64_t digest = 0xcbf29ce484222325U;
  for (std::size_t n = 0; n < step.results.size(); ++n) {
    const auto result = workspace.output<std::uint8_t>(program, n);
    REQUIRE(result.packed());
    for (std::int64_t i = 0; i < result.rows * result.columns * 4; ++i)
      digest = (digest ^ result.data[i]) * 0x100000001b3U;
  }
  return digest;
}

std::string digest_with(int threads) {
  const std::string command = "BRAID_THREADS=" + std::to_string(threads) + " /proc/" +
                              std::to_string(getpid()) + "/exe \"[digest]\" 2>&1";
  std::FILE* pipe = popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string text;
  std::array<char, 256> line{};
  while (std::fgets(line.data(), line.size(), pipe) != nullptr) {
    if (std::string(line.data()).starts_with("digest ")) text = line.data();
  }
  REQUIRE(pclose(pipe) == 0);
  return text;
}

}  // namespace

// Run by the test below, in processes of its own.
TEST_CASE("a training step's digest", "[.][digest]") {
  std::cout << "digest " << digest_of_a_step() << "\n" << std::flush;
}

TEST_CASE("a training step gives the same bits with any number of threads") {
  const std::string expected = "digest " + std::to_string(digest_of_a_step()) + "\n";
  for (const int threads : {1, 2, 3, 7}) {
    INFO(threads << " threads");
    CHECK(digest_with(threads) == expected);
  }
}

TEST_CASE("one executor serves several threads at once") {
  const TrainingStep step;
  Executor executor(step.graph, {step.results.back()}, Device::cpu());
  // The logits of a batch whose numbers follow from its size.
  const auto logits_of = [&](std::int64_t rows) {
    Random random(static_cast<std::uint64_t>(rows));
    std::vector<std::int32_t> words;
    for (std::int64_t i = 0; i < rows * kSteps; ++i)
      words.push_back(static_cast<std::int32_t>(random.below(kVocabulary)));
    std::vector<float> features;
    for (std::int64_t i = 0; i < rows * 19; ++i) features.push_back(random.uniform());
    const auto program =
        executor.program({{.shape = {rows, kSteps}, .dtype = DType::int32, .batched = true},
                          {.shape = {rows, 19}, .batched = true},
                          {.shape = {rows, 7}, .batched = true}});
    const auto workspace = executor.borrow();
    workspace->run(*program, {reinterpret_cast<const std::byte*>(words.data()),
                              reinterpret_cast<const std::byte*>(features.data()), nullptr});
    const auto logits = workspace->output<float>(*program, 0);
    return std::vector<float>(logits.data, logits.data + logits.rows * logits.columns);
  };
  const std::vector<std::int64_t> sizes{1, 5, 33, 64, 130};
  std::vector<std::vector<float>> expected;
  for (const std::int64_t rows : sizes) expected.push_back(logits_of(rows));
  std::vector<int> wrong(4, 0);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t n = 0; n < 25; ++n) {
        const std::size_t which = (n + t) % sizes.size();
        if (logits_of(sizes[which]) != expected[which]) ++wrong[t];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == std::vector<int>(4, 0));
}
