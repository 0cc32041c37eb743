#include "engine/graph/config.hpp"

namespace braid {
namespace {

using nlohmann::json;

json object(const char* class_name, json config) {
  return {{"class_name", class_name}, {"config", std::move(config)}};
}

// {"class_name": ..., "config": ...} or {"class": ..., "config": ...}.
std::string class_of(const json& config) {
  if (config.contains("class_name")) return config.at("class_name").get<std::string>();
  return config.value("class", std::string());
}

const json& inner(const json& config) {
  static const json empty = json::object();
  return config.contains("config") ? config.at("config") : empty;
}

}  // namespace

std::string snake_case(const std::string& name) {
  std::string snake;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const bool upper = name[i] >= 'A' && name[i] <= 'Z';
    const bool after_lower = i > 0 && ((name[i - 1] >= 'a' && name[i - 1] <= 'z'));
    const bool before_lower =
        i > 0 && i + 1 < name.size() && name[i + 1] >= 'a' && name[i + 1] <= 'z';
    if (upper && (after_lower || (before_lower && !(name[i - 1] >= '0' && name[i - 1] <= '9'))))
      snake += '_';
    snake += upper ? static_cast<char>(name[i] - 'A' + 'a') : name[i];
  }
  return snake;
}

json to_config(const Initializer& rule) {
  using Kind = Initializer::Kind;
  switch (rule.kind) {
    case Kind::zeros: return object("Zeros", json::object());
    case Kind::ones: return object("Ones", json::object());
    case Kind::constant: return object("Constant", {{"value", rule.a}});
    case Kind::random_uniform:
      return object("RandomUniform", {{"minval", rule.a}, {"maxval", rule.b}});
    case Kind::random_normal: return object("RandomNormal", {{"mean", rule.a}, {"stddev", rule.b}});
    case Kind::truncated_normal:
      return object("TruncatedNormal", {{"mean", rule.a}, {"stddev", rule.b}});
    case Kind::variance_scaling:
      return object("VarianceScaling",
                    {{"scale", rule.a},
                     {"mode", rule.fan == Initializer::Fan::in    ? "fan_in"
                              : rule.fan == Initializer::Fan::out ? "fan_out"
                                                                  : "fan_avg"},
                     {"distribution", rule.uniform ? "uniform" : "truncated_normal"}});
    case Kind::orthogonal: return object("Orthogonal", {{"gain", rule.a}});
    case Kind::identity: return object("Identity", {{"gain", rule.a}});
  }
  return nullptr;
}

void from_config(const json& config, Initializer& rule) {
  if (config.is_null()) return;
  if (config.is_string()) {
    rule = Initializer(config.get<std::string>());
    return;
  }
  using namespace initializers;
  const std::string name = class_of(config);
  const json& c = inner(config);
  if (name == "Zeros") {
    rule = Zeros();
  } else if (name == "Ones") {
    rule = Ones();
  } else if (name == "Constant") {
    rule = Constant(c.value("value", 0.0));
  } else if (name == "RandomUniform") {
    rule = RandomUniform(c.value("minval", -0.05), c.value("maxval", 0.05));
  } else if (name == "RandomNormal") {
    rule = RandomNormal(c.value("mean", 0.0), c.value("stddev", 0.05));
  } else if (name == "TruncatedNormal") {
    rule = TruncatedNormal(c.value("mean", 0.0), c.value("stddev", 0.05));
  } else if (name == "GlorotUniform") {
    rule = GlorotUniform();
  } else if (name == "GlorotNormal") {
    rule = GlorotNormal();
  } else if (name == "HeUniform") {
    rule = HeUniform();
  } else if (name == "HeNormal") {
    rule = HeNormal();
  } else if (name == "LecunUniform") {
    rule = LecunUniform();
  } else if (name == "LecunNormal") {
    rule = LecunNormal();
  } else if (name == "Orthogonal" || name == "OrthogonalInitializer") {
    rule = Orthogonal(c.value("gain", 1.0));
  } else if (name == "Identity") {
    rule = Identity(c.value("gain", 1.0));
  } else if (name == "VarianceScaling") {
    rule = GlorotUniform();
    rule.a = c.value("scale", 1.0);
    const std::string mode = c.value("mode", "fan_in");
    rule.fan = mode == "fan_in"    ? Initializer::Fan::in
               : mode == "fan_out" ? Initializer::Fan::out
                                   : Initializer::Fan::average;
    rule.uniform = c.value("distribution", "truncated_normal") == "uniform";
  } else {
    throw NameError("unknown initializer \"" + name + "\"");
  }
}

json to_config(const Regularizer& penalty) {
  if (!penalty) return nullptr;
  return object("L1L2", {{"l1", penalty.l1}, {"l2", penalty.l2}});
}

void from_config(const json& config, Regularizer& penalty) {
  if (config.is_null()) {
    penalty = {};
    return;
  }
  if (config.is_string()) {
    penalty = Regularizer(config.get<std::string>());
    return;
  }
  const std::string name = class_of(config);
  const json& c = inner(config);
  if (name == "L1") {
    penalty = regularizers::L1(c.value("l1", 0.01));
  } else if (name == "L2") {
    penalty = regularizers::L2(c.value("l2", 0.01));
  } else if (name == "L1L2") {
    penalty = regularizers::L1L2(c.value("l1", 0.0), c.value("l2", 0.0));
  } else {
    throw NameError("unknown regularizer \"" + name + "\"");
  }
}

const json* ConfigReader::find(const char* key) {
  known_.insert(key);
  const auto found = config_.find(key);
  return found == config_.end() || found->is_null() ? nullptr : &*found;
}

void ConfigReader::operator()(const char* key, ActivationFunction& value) {
  const json* found = find(key);
  if (found == nullptr) return;
  value = found->is_string() ? ActivationFunction(found->get<std::string>())
                             : ActivationFunction(found->at("config").get<std::string>());
}

void ConfigReader::operator()(const char* key, Initializer& value) {
  if (const json* found = find(key)) from_config(*found, value);
}

void ConfigReader::operator()(const char* key, Regularizer& value) {
  if (const json* found = find(key)) from_config(*found, value);
}

void ConfigReader::operator()(const char* key, Shape& value) {
  const json* found = find(key);
  if (found == nullptr) return;
  std::vector<Dim> dims;
  for (const json& dim : *found) dims.push_back(dim.is_null() ? None : dim.get<Dim>());
  value = Shape(std::move(dims));
}

void ConfigReader::finish() const {
  for (const auto& [key, value] : config_.items()) {
    if (known_.contains(key) || key == "name" || key == "trainable" || key == "dtype") continue;
    const bool unused = value.is_null() || (value.is_boolean() && !value.get<bool>()) ||
                        value.empty() || (value.is_number() && value.get<double>() == 0);
    if (!unused) {
      throw NameError(owner_ + ": the option \"" + key + "\" = " + value.dump() + " is not known");
    }
  }
}

}  // namespace braid
