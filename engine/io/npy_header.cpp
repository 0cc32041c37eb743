#include "engine/io/npy_header.hpp"

#include <charconv>
#include <limits>
#include <string_view>

#include "engine/core/error.hpp"

namespace braid {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";

struct Kind {
  std::string_view code;
  NpyKind kind;
  std::size_t bytes;
};
constexpr Kind kKinds[] = {{"f2", NpyKind::float16, 2}, {"f4", NpyKind::float32, 4},
                           {"f8", NpyKind::float64, 8}, {"i1", NpyKind::int8, 1},
                           {"i2", NpyKind::int16, 2},   {"u2", NpyKind::uint16, 2},
                           {"i4", NpyKind::int32, 4},   {"i8", NpyKind::int64, 8},
                           {"u1", NpyKind::uint8, 1},   {"b1", NpyKind::boolean, 1}};

// Reads the one form of dict that numpy writes: quoted keys, values that are strings, True, False
// or tuples of integers.
class DictReader {
 public:
  DictReader(const std::string& where, std::string_view text) : where_(where), text_(text) {}

  template <class Entry>
  void read(const Entry& entry) {
    expect('{');
    while (!next_is('}')) {
      const std::string key = quoted();
      expect(':');
      entry(key, *this);
      if (!next_is(',')) break;
      expect(',');
    }
    expect('}');
    skip_blanks();
    if (at_ != text_.size()) refuse("nothing behind the dict");
  }

  std::string quoted() {
    skip_blanks();
    const char quote = at_ < text_.size() ? text_[at_] : '\0';
    if (quote != '\'' && quote != '"') refuse("a quoted word");
    const std::size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) refuse("a closing quote");
    std::string word(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return word;
  }

  bool boolean() {
    skip_blanks();
    for (const auto& [word, value] :
         {std::pair<std::string_view, bool>{"True", true}, {"False", false}}) {
      if (!text_.substr(at_).starts_with(word)) continue;
      at_ += word.size();
      return value;
    }
    refuse("True or False");
  }

  std::vector<Dim> tuple() {
    std::vector<Dim> numbers;
    expect('(');
    while (!next_is(')')) {
      skip_blanks();
      Dim number = 0;
      const auto [end, failed] =
          std::from_chars(text_.data() + at_, text_.data() + text_.size(), number);
      if (failed != std::errc() || number < 0) refuse("a length");
      at_ = static_cast<std::size_t>(end - text_.data());
      numbers.push_back(number);
      if (!next_is(',')) break;
      expect(',');
    }
    expect(')');
    return numbers;
  }

  [[noreturn]] void refuse(const std::string& expected) const {
    throw FormatError(where_ + ": the npy header needs " + expected + " at its character " +
                      std::to_string(at_));
  }

 private:
  void skip_blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool next_is(char wanted) {
    skip_blanks();
    return at_ < text_.size() && text_[at_] == wanted;
  }
  void expect(char wanted) {
    if (!next_is(wanted)) refuse(std::string("a '") + wanted + "'");
    ++at_;
  }

  const std::string& where_;
  std::string_view text_;
  std::size_t at_ = 0;
};

const Kind& kind_of(const std::string& where, const std::string& type, bool& swapped) {
  for (const Kind& kind : kKinds) {
    if (type.size() < 3 || std::string_view(type).substr(1) != kind.code) continue;
    const char order = type.front();
    if (order != '<' && order != '>' && order != '|' && order != '=') break;
    swapped = order == '>' && kind.bytes > 1;
    return kind;
  }
  throw DTypeError(where + ": no tensor holds elements of numpy's type \"" + type + "\"");
}

std::string_view code_of(DType dtype) {
  switch (dtype) {
    case DType::float32: return "<f4";
    case DType::int32: return "<i4";
    case DType::int64: return "<i8";
    case DType::uint8: return "|u1";
    case DType::bool_: return "|b1";
  }
  return {};
}

}  // namespace

DType NpyHeader::tensor_dtype() const {
  switch (kind) {
    case NpyKind::float16:
    case NpyKind::float32:
    case NpyKind::float64: return DType::float32;
    case NpyKind::int64: return DType::int64;
    case NpyKind::uint8: return DType::uint8;
    case NpyKind::boolean: return DType::bool_;
    default: return DType::int32;
  }
}

NpyHeader read_npy_header(const std::string& where, const std::vector<std::byte>& content) {
  const std::string_view text(reinterpret_cast<const char*>(content.data()), content.size());
  const auto byte = [&](std::size_t i) { return std::to_integer<std::size_t>(content[i]); };
  if (!text.starts_with(kMagic) || content.size() < 10)
    throw FormatError(where + ": no npy file, its first bytes are others");
  const std::size_t version = byte(6);
  if (version < 1 || version > 3)
    throw FormatError(where + ": npy version " + std::to_string(version) + " is not known");
  const std::size_t start = version == 1 ? 10 : 12;
  if (content.size() < start) throw FormatError(where + ": the npy header is cut short");
  std::size_t length = byte(8) | byte(9) << 8;
  if (version > 1) length |= byte(10) << 16 | byte(11) << 24;
  if (content.size() - start < length) {
    throw FormatError(where + ": the npy header has " + std::to_string(length) + " bytes, " +
                      std::to_string(content.size() - start) + " are there");
  }
  NpyHeader header;
  header.data_offset = start + length;
  std::string type;
  int seen = 0;
  DictReader(where, text.substr(start, length))
      .read([&](const std::string& key, DictReader& reader) {
        if (key == "descr") {
          seen |= 1;
          type = reader.quoted();
        } else if (key == "fortran_order") {
          seen |= 2;
          header.fortran_order = reader.boolean();
        } else if (key == "shape") {
          seen |= 4;
          header.shape = Shape(reader.tuple());
        } else {
          reader.refuse("descr, fortran_order or shape, not \"" + key + "\"");
        }
      });
  if (seen != 7)
    throw FormatError(where + ": the npy header must tell descr, fortran_order and shape");
  const Kind& kind = kind_of(where, type, header.swapped);
  header.kind = kind.kind;
  const std::size_t there = content.size() - header.data_offset;
  std::size_t elements = 1;
  for (Dim dim : header.shape) {
    const auto size = static_cast<std::size_t>(dim);
    if (size != 0 && elements > std::numeric_limits<std::uint32_t>::max() * 64ULL / size) {
      throw FormatError(where + ": the shape " + to_string(header.shape) + " is too large");
    }
    elements *= size;
  }
  if (there != elements * kind.bytes) {
    throw FormatError(where + ": the shape " + to_string(header.shape) + " asks for " +
                      std::to_string(elements * kind.bytes) + " bytes of data, " +
                      std::to_string(there) + " are there");
  }
  return header;
}

std::string write_npy_header(const Tensor& tensor) {
  std::string dict = "{'descr': '" + std::string(code_of(tensor.dtype())) +
                     "', 'fortran_order': False, 'shape': (";
  for (Dim dim : tensor.shape()) dict += std::to_string(dim) + ", ";
  if (tensor.shape().rank() > 1) dict.resize(dict.size() - 2);
  if (tensor.shape().rank() == 1) dict.pop_back();
  dict += "), }";
  constexpr std::size_t kBefore = 10;
  const std::size_t padded = (kBefore + dict.size() + 1 + 63) / 64 * 64 - kBefore;
  dict.resize(padded - 1, ' ');
  dict += '\n';
  std::string header(kMagic);
  header += '\x01';
  header += '\0';
  header += static_cast<char>(padded & 0xFFU);
  header += static_cast<char>(padded >> 8 & 0xFFU);
  return header + dict;
}

}  // namespace braid
