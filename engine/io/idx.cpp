#include "engine/io/idx.hpp"

#include <bit>
#include <limits>

#include "engine/core/error.hpp"
#include "engine/io/gzip.hpp"

namespace braid {
namespace {

// A number of `Bits`' width, stored with the highest byte first.
template <class Bits>
Bits big_endian(const std::byte* bytes) {
  Bits value = 0;
  for (std::size_t i = 0; i < sizeof(Bits); ++i)
    value = static_cast<Bits>(value << 8 | std::to_integer<Bits>(bytes[i]));
  return value;
}

template <class Stored, class Bits, class Element>
Tensor converted(const std::byte* bytes, const Shape& shape, DType dtype) {
  Tensor tensor = Tensor::uninitialized(shape, dtype);
  auto* out = reinterpret_cast<Element*>(tensor.raw());
  for (std::int64_t i = 0; i < tensor.elements(); ++i) {
    // NOLINTNEXTLINE(bugprone-signed-char-misuse): signed bytes are numbers here
    out[i] = static_cast<Element>(std::bit_cast<Stored>(
        big_endian<Bits>(bytes + i * static_cast<std::int64_t>(sizeof(Bits)))));
  }
  return tensor;
}

std::size_t element_bytes(int code) {
  switch (code) {
    case 0x08:
    case 0x09: return 1;
    case 0x0B: return 2;
    case 0x0C:
    case 0x0D: return 4;
    case 0x0E: return 8;
    default: return 0;
  }
}

}  // namespace

Tensor read_idx(const std::string& path) {
  const std::vector<std::byte> content = read_unpacked(path);
  const auto refuse = [&](const std::string& why) {
    throw FormatError("\"" + path + "\": " + why);
  };
  if (content.size() < 4 || content[0] != std::byte{0} || content[1] != std::byte{0}) {
    refuse("an IDX file begins with two bytes of 0, a type and a number of axes");
  }
  const int code = std::to_integer<int>(content[2]);
  const std::size_t width = element_bytes(code);
  if (width == 0) refuse("the IDX element type " + std::to_string(code) + " does not exist");
  const auto rank = std::to_integer<std::size_t>(content[3]);
  const std::size_t start = 4 + 4 * rank;
  if (content.size() < start)
    refuse("the header of " + std::to_string(rank) + " axes is cut short");
  std::vector<Dim> dims;
  std::uint64_t elements = 1;
  for (std::size_t axis = 0; axis < rank; ++axis) {
    dims.push_back(big_endian<std::uint32_t>(content.data() + 4 + 4 * axis));
    const auto dim = static_cast<std::uint64_t>(dims.back());
    if (dim != 0 && elements > std::numeric_limits<std::uint32_t>::max() * 64ULL / dim)
      refuse("the axes are too large");
    elements *= dim;
  }
  const Shape shape(std::move(dims));
  if (content.size() - start != elements * width) {
    refuse("the header " + to_string(shape) + " asks for " + std::to_string(elements * width) +
           " bytes of data, " + std::to_string(content.size() - start) + " are there");
  }
  const std::byte* bytes = content.data() + start;
  switch (code) {
    case 0x08:
      return converted<std::uint8_t, std::uint8_t, std::uint8_t>(bytes, shape, DType::uint8);
    case 0x09:
      return converted<std::int8_t, std::uint8_t, std::int32_t>(bytes, shape, DType::int32);
    case 0x0B:
      return converted<std::int16_t, std::uint16_t, std::int32_t>(bytes, shape, DType::int32);
    case 0x0C:
      return converted<std::int32_t, std::uint32_t, std::int32_t>(bytes, shape, DType::int32);
    case 0x0D: return converted<float, std::uint32_t, float>(bytes, shape, DType::float32);
    default: return converted<double, std::uint64_t, float>(bytes, shape, DType::float32);
  }
}

}  // namespace braid
