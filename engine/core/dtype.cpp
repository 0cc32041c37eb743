#include "engine/core/dtype.hpp"

#include <array>
#include <string>
#include <utility>

#include "engine/core/error.hpp"

namespace braid {
namespace {

constexpr std::array<std::pair<DType, std::string_view>, 5> kNames{{{DType::float32, "float32"},
                                                                    {DType::int32, "int32"},
                                                                    {DType::int64, "int64"},
                                                                    {DType::uint8, "uint8"},
                                                                    {DType::bool_, "bool"}}};

}  // namespace

std::string_view name_of(DType dtype) {
  for (const auto& [known, name] : kNames) {
    if (known == dtype) return name;
  }
  return "unknown";
}

DType dtype_named(std::string_view name) {
  for (const auto& [dtype, known] : kNames) {
    if (known == name) return dtype;
  }
  throw DTypeError("unknown dtype \"" + std::string(name) +
                   "\"; known are float32, int32, int64, uint8, bool");
}

}  // namespace braid
