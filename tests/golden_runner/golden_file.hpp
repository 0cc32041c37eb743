#pragma once
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include <braid/tensor.hpp>

#include "engine/io/safetensors.hpp"

namespace braid::golden {

// A stored tensor as numbers, whatever its dtype.
struct Numbers {
  Shape shape;
  std::vector<double> values;
};

// One case of a golden file: how to build it, what goes in and what must come out. Tensors are
// named by their role: "input/x", "grad_weight/kernel".
class Case {
 public:
  Case(const SafetensorsFile& file, const nlohmann::ordered_json& description);

  const nlohmann::json& description() const { return description_; }
  // The model's own part, its keys in the order of the file: the order of dict inputs and outputs
  // counts.
  const nlohmann::ordered_json& model() const { return model_; }
  const std::string& name() const { return name_; }
  std::string kind() const { return description_.at("kind").get<std::string>(); }

  bool has(const std::string& role_and_name) const;
  // Throws NameError naming the tensor where the file has none.
  Numbers numbers(const std::string& role_and_name) const;
  // float32 (also of a stored float64), int32, int64, uint8, bool.
  Tensor tensor(const std::string& role_and_name) const;
  // Names under a role, in the file's order: of "input/" "x", "h0".
  std::vector<std::string> names_under(const std::string& role) const;

 private:
  const SafetensorsFile::Entry& entry(const std::string& role_and_name) const;

  const SafetensorsFile& file_;
  nlohmann::json description_;
  nlohmann::ordered_json model_;
  std::string name_;
};

// The cases of a file. Throws FormatError for a file that is no golden file.
std::vector<Case> read_cases(const SafetensorsFile& file);

Numbers to_numbers(const Tensor& tensor);

}  // namespace braid::golden
