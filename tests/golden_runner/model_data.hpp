#pragma once
#include <string>

#include "tests/golden_runner/check.hpp"
#include "tests/golden_runner/model_from_json.hpp"

namespace braid::golden {

// All tensors under a role: "batch0/x/".
TensorDict tensors_under(const Case& golden, const std::string& role);
SampleWeight sample_weight_under(const Case& golden, const std::string& role);
// "class_weight" of a description, empty if there is none.
ClassWeight class_weight_of(const nlohmann::json& description);

// The weights that the case starts from, stored or by its formula; their names and shapes must be
// the model's.
void set_initial_weights(Model& model, const Case& golden, Check& check);

// Of a weight (or its gradient, or a slot) a full-size case stores some elements only,
// "subset/<weight>" tells which.
Numbers stored_elements(const Case& golden, const std::string& weight, const Numbers& all);

}  // namespace braid::golden
