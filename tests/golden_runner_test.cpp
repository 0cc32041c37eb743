#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/golden_runner/runner.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/source_folder.hpp"

namespace {

using namespace braid;
using namespace braid::golden;
using nlohmann::json;

// A file of one case, written anew after `change` has altered its tensors or its description.
struct Altered {
  TensorDict tensors;
  json description;
};

template <class Change>
Outcome outcome_of(const std::string& file_name, const std::string& case_name,
                   const Change& change) {
  const SafetensorsFile original(testing::source_folder() + "/tests/golden/" + file_name);
  Altered altered;
  for (const auto& description : json::parse(original.metadata().at("cases"))) {
    if (description.at("name") == case_name) altered.description = description;
  }
  for (const auto& entry : original.entries()) {
    if (entry.name.starts_with(case_name + "/"))
      altered.tensors.set(entry.name, original.tensor(entry).clone());
  }
  change(altered);
  const auto path = std::filesystem::temp_directory_path() /
                    ("braid_golden_runner_" + case_name + ".safetensors");
  write_safetensors(path.string(), altered.tensors,
                    {{"cases", json::array({altered.description}).dump()}});
  const SafetensorsFile file(path.string());
  const Outcome outcome = run_case(read_cases(file).front());
  std::filesystem::remove(path);
  return outcome;
}

TensorDict without(const TensorDict& tensors, const std::string& name) {
  TensorDict rest;
  for (const auto& [key, tensor] : tensors) {
    if (key != name) rest.set(key, tensor);
  }
  return rest;
}

const std::string kUnits = "units/dense.safetensors";
const std::string kUnit = "dense_act_tanh";
const std::string kModels = "models/ref2_mask_zero.safetensors";
const std::string kModel = "ref2_mask_zero";

}  // namespace

TEST_CASE("the golden runner passes what it should pass") {
  CHECK(outcome_of(kUnits, kUnit, [](Altered&) {}).verdict == Verdict::passed);
  CHECK(outcome_of(kModels, kModel, [](Altered&) {}).verdict == Verdict::passed);
}

TEST_CASE("a value off by ten tolerances fails its golden case, one within a tolerance does not") {
  const auto shifted = [](const std::string& role, double tolerances) {
    return outcome_of(kUnits, kUnit, [&](Altered& altered) {
      const json& pair = altered.description.at("tolerance").at("tensors").at(role);
      float* values = altered.tensors[kUnit + "/" + role].data<float>();
      values[3] += static_cast<float>(
          tolerances * (pair[1].get<double>() + pair[0].get<double>() * std::abs(values[3])));
    });
  };
  for (const char* role : {"output/y", "grad_input/x", "grad_weight/kernel", "grad_weight/bias"}) {
    INFO(role);
    CHECK(shifted(role, 0.5).verdict == Verdict::passed);
    const Outcome far = shifted(role, 10);
    CHECK(far.verdict == Verdict::failed);
    CHECK_THAT(far.reason, ContainsSubstring(role));
    CHECK_THAT(far.reason, ContainsSubstring("[3]"));
  }
  for (const char* role : {"weight_step10/lstm/recurrent_kernel", "predict_final/label",
                           "optimizer/label/kernel/velocity"}) {
    INFO(role);
    const Outcome far = outcome_of(kModels, kModel, [&](Altered& altered) {
      altered.tensors[kModel + "/" + role].data<float>()[0] += 1e-3F;
    });
    CHECK(far.verdict == Verdict::failed);
    CHECK_THAT(far.reason, ContainsSubstring(role));
  }
  const Outcome logs = outcome_of(kModels, kModel, [](Altered& altered) {
    altered.tensors[kModel + "/expected/logs"].data<float>()[7] += 1e-3F;
  });
  CHECK(logs.verdict == Verdict::failed);
}

TEST_CASE("a NaN where a number is expected fails its golden case") {
  const Outcome outcome = outcome_of(kUnits, kUnit, [](Altered& altered) {
    altered.tensors[kUnit + "/output/y"].data<float>()[0] = std::nanf("");
  });
  CHECK(outcome.verdict == Verdict::failed);
}

TEST_CASE("a tensor that is missing from a golden file is a failure that names it") {
  for (const char* role : {"input/x", "weight/bias", "cotangent/y", "output/y"}) {
    INFO(role);
    const Outcome outcome = outcome_of(kUnits, kUnit, [&](Altered& altered) {
      altered.tensors = without(altered.tensors, kUnit + "/" + role);
    });
    CHECK(outcome.verdict == Verdict::failed);
    CHECK_THAT(outcome.reason, ContainsSubstring(role));
  }
}

TEST_CASE("what the engine does not have skips its golden case by name") {
  const Outcome layer = outcome_of(kUnits, kUnit, [](Altered& altered) {
    altered.description.at("layer")["class"] = "HyperDense";
  });
  CHECK(layer.verdict == Verdict::skipped);
  CHECK_THAT(layer.reason, ContainsSubstring("HyperDense"));
  const Outcome option = outcome_of(kUnits, kUnit, [](Altered& altered) {
    altered.description.at("layer").at("config")["lora_rank"] = 4;
  });
  CHECK(option.verdict == Verdict::skipped);
  CHECK_THAT(option.reason, ContainsSubstring("lora_rank"));
  const Outcome kind =
      outcome_of(kUnits, kUnit, [](Altered& altered) { altered.description["kind"] = "dream"; });
  CHECK(kind.verdict == Verdict::skipped);
  const Outcome optimizer = outcome_of(kModels, kModel, [](Altered& altered) {
    altered.description.at("compile").at("optimizer")["class"] = "Adagrad";
  });
  CHECK(optimizer.verdict == Verdict::skipped);
  CHECK_THAT(optimizer.reason, ContainsSubstring("Adagrad"));
}

TEST_CASE("a case that keeps a flaw of Keras on record is left out") {
  const Outcome outcome = outcome_of(
      kUnits, kUnit, [](Altered& altered) { altered.description["not_reproduced"] = "a flaw"; });
  CHECK(outcome.verdict == Verdict::left_out);
}
