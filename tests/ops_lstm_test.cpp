// The LSTM in a graph against float64 (tests/support/lstm_reference.hpp): every mask of up to four
// steps, initial states, both directions, any of its outputs.
#include "engine/graph/ops/lstm.hpp"

#include "engine/graph/ops/embedding.hpp"
#include "engine/graph/ops/mask.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/lstm_kernel.hpp"
#include "tests/support/op_check.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

// Operands that may be absent, and what is asked for.
struct Parts {
  bool mask = true;
  bool bias = true;
  bool initial_h = true;
  bool initial_c = true;
  // Of sequence, last output, last h, last c.
  std::vector<std::size_t> outputs{0, 1, 2, 3};
};

LstmProblem problem_of(const Arrays& in, const Parts& parts, const ops::LstmOptions& options) {
  const Shape& shape = in[0].shape;
  LstmProblem problem{.rows = shape[0],
                      .steps = shape[1],
                      .features = shape[2],
                      .units = in[2].shape[0],
                      .in = in[0].values,
                      .kernel = in[1].values,
                      .recurrent = in[2].values,
                      .activation = options.activation,
                      .recurrent_activation = options.recurrent_activation,
                      .go_backwards = options.go_backwards};
  std::size_t next = 3;
  if (parts.bias) problem.bias = in[next++].values;
  if (parts.mask) problem.mask = in[next++].values;
  if (parts.initial_h) problem.initial_h = in[next++].values;
  if (parts.initial_c) problem.initial_c = in[next++].values;
  return problem;
}

OpCheck lstm_of(const LstmSize& size, const Array& valid, const Parts& parts,
                const ops::LstmOptions& options, RandomNumbers& random) {
  const LstmProblem numbers = random_lstm(size, random);
  const auto [rows, steps, features, units] = size;
  OpCheck check{.name =
                    named("lstm of ", Shape{rows, steps, features}, ", ", units, " units",
                          options.go_backwards ? ", backwards" : "", parts.mask ? ", masked" : "")};
  check.inputs = {batched("in", {Shape{rows, steps, features}, numbers.in}).any_length(),
                  weight("kernel", {Shape{features, 4 * units}, numbers.kernel}),
                  weight("recurrent", {Shape{units, 4 * units}, numbers.recurrent})};
  if (parts.bias) check.inputs.push_back(weight("bias", {Shape{4 * units}, numbers.bias}));
  if (parts.mask) check.inputs.push_back(mask("mask", valid).any_length());
  if (parts.initial_h)
    check.inputs.push_back(batched("h", {Shape{rows, units}, numbers.initial_h}));
  if (parts.initial_c)
    check.inputs.push_back(batched("c", {Shape{rows, units}, numbers.initial_c}));
  check.build = [parts, options](Graph& graph, const Values& in) -> Values {
    std::size_t next = 3;
    ops::LstmInputs inputs{.in = in[0], .kernel = in[1], .recurrent = in[2]};
    if (parts.bias) inputs.bias = in[next++];
    if (parts.mask) inputs.mask = in[next++];
    if (parts.initial_h) inputs.initial_h = in[next++];
    if (parts.initial_c) inputs.initial_c = in[next++];
    const ops::LstmOutputs out = ops::lstm(graph, inputs, options);
    const Values all{out.sequence, out.last_output, out.last_h, out.last_c};
    Values asked;
    for (const std::size_t output : parts.outputs) asked.push_back(all[output]);
    return asked;
  };
  check.reference = [parts, options](const Arrays& in) -> Arrays {
    const LstmProblem problem = problem_of(in, parts, options);
    const LstmResults results = lstm_forward(problem);
    const Shape state{problem.rows, problem.units};
    const Arrays all{{Shape{problem.rows, problem.steps, problem.units}, results.sequence},
                     {state, results.last_h},
                     {state, results.last_h},
                     {state, results.last_c}};
    Arrays asked;
    for (const std::size_t output : parts.outputs) asked.push_back(all[output]);
    return asked;
  };
  return check;
}

std::vector<OpCheck> every_mask_of_four_steps() {
  RandomNumbers random(1);
  std::vector<OpCheck> checks;
  for (std::int64_t steps = 1; steps <= 4; ++steps) {
    const Array valid = all_masks(steps);
    for (const bool go_backwards : {false, true}) {
      ops::LstmOptions options;
      options.go_backwards = go_backwards;
      const LstmSize size{valid.shape[0], steps, 3, 2};
      checks.push_back(lstm_of(size, valid, {}, options, random));
      checks.push_back(
          lstm_of(size, valid, {.initial_h = false, .initial_c = false}, options, random));
    }
  }
  return checks;
}

std::vector<OpCheck> sizes() {
  RandomNumbers random(2);
  std::vector<OpCheck> checks;
  for (const LstmSize& size : {LstmSize{0, 3, 2, 3}, LstmSize{3, 0, 2, 3}, LstmSize{1, 1, 1, 1},
                               LstmSize{5, 7, 3, 1}, LstmSize{67, 3, 2, 3}, LstmSize{9, 5, 17, 4},
                               LstmSize{3, 2, 3, 17}, LstmSize{130, 2, 1, 2}}) {
    const Array valid = random_masks(size.rows, size.steps, random);
    checks.push_back(lstm_of(size, valid, {}, {}, random));
    checks.push_back(lstm_of(size, valid, {.mask = false}, {.go_backwards = true}, random));
  }
  for (int n = 0; n < 6; ++n) {
    const LstmSize size{1 + random.below(30), 1 + random.below(6), 1 + random.below(9),
                        1 + random.below(9)};
    ops::LstmOptions options;
    options.go_backwards = n % 2 == 0;
    checks.push_back(
        lstm_of(size, random_masks(size.rows, size.steps, random), {}, options, random));
  }
  return checks;
}

// Operands that are not there, and every choice of outputs: what nobody uses gets no memory.
std::vector<OpCheck> parts() {
  RandomNumbers random(3);
  const Array valid = random_masks(11, 3, random);
  std::vector<OpCheck> checks;
  for (const Parts& some :
       {Parts{.bias = false}, Parts{.initial_h = false}, Parts{.initial_c = false},
        Parts{.mask = false, .bias = false, .initial_h = false, .initial_c = false}}) {
    checks.push_back(lstm_of({11, 3, 2, 3}, valid, some, {}, random));
  }
  for (std::size_t chosen = 1; chosen < 16; ++chosen) {
    Parts some{.outputs = {}};
    for (std::size_t output = 0; output < 4; ++output) {
      if ((chosen >> output & 1U) != 0) some.outputs.push_back(output);
    }
    OpCheck check = lstm_of({11, 3, 2, 3}, valid, some, {}, random);
    check.name = named(check.name, ", outputs ", chosen);
    checks.push_back(std::move(check));
  }
  return checks;
}

// Weights and states that get no gradient.
std::vector<OpCheck> frozen_operands() {
  RandomNumbers random(4);
  const Array valid = random_masks(9, 3, random);
  std::vector<OpCheck> checks;
  for (const std::size_t wanted : {0, 1, 2, 3, 5, 6}) {
    OpCheck check = lstm_of({9, 3, 2, 3}, valid, {}, {}, random);
    check.name = named(check.name, ", gradient of operand ", wanted);
    for (std::size_t i = 0; i < check.inputs.size(); ++i)
      check.inputs[i].differentiable = i == wanted;
    checks.push_back(std::move(check));
  }
  return checks;
}

std::vector<OpCheck> activations() {
  RandomNumbers random(5);
  const Array valid = random_masks(7, 3, random);
  std::vector<OpCheck> checks;
  using kernels::ActivationKind;
  for (const auto& [cell, gate] :
       {std::pair{ActivationKind::relu, ActivationKind::sigmoid},
        std::pair{ActivationKind::softsign, ActivationKind::hard_sigmoid},
        std::pair{ActivationKind::linear, ActivationKind::tanh}}) {
    checks.push_back(lstm_of({7, 3, 2, 5}, valid, {},
                             {.activation = {cell}, .recurrent_activation = {gate}}, random));
  }
  return checks;
}

// What stands around an LSTM of words.
struct Words {
  bool padding = true;  // id 0 is masked
  bool also = false;    // and steps that another mask says
  bool shared = false;  // somebody else reads the vectors, and the mask
  bool go_backwards = false;
};

OpCheck lstm_of_words(const LstmSize& size, std::int64_t vocabulary, const Words& words,
                      RandomNumbers& random) {
  const LstmProblem numbers = random_lstm(size, random);
  const auto [rows, steps, features, units] = size;
  OpCheck check{.name = named("lstm of words ", Shape{rows, steps}, " of ", vocabulary,
                              words.padding ? ", padded" : "", words.also ? ", masked" : "",
                              words.shared ? ", shared" : "")};
  check.inputs = {ids("words", random_ids({rows, steps}, vocabulary, random)).any_length(),
                  weight("table", random_array({vocabulary, features}, random)),
                  weight("kernel", {Shape{features, 4 * units}, numbers.kernel}),
                  weight("recurrent", {Shape{units, 4 * units}, numbers.recurrent}),
                  weight("bias", {Shape{4 * units}, numbers.bias})};
  if (words.also)
    check.inputs.push_back(mask("mask", random_masks(rows, steps, random)).any_length());
  check.build = [words](Graph& graph, const Values& in) -> Values {
    const Value vectors = ops::embedding(graph, in[0], in[1]);
    const Value also = words.also ? in[5] : Value{};
    const Value mask = words.padding ? ops::ids_not_equal(graph, in[0], 0, also) : also;
    ops::LstmInputs inputs{.in = vectors, .mask = mask, .kernel = in[2], .recurrent = in[3]};
    inputs.bias = in[4];
    const auto out = ops::lstm(graph, inputs, {.go_backwards = words.go_backwards});
    Values outputs{out.sequence, out.last_c};
    if (words.shared) outputs.push_back(ops::average_over_time(graph, vectors, mask));
    return outputs;
  };
  check.reference = [words](const Arrays& in) -> Arrays {
    const std::int64_t width = in[1].columns();
    LstmProblem problem{.rows = in[0].shape[0],
                        .steps = in[0].shape[1],
                        .features = width,
                        .units = in[3].shape[0],
                        .kernel = in[2].values,
                        .recurrent = in[3].values,
                        .bias = in[4].values,
                        .go_backwards = words.go_backwards};
    for (std::int64_t n = 0; n < in[0].elements(); ++n) {
      const auto id = static_cast<std::int64_t>(in[0][n]);
      for (std::int64_t e = 0; e < width; ++e) problem.in.push_back(in[1](id, e));
      const bool valid = (!words.padding || id != 0) && (!words.also || in[5][n] != 0);
      problem.mask.push_back(valid ? 1 : 0);
    }
    const LstmResults results = lstm_forward(problem);
    Arrays outputs{{Shape{problem.rows, problem.steps, problem.units}, results.sequence},
                   {Shape{problem.rows, problem.units}, results.last_c}};
    if (!words.shared) return outputs;
    Array means(Shape{problem.rows, width});
    for (std::int64_t b = 0; b < problem.rows; ++b) {
      double count = 0;
      for (std::int64_t t = 0; t < problem.steps; ++t) {
        const auto n = static_cast<std::size_t>(b * problem.steps + t);
        count += problem.mask[n];
        for (std::int64_t e = 0; e < width; ++e)
          means(b, e) +=
              problem.mask[n] *
              problem.in[n * static_cast<std::size_t>(width) + static_cast<std::size_t>(e)];
      }
      for (std::int64_t e = 0; e < width; ++e) means(b, e) /= count;
    }
    outputs.push_back(means);
    return outputs;
  };
  return check;
}

std::vector<OpCheck> words() {
  RandomNumbers random(6);
  std::vector<OpCheck> checks;
  for (const LstmSize& size : {LstmSize{0, 3, 2, 3}, LstmSize{3, 0, 2, 3}, LstmSize{1, 4, 1, 1},
                               LstmSize{9, 5, 3, 2}, LstmSize{67, 3, 2, 3}}) {
    for (const bool padding : {false, true}) {
      for (const bool also : {false, true}) {
        checks.push_back(lstm_of_words(
            size, 4, {.padding = padding, .also = also, .go_backwards = padding != also}, random));
      }
    }
  }
  OpCheck shared = lstm_of_words({7, 4, 3, 2}, 5, {.shared = true}, random);
  // A row without a word has no mean.
  for (std::int64_t b = 0; b < 7; ++b) shared.inputs[0].array(b, 0) = 1;
  checks.push_back(std::move(shared));
  for (const std::size_t wanted : {1, 2}) {
    OpCheck check = lstm_of_words({5, 3, 2, 3}, 4, {}, random);
    check.name = named(check.name, ", gradient of operand ", wanted);
    for (std::size_t i = 0; i < check.inputs.size(); ++i)
      check.inputs[i].differentiable = i == wanted;
    checks.push_back(std::move(check));
  }
  return checks;
}

const OpFamily family{every_mask_of_four_steps, sizes, parts, frozen_operands, activations, words};

}  // namespace

TEST_CASE("ops: an LSTM is right under every mask of up to four steps") {
  check(every_mask_of_four_steps());
}

TEST_CASE("ops: an LSTM takes any number of rows, steps, features and units") { check(sizes()); }

TEST_CASE("ops: an LSTM does without what is not there") {
  check(parts());
  check(frozen_operands());
}

TEST_CASE("ops: an LSTM may have other activations") { check(activations()); }

TEST_CASE("ops: an LSTM of words reads the table itself, and masks their padding") {
  check(words());
}
