#pragma once
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include <braid/model.hpp>

namespace braid::golden {

// A model as a golden file describes it, with every tensor of its outermost graph by name.
struct DescribedModel {
  Model model;
  std::vector<std::pair<std::string, SymbolicTensor>>
      tensors;  // inputs first, in the order of the nodes
};

// Throws NotThere for a layer that the engine does not have.
DescribedModel model_from_json(const nlohmann::ordered_json& description);

// What the user of the case wrote into compile(). Throws NotThere.
CompileOptions compile_options(const nlohmann::json& description,
                               const std::vector<std::string>& outputs);

}  // namespace braid::golden
