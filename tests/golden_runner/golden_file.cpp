#include "tests/golden_runner/golden_file.hpp"

#include <cstring>

#include <braid/error.hpp>

namespace braid::golden {
namespace {

template <class Element>
std::vector<double> widened(std::span<const std::byte> bytes) {
  std::vector<double> values(bytes.size() / sizeof(Element));
  for (std::size_t i = 0; i < values.size(); ++i) {
    Element element;
    std::memcpy(&element, bytes.data() + i * sizeof(Element), sizeof(Element));
    values[i] = static_cast<double>(element);
  }
  return values;
}

std::vector<double> widened(const std::string& dtype, std::span<const std::byte> bytes) {
  if (dtype == "F64") return widened<double>(bytes);
  if (dtype == "F32") return widened<float>(bytes);
  if (dtype == "I64") return widened<std::int64_t>(bytes);
  if (dtype == "I32") return widened<std::int32_t>(bytes);
  if (dtype == "U8" || dtype == "BOOL") return widened<std::uint8_t>(bytes);
  throw FormatError("a golden tensor has the dtype " + dtype);
}

}  // namespace

Case::Case(const SafetensorsFile& file, const nlohmann::ordered_json& description)
    : file_(file),
      description_(nlohmann::json::parse(description.dump())),
      name_(description_.at("name").get<std::string>()) {
  if (description.contains("model")) model_ = description.at("model");
}

const SafetensorsFile::Entry& Case::entry(const std::string& role_and_name) const {
  const auto* found = file_.find(name_ + "/" + role_and_name);
  if (found == nullptr)
    throw FormatError("the tensor \"" + role_and_name + "\" is missing from the file");
  return *found;
}

bool Case::has(const std::string& role_and_name) const {
  return file_.find(name_ + "/" + role_and_name) != nullptr;
}

Numbers Case::numbers(const std::string& role_and_name) const {
  const auto& stored = entry(role_and_name);
  return {stored.shape, widened(stored.dtype, stored.bytes)};
}

Tensor Case::tensor(const std::string& role_and_name) const {
  return file_.tensor(entry(role_and_name));
}

std::vector<std::string> Case::names_under(const std::string& role) const {
  const std::string prefix = name_ + "/" + role;
  std::vector<std::string> names;
  for (const auto& stored : file_.entries()) {
    if (stored.name.starts_with(prefix)) names.push_back(stored.name.substr(prefix.size()));
  }
  return names;
}

std::vector<Case> read_cases(const SafetensorsFile& file) {
  const auto found = file.metadata().find("cases");
  if (found == file.metadata().end())
    throw FormatError("the file has no \"cases\" in its metadata");
  std::vector<Case> cases;
  for (const auto& description : nlohmann::ordered_json::parse(found->second))
    cases.emplace_back(file, description);
  return cases;
}

Numbers to_numbers(const Tensor& tensor) {
  const std::span<const std::byte> bytes(tensor.raw(), tensor.bytes());
  switch (tensor.dtype()) {
    case DType::float32: return {tensor.shape(), widened<float>(bytes)};
    case DType::int32: return {tensor.shape(), widened<std::int32_t>(bytes)};
    case DType::int64: return {tensor.shape(), widened<std::int64_t>(bytes)};
    case DType::uint8:
    case DType::bool_: return {tensor.shape(), widened<std::uint8_t>(bytes)};
  }
  return {};
}

}  // namespace braid::golden
