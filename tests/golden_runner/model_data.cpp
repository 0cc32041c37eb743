#include "tests/golden_runner/model_data.hpp"

#include <braid/error.hpp>

namespace braid::golden {
namespace {

using nlohmann::json;

// Weight number i of a full-size case, a hash of i.
float formula(std::uint32_t i, std::uint32_t salt, float scale) {
  std::uint32_t h = i * 2654435761U + salt;
  h ^= h >> 16;
  h *= 2246822507U;
  h ^= h >> 13;
  h *= 3266489909U;
  h ^= h >> 16;
  return static_cast<float>(static_cast<std::int32_t>(h >> 8) - 8388608) * 0x1p-23F * scale;
}

}  // namespace

TensorDict tensors_under(const Case& golden, const std::string& role) {
  TensorDict tensors;
  for (const std::string& name : golden.names_under(role))
    tensors.set(name, golden.tensor(role + name));
  return tensors;
}

SampleWeight sample_weight_under(const Case& golden, const std::string& role) {
  const TensorDict weights = tensors_under(golden, role);
  return weights.empty() ? SampleWeight() : SampleWeight(weights);
}

ClassWeight class_weight_of(const json& description) {
  ClassWeight::Table table;
  if (description.contains("class_weight") && !description.at("class_weight").is_null()) {
    for (const auto& [label, weight] : description.at("class_weight").items()) {
      table[std::stoi(label)] = weight.get<double>();
    }
  }
  return ClassWeight(std::move(table));
}

void set_initial_weights(Model& model, const Case& golden, Check& check) {
  const json& described = golden.description();
  TensorDict weights;
  for (const json& weight : described.at("weights")) {
    const std::string name = weight.at("name").get<std::string>();
    const Shape shape(weight.at("shape").get<std::vector<Dim>>());
    if (!described.contains("weight_formula")) {
      weights.set(name, golden.tensor("weight_initial/" + name));
      continue;
    }
    const json& rule = described.at("weight_formula").at(name);
    Tensor value = Tensor::zeros(shape);
    for (std::int64_t i = 0; i < value.elements(); ++i) {
      value.data<float>()[i] =
          formula(static_cast<std::uint32_t>(i), rule.at("salt").get<std::uint32_t>(),
                  rule.at("scale").get<float>());
    }
    const Numbers part = stored_elements(golden, name, to_numbers(value));
    check.values("the formula of " + name, part.values,
                 golden.numbers("weight_initial/" + name).values, {});
    weights.set(name, std::move(value));
  }
  check.that(model.get_weights().names() == weights.names(),
             "the weights are " + quoted_list(model.get_weights().names()));
  model.set_weights(weights);
}

Numbers stored_elements(const Case& golden, const std::string& weight, const Numbers& all) {
  if (!golden.has("subset/" + weight)) return all;
  Numbers part = golden.numbers("subset/" + weight);
  for (double& element : part.values) element = all.values.at(static_cast<std::size_t>(element));
  return part;
}

}  // namespace braid::golden
