#pragma once
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include <braid/count.hpp>
#include "engine/core/error.hpp"
#include "engine/graph/activation_function.hpp"
#include "engine/graph/initializer.hpp"
#include "engine/graph/regularizer.hpp"

namespace braid {

// Option structs and Keras configs, both ways, from one list of fields: a layer writes
//   template <class Fields> void describe(Fields& fields, DenseOptions& options) { fields("units",
//   options.units); ... }
// and gets its config by ConfigWriter, its options by ConfigReader.

// "GlobalAveragePooling1D" -> "global_average_pooling1d", as Keras names what has no name.
std::string snake_case(const std::string& class_name);

nlohmann::json to_config(const Initializer& initializer);
nlohmann::json to_config(const Regularizer& regularizer);
void from_config(const nlohmann::json& config, Initializer& initializer);
void from_config(const nlohmann::json& config, Regularizer& regularizer);

class ConfigWriter {
 public:
  nlohmann::json config = nlohmann::json::object();

  void operator()(const char* key, const Count& value) {
    config[key] = static_cast<std::int64_t>(value);
  }
  void operator()(const char* key, const bool& value) { config[key] = value; }
  void operator()(const char* key, const double& value) { config[key] = value; }
  void operator()(const char* key, const std::string& value) { config[key] = value; }
  void operator()(const char* key, const ActivationFunction& value) { config[key] = value.name(); }
  void operator()(const char* key, const Initializer& value) { config[key] = to_config(value); }
  void operator()(const char* key, const Regularizer& value) { config[key] = to_config(value); }
  void operator()(const char* key, const Shape& value) {
    auto& list = config[key] = nlohmann::json::array();
    for (Dim dim : value) list.push_back(dim);
  }
};

// Reads the fields that the config has. finish() throws NameError for one that no field took,
// unless it is null, false or empty, which in Keras's configs means "not used".
class ConfigReader {
 public:
  ConfigReader(std::string owner, const nlohmann::json& config)
      : owner_(std::move(owner)), config_(config) {}

  void operator()(const char* key, Count& value) { read<std::int64_t>(key, value); }
  void operator()(const char* key, bool& value) { read<bool>(key, value); }
  void operator()(const char* key, double& value) { read<double>(key, value); }
  void operator()(const char* key, std::string& value) { read<std::string>(key, value); }
  void operator()(const char* key, ActivationFunction& value);
  void operator()(const char* key, Initializer& value);
  void operator()(const char* key, Regularizer& value);
  void operator()(const char* key, Shape& value);
  // A key that says nothing to us, with the values that change nothing.
  void ignore(const char* key) { known_.insert(key); }
  void finish() const;

 private:
  template <class Stored, class Target>
  void read(const char* key, Target& value) {
    if (const nlohmann::json* found = find(key)) value = found->get<Stored>();
  }
  const nlohmann::json* find(const char* key);

  std::string owner_;
  const nlohmann::json& config_;
  std::set<std::string> known_;
};

}  // namespace braid
