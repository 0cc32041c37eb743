// What a user may look at or is told without asking: the stages of a build, warnings, what memory
// was wanted for.
#include <cstdlib>

#include "engine/graph/ops/dense.hpp"
#include "engine/runtime/workspace.hpp"
#include "tests/support/captured.hpp"
#include "tests/support/on_device.hpp"
#include "tests/support/refusals.hpp"
#include "tests/support/sample_models.hpp"
#include "tests/support/variables.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

// On the CPU: devices have no tiles, nor stages in them.
std::string dumped(const char* stages) {
  const OnDevice cpu(Device::cpu());
  const Environment wish("BRAID_DUMP", stages);
  Sample s = two_inputs(4);
  Captured errors(STDERR_FILENO);
  s.model.train_on_batch(s.x, s.y);
  return errors.text();
}

// What building says on standard error.
template <class Build>
std::string told(const Build& build) {
  Captured errors(STDERR_FILENO);
  build();
  return errors.text();
}

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("BRAID_DUMP prints each stage in words, and only those that are named") {
  const std::string graph = dumped("graph");
  CHECK(holds(graph, "float32 [batch, 6] = dense text, dense/kernel, dense/bias"));
  CHECK(holds(graph, "float32 [batch, 6] = dense (relu) text, dense/kernel, dense/bias"));
  CHECK(holds(graph, "loss_values (binary, from logits) label, "));
  CHECK_FALSE(holds(graph, "\n = "));
  CHECK_FALSE(holds(graph, "plan for batch"));
  CHECK_FALSE(holds(graph, "program for batch"));

  const std::string plan = dumped("plan");
  CHECK(holds(plan, "plan for batch 4: arena "));
  CHECK(holds(plan, "(Dense layer \"label\"): 16 bytes of the tile at "));
  CHECK(holds(plan, " bytes of the "));
  CHECK(holds(plan, ", stages "));
  CHECK_FALSE(holds(plan, "program for batch"));

  const std::string program = dumped("program");
  CHECK(holds(program, "program for batch 4: "));
  CHECK(holds(program, "row by row"));
  CHECK_FALSE(holds(program, "plan for batch"));

  const std::string all = dumped("graph,plan,program");
  CHECK(holds(all, "= dense"));
  CHECK(holds(all, "plan for batch"));
  CHECK(holds(all, "program for batch"));
  CHECK(dumped("").empty());
}

TEST_CASE("what Keras would pass over in silence is told when the model is built, once") {
  auto ids = Input({.shape = {None}, .name = "ids", .dtype = DType::int32});
  const auto masking_behind = [&](const char* name, bool mask_zero) {
    auto h = layers::Embedding({.input_dim = 9, .output_dim = 3, .mask_zero = mask_zero})(ids);
    Model({ids}, {layers::LSTM({.units = 2})(layers::Masking({.name = name})(h))});
  };
  const std::string trap = told([&] { masking_behind("warned_masking", false); });
  CHECK(holds(trap, "braid: warning: Masking layer \"warned_masking\" stands behind an Embedding"));
  CHECK(holds(trap, "whole vector is 0 are masked"));
  CHECK(holds(trap, "mask_zero = true"));
  CHECK(told([&] { masking_behind("warned_masking", false); }).empty());
  CHECK(holds(told([&] { masking_behind("warned_masking_2", true); }),
              "replaces the Embedding's mask"));

  auto state = Input({.shape = {2}, .name = "state"});
  auto h = layers::Embedding({.input_dim = 9, .output_dim = 3, .mask_zero = true})(ids);
  const std::string ignored = told([&] {
    auto y =
        layers::LSTM({.units = 2, .name = "warned_lstm"})(h, {.initial_state = {state, state}});
    Model({ids, state}, {y});
  });
  CHECK(holds(ignored, "LSTM layer \"warned_lstm\""));
  CHECK(holds(ignored,
              "does not use the mask of its sequence because initial_state is given; pass .mask"));
  CHECK(told([&] {
          auto y = layers::LSTM({.units = 2, .name = "told_mask"})(
              h, {.initial_state = {state, state}, .mask = h.mask()});
          Model({ids, state}, {y});
        }).empty());

  const std::string dropped = told([&] {
    auto fixed = Input({.shape = {4}, .name = "fixed", .dtype = DType::int32});
    auto e = layers::Embedding({.input_dim = 9, .output_dim = 3, .mask_zero = true})(fixed);
    Model({fixed}, {layers::Flatten({.name = "warned_flatten"})(e)});
  });
  CHECK(dropped ==
        "braid: warning: Flatten layer \"warned_flatten\" does not pass masks on: the mask of its "
        "input ends here\n");
  const Environment quiet("BRAID_WARNINGS", "off");
  CHECK(told([&] { masking_behind("warned_masking_3", false); }).empty());
}

TEST_CASE("an activation that does not belong before its loss is told when the step is built") {
  const auto trained = [](const char* activation, const Loss& loss, const std::string& name) {
    auto x = Input({.shape = {2}, .name = "x"});
    Model model({x}, {layers::Dense({.units = 2, .activation = activation, .name = name})(x)});
    model.compile({.optimizer = "sgd", .loss = loss});
    return told([&] {
      model.test_on_batch({{"x", uniform({1, 2}, 1)}}, {{name, Tensor::zeros({1, 2})}});
    });
  };
  CHECK(holds(trained("softmax", "binary_crossentropy", "warned_a"),
              "output \"warned_a\": a softmax stands before a binary crossentropy"));
  CHECK(holds(trained("sigmoid", "categorical_crossentropy", "warned_b"),
              "output \"warned_b\": a sigmoid stands before a categorical crossentropy"));
  CHECK(holds(trained("sigmoid", losses::BinaryCrossentropy({.from_logits = true}), "warned_c"),
              "output \"warned_c\": its loss is told from_logits"));
  CHECK(trained("sigmoid", "binary_crossentropy", "fine").empty());
}

#if !defined(__SANITIZE_ADDRESS__)
TEST_CASE("out of memory tells what was asked for, what is free and what takes most") {
  // The product alone is more than a process can address: some machines promise all below that.
  constexpr std::int64_t kRows = 1 << 24;
  constexpr Dim kUnits = 1 << 22;
  std::vector<Device> devices = gpus();
  devices.push_back(Device::cpu());
  for (const Device device : devices) {
    INFO(to_string(device));
    const OnDevice here(device);
    auto graph = std::make_shared<Graph>();
    const VariablePointer wide = variable_of(Tensor::zeros({1, kUnits}).to(device));
    graph->set_layer("Dense layer \"wide\"");
    const Value in = graph->input("x", {.shape = {None, 1}, .batched = true});
    const Value out = ops::dense(*graph, in, graph->weight(wide), {});
    const Program program(graph, {out}, {{.shape = {kRows, 1}, .batched = true}}, device);
    const std::vector<float> column(static_cast<std::size_t>(kRows));
    Workspace workspace(device);
    // On a device the inputs have their place there, too, behind the state of a run.
    const std::int64_t asked = 4 * kRows * kUnits + (device == Device::cpu() ? 0 : 4 * kRows + 256);
    check_refused<OutOfMemory>(
        [&] { workspace.run(program, {reinterpret_cast<const std::byte*>(column.data())}); },
        {std::string("batch of 16777216 rows asks for ") + std::to_string(asked) +
             " bytes on device \"" + to_string(device) + "\", ",
         "bytes are free",
         "The largest parts: dense (Dense layer \"wide\") 281474976710656 bytes"});

    auto x = Input({.shape = {1}, .name = "x"});
    const Model model({x}, {layers::Dense({.units = kUnits, .name = "y"})(x)});
    const TensorDict data{{"x", Tensor::zeros({kRows, 1})}};
    check_refused<OutOfMemory>([&] { model.predict(data, {.batch_size = 1}); },
                               {"model.predict: the predictions \"y\" of all rows: ",
                                "281474976710656 bytes", "bytes are free"});
    check_refused<OutOfMemory>([&] { model.predict_on_batch(data); },
                               {"model.predict_on_batch: a batch of 16777216 rows asks for 28147",
                                to_string(device), "Dense layer \"y\""});
    CHECK_NOTHROW(model.predict({{"x", Tensor::zeros({2, 1})}}));
  }
  check_refused<OutOfMemory>([] { Tensor::zeros({1LL << 50}); },
                             {"4503599627370496 bytes", "bytes are free"});
}
#endif

TEST_CASE("out of memory counts inputs and scratch memory, and names what asks for them") {
  constexpr Dim kSize = 512;
  const OnDevice here(Device::emulated());
  auto graph = std::make_shared<Graph>();
  const VariablePointer kernel = random_variable({kSize, kSize}, Device::emulated());
  graph->set_layer("Dense layer \"wide\"");
  const Value in = graph->input("x", {.shape = {None, kSize}, .batched = true});
  const Value out = ops::dense(*graph, in, graph->weight(kernel), {});
  const auto planned = [&](std::int64_t rows) {
    return Program(graph, {out}, {{.shape = {rows, kSize}, .batched = true}}, Device::emulated());
  };
  const Program program = planned(kSize);
  const std::vector<float> rows(static_cast<std::size_t>(kSize * kSize));
  Workspace workspace(Device::emulated());
  const auto run = [&] {
    workspace.run(program, {reinterpret_cast<const std::byte*>(rows.data())});
  };
  // What a library of products may have, for products of this size.
  constexpr std::int64_t kScratch = std::int64_t{32} << 20;
  constexpr std::int64_t kMatrix = 4 * kSize * kSize;
  const std::int64_t asked = kScratch + 2 * kMatrix + 256;
  {
    const MemoryLeft left(kScratch);
    check_refused<OutOfMemory>(
        run, {std::string("a batch of 512 rows asks for ") + std::to_string(asked) +
                  " bytes on device \"emulated\", which could not be had; " +
                  std::to_string(kScratch) + " bytes are free. The largest parts: ",
              "scratch memory of dense (Dense layer \"wide\") 33554432 bytes",
              "input \"x\" 1048576 bytes"});
  }
  // So much it is.
  {
    const MemoryLeft left(static_cast<std::size_t>(asked) - 1);
    CHECK_THROWS_AS(run(), OutOfMemory);
  }
  const MemoryLeft left(static_cast<std::size_t>(asked));
  CHECK_NOTHROW(run());
}

TEST_CASE("what a program holds for another one is given back before memory is wanting") {
  const OnDevice here(Device::emulated());
  // A narrow input with a wide result, and the other way round.
  const auto product = [](Dim from, Dim to) {
    auto graph = std::make_shared<Graph>();
    const VariablePointer kernel = random_variable({from, to}, Device::emulated());
    const Value in = graph->input("x", {.shape = {None, from}, .batched = true});
    const Value out = ops::dense(*graph, in, graph->weight(kernel), {});
    return Program(graph, {out}, {{.shape = {1000, from}, .batched = true}}, Device::emulated());
  };
  const Program widens = product(2, 400);
  const Program narrows = product(400, 2);
  const std::vector<float> numbers(400000);
  Workspace workspace(Device::emulated());
  const MemoryLeft left(2000000);
  for (const Program* program : {&widens, &narrows, &widens})
    CHECK_NOTHROW(workspace.run(*program, {reinterpret_cast<const std::byte*>(numbers.data())}));
}
