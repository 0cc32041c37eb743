// Keys that are missing, unknown or misspelt, in every call that takes data: refused with the names
// that are known, and nothing has changed.
#include <functional>

#include "tests/support/refusals.hpp"
#include "tests/support/sample_models.hpp"

using namespace braid;
using namespace braid::testing;
using Words = std::vector<std::string>;

namespace {

const std::string kInputs = "\"text\" float32 [batch, 8] and \"numeric\" float32 [batch, 5]";

struct Call {
  std::string name;
  std::function<void(Model&, const TensorDict&, const TensorDict&)> run;
};

std::vector<Call> judging_calls() {
  return {{"model.fit", [](Model& m, const auto& x, const auto& y) { m.fit(x, y); }},
          {"model.evaluate", [](Model& m, const auto& x, const auto& y) { m.evaluate(x, y); }},
          {"model.train_on_batch",
           [](Model& m, const auto& x, const auto& y) { m.train_on_batch(x, y); }},
          {"model.test_on_batch",
           [](Model& m, const auto& x, const auto& y) { m.test_on_batch(x, y); }}};
}

std::vector<Call> all_calls() {
  std::vector<Call> calls = judging_calls();
  calls.push_back({"model.predict", [](Model& m, const auto& x, const auto&) { m.predict(x); }});
  calls.push_back({"model.predict_on_batch",
                   [](Model& m, const auto& x, const auto&) { m.predict_on_batch(x); }});
  return calls;
}

TensorDict renamed(const TensorDict& tensors, const std::string& from, const std::string& to) {
  TensorDict result;
  for (const auto& [name, tensor] : tensors) result.set(name == from ? to : name, tensor);
  return result;
}

TensorDict without(const TensorDict& tensors, const std::string& left_out) {
  TensorDict result;
  for (const auto& [name, tensor] : tensors) {
    if (name != left_out) result.set(name, tensor);
  }
  return result;
}

TensorDict with(TensorDict tensors, const std::string& name) {
  tensors.set(name, Tensor::zeros({24, 8}));
  return tensors;
}

}  // namespace

TEST_CASE("a key of the inputs that is misspelt, missing or unknown is told with those there are") {
  Sample s = two_inputs();
  s.model.train_on_batch(s.x, s.y);
  const State before = state_of(s.model);
  struct Case {
    TensorDict x;
    Words words;
  };
  const std::vector<Case> cases{
      {renamed(s.x, "text", "txt"), {"no input \"txt\"", kInputs, "Did you mean \"text\"?"}},
      {renamed(s.x, "numeric", "Numeric"), {"no input \"Numeric\"", "Did you mean \"numeric\"?"}},
      {without(s.x, "text"), {"the input \"text\" is missing", kInputs}},
      {without(s.x, "numeric"), {"the input \"numeric\" is missing", kInputs}},
      {TensorDict{}, {"the input \"text\" is missing"}},
      // Before and behind the known names in the alphabet.
      {with(s.x, "aaa"), {"no input \"aaa\"", kInputs}},
      {with(s.x, "zzz"), {"no input \"zzz\"", kInputs}},
      {with(without(s.x, "text"), "label"), {"no input \"label\""}}};
  for (const Call& call : all_calls()) {
    for (const Case& wrong : cases) {
      Words words = wrong.words;
      words.insert(words.begin(), call.name + ": ");
      check_refused<NameError>([&] { call.run(s.model, wrong.x, s.y); }, words);
    }
  }
  CHECK(state_of(s.model) == before);
}

TEST_CASE("a key of the targets that is misspelt, missing or unknown is told with the outputs") {
  Sample s = two_outputs();
  s.model.train_on_batch(s.x, s.y);
  const State before = state_of(s.model);
  for (const Call& call : judging_calls()) {
    const auto refused = [&](const TensorDict& y, const Words& words) {
      Words all = words;
      all.insert(all.begin(), call.name + ": ");
      check_refused<NameError>([&] { call.run(s.model, s.x, y); }, all);
    };
    refused(renamed(s.y, "b", "c"), {"no output \"c\"", "\"a\" and \"b\""});
    refused(with(s.y, "left"), {"no output \"left\"", "\"a\" and \"b\""});
    refused(without(s.y, "a"), {"target of output \"a\" is missing", "those that came are \"b\""});
    refused({}, {"target of output \"a\" is missing", "none"});
  }
  CHECK(state_of(s.model) == before);
}

TEST_CASE("keys of weights and validation data are checked before a fit begins") {
  Sample s = two_outputs();
  const State before = state_of(s.model);
  const Tensor ones = Tensor::from(std::vector<float>(12, 1), {12});
  const auto refused = [&](FitOptions options, const Words& words) {
    options.verbose = 0;
    check_refused<NameError>([&] { s.model.fit(s.x, s.y, options); }, words);
  };
  refused({.sample_weight = {{"aa", ones}}},
          {"model.fit", "no output \"aa\" for this sample_weight", "Did you mean \"a\"?"});
  refused({.class_weight = {{"c", {{0, 1.0}}}}},
          {"model.fit", "no output \"c\" for this class_weight", "\"a\" and \"b\""});
  refused({.class_weight = {{0, 2.0}}, .sample_weight = ones}, {"cannot be given together"});
  refused({.validation_data = {renamed(s.x, "left", "lft"), s.y}},
          {"model.fit, validation data", "no input \"lft\"", "Did you mean \"left\"?"});
  refused({.validation_data = {s.x, without(s.y, "b")}},
          {"model.fit, validation data", "output \"b\" is missing"});
  refused({.validation_data = {{}, s.y}}, {"validation data", "the input \"left\" is missing"});
  check_refused<NameError>(
      [&] {
        s.model.evaluate(s.x, s.y, {.sample_weight = {{"left", ones}}});
      },
      {"model.evaluate", "no output \"left\""});
  check_refused<NameError>(
      [&] {
        s.model.train_on_batch(s.x, s.y, {.class_weight = {{"left", {{0, 1.0}}}}});
      },
      {"model.train_on_batch", "no output \"left\""});
  CHECK(state_of(s.model) == before);
}

TEST_CASE("weights that are missing, unknown or misshapen change nothing") {
  Sample s = two_inputs();
  s.model.train_on_batch(s.x, s.y);
  const State before = state_of(s.model);
  const TensorDict weights = s.model.get_weights();
  check_refused<NameError>(
      [&] { s.model.set_weights(renamed(weights, "label/bias", "label/bia")); },
      {"no weight \"label/bia\"", "\"dense/kernel\"", "Did you mean \"label/bias\"?"});
  check_refused<NameError>(
      [&] { s.model.set_weights(without(weights, "dense_1/kernel")); },
      {"the weight \"dense_1/kernel\" is missing", "those that came are", "\"dense/kernel\""});
  TensorDict wrong = weights;
  wrong.set("label/kernel", Tensor::zeros({1, 10}));
  check_refused<ShapeError>([&] { s.model.set_weights(wrong); },
                            {"\"label/kernel\"", "[10, 1]", "[1, 10] came"});
  wrong.set("label/kernel", Tensor::zeros({10, 1}, DType::int32));
  check_refused<DTypeError>([&] { s.model.set_weights(wrong); },
                            {"\"label/kernel\"", "float32", "int32 [10, 1] came"});
  CHECK(state_of(s.model) == before);
}

TEST_CASE("columns and datasets are told with the names that there are") {
  Sample s = two_inputs();
  const Dataset data = Dataset::from(s.x, s.y);
  check_refused<NameError>([&] { data["txt"]; },
                           {"no column \"txt\"", "\"text\"", "Did you mean \"text\"?"});
  check_refused<NameError>([&] { s.model.fit(data.without({"text"})); },
                           {"model.fit", "the input \"text\" is missing"});
  check_refused<NameError>([&] { s.model.evaluate(data.targets({})); }, {"no input \"label\""});
  check_refused<NameError>([&] { s.model.fit(data.with("text", std::vector<std::string>(24))); },
                           {"the input \"text\" is missing"});
}
