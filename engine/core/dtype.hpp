#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace braid {

enum class DType : std::uint8_t { float32, int32, int64, uint8, bool_ };

// Bytes of one element.
constexpr std::size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::float32:
    case DType::int32: return 4;
    case DType::int64: return 8;
    case DType::uint8:
    case DType::bool_: return 1;
  }
  return 0;
}

// "float32", "int32", "int64", "uint8", "bool".
std::string_view name_of(DType dtype);

// The inverse of name_of; throws DTypeError for an unknown name.
DType dtype_named(std::string_view name);

constexpr bool is_integer(DType dtype) { return dtype != DType::float32; }

// The DType that stores T. `bool` and the byte types are told apart.
template <class T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::float32;
};
template <>
struct DTypeOf<std::int32_t> {
  static constexpr DType value = DType::int32;
};
template <>
struct DTypeOf<std::int64_t> {
  static constexpr DType value = DType::int64;
};
template <>
struct DTypeOf<std::uint8_t> {
  static constexpr DType value = DType::uint8;
};
template <>
struct DTypeOf<bool> {
  static constexpr DType value = DType::bool_;
};

}  // namespace braid
