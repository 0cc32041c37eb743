#include "engine/io/safetensors.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/core/error.hpp"
#include "engine/io/atomic_file.hpp"

namespace braid {
namespace {

using nlohmann::json;

constexpr std::size_t kLengthBytes = 8;
constexpr std::uint64_t kLargestHeader = 100'000'000;
static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian");

std::size_t element_bytes(const std::string& dtype) {
  static const std::map<std::string, std::size_t> sizes{
      {"F64", 8}, {"I64", 8}, {"U64", 8},  {"F32", 4},     {"I32", 4},
      {"U32", 4}, {"F16", 2}, {"BF16", 2}, {"I16", 2},     {"U16", 2},
      {"I8", 1},  {"U8", 1},  {"BOOL", 1}, {"F8_E4M3", 1}, {"F8_E5M2", 1}};
  const auto found = sizes.find(dtype);
  return found == sizes.end() ? 0 : found->second;
}

std::string file_name_of(DType dtype) {
  switch (dtype) {
    case DType::float32: return "F32";
    case DType::int32: return "I32";
    case DType::int64: return "I64";
    case DType::uint8: return "U8";
    case DType::bool_: return "BOOL";
  }
  return {};
}

// JSON keeps the last of two equal keys without a word; a file with two tensors of one name is
// broken.
json parse_without_repeats(const std::string& header, std::string& repeated) {
  std::vector<std::set<std::string>> open;
  const json::parser_callback_t watch = [&](int, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::object_start) open.emplace_back();
    if (event == json::parse_event_t::object_end) open.pop_back();
    if (event == json::parse_event_t::key &&
        !open.back().insert(parsed.get<std::string>()).second) {
      repeated = parsed.get<std::string>();
    }
    return true;
  };
  return json::parse(header, watch);
}

}  // namespace

void SafetensorsFile::refuse(const std::string& why) const {
  throw FormatError("\"" + path_ + "\": " + why);
}

SafetensorsFile::SafetensorsFile(const std::string& path) : path_(path), content_(read_file(path)) {
  if (content_.size() < kLengthBytes) refuse("shorter than the 8 bytes of a header length");
  std::uint64_t length = 0;
  std::memcpy(&length, content_.data(), kLengthBytes);
  if (length > kLargestHeader || length > content_.size() - kLengthBytes) {
    refuse("the header should take " + std::to_string(length) + " bytes; the file has " +
           std::to_string(content_.size() - kLengthBytes) + " after offset 8");
  }
  const auto header_bytes = static_cast<std::size_t>(length);
  const std::string header(reinterpret_cast<const char*>(content_.data()) + kLengthBytes,
                           header_bytes);
  const std::span<const std::byte> data =
      std::span<const std::byte>(content_).subspan(kLengthBytes + header_bytes);
  read_header(header, data);
  check_places(data);
}

void SafetensorsFile::read_header(const std::string& header, std::span<const std::byte> data) {
  // The parser takes a byte of 0 for the end.
  if (header.find('\0') != std::string::npos) refuse("the header is no JSON: it holds a byte of 0");
  std::string repeated;
  json parsed;
  try {
    parsed = parse_without_repeats(header, repeated);
  } catch (const json::exception& error) {
    refuse(std::string("the header is no JSON: ") + error.what());
  }
  if (!repeated.empty()) refuse("the key \"" + repeated + "\" stands twice in the header");
  if (!parsed.is_object()) refuse("the header is no JSON object");
  for (const auto& [name, described] : parsed.items()) {
    if (name == "__metadata__") {
      if (!described.is_object()) refuse("key \"__metadata__\": an object is expected");
      for (const auto& [key, value] : described.items()) {
        if (!value.is_string())
          refuse("key \"__metadata__\", \"" + key + "\": a string is expected");
        metadata_[key] = value.get<std::string>();
      }
      continue;
    }
    const std::string at = "key \"" + name + "\": ";
    const auto member = [this, &at, &entry = described](const char* key) -> const json& {
      if (!entry.is_object() || !entry.contains(key)) refuse(at + "\"" + key + "\" is missing");
      return entry.at(key);
    };
    Entry entry;
    entry.name = name;
    if (!member("dtype").is_string()) refuse(at + "the dtype is no string");
    entry.dtype = member("dtype").get<std::string>();
    const std::size_t size = element_bytes(entry.dtype);
    if (size == 0) refuse(at + "unknown dtype \"" + entry.dtype + "\"");
    if (!member("shape").is_array()) refuse(at + "the shape is no list");
    std::vector<Dim> dims;
    std::uint64_t bytes = size;
    for (const json& dim : described.at("shape")) {
      if (!dim.is_number_unsigned()) refuse(at + "an axis is no count");
      const auto count = dim.get<std::uint64_t>();
      if (count != 0 && bytes > data.size() / count) {
        // Too large for this file; a later axis of 0 would make it fit, which no writer does.
        refuse(at + "the shape holds more elements than the file");
      }
      bytes *= count;
      dims.push_back(static_cast<Dim>(count));
    }
    entry.shape = Shape(std::move(dims));
    const json& offsets = member("data_offsets");
    if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
        !offsets[1].is_number_unsigned()) {
      refuse(at + "the data_offsets are no pair of counts");
    }
    const auto begin = offsets[0].get<std::uint64_t>();
    const auto end = offsets[1].get<std::uint64_t>();
    if (begin > end || end > data.size()) {
      refuse(at + "data_offsets " + std::to_string(begin) + " .. " + std::to_string(end) +
             " leave the " + std::to_string(data.size()) + " bytes of data");
    }
    if (end - begin != bytes) {
      refuse(at + std::to_string(end - begin) + " bytes of data for a shape that takes " +
             std::to_string(bytes));
    }
    entry.bytes = data.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(bytes));
    entries_.push_back(std::move(entry));
  }
  std::stable_sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
    return a.bytes.data() != b.bytes.data() ? a.bytes.data() < b.bytes.data()
                                            : a.bytes.size() < b.bytes.size();
  });
}

void SafetensorsFile::check_places(std::span<const std::byte> data) const {
  const std::byte* end = data.data();
  for (const Entry& entry : entries_) {
    if (entry.bytes.data() != end)
      refuse("key \"" + entry.name + "\": its data overlap others or leave a hole before them");
    end += entry.bytes.size();
  }
  if (end != data.data() + data.size()) {
    refuse(std::to_string(data.data() + data.size() - end) +
           " bytes behind the last tensor belong to none");
  }
}

const SafetensorsFile::Entry* SafetensorsFile::find(const std::string& name) const {
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const Entry& entry) { return entry.name == name; });
  return found == entries_.end() ? nullptr : &*found;
}

Tensor SafetensorsFile::tensor(const Entry& entry) const {
  const auto copied = [&](DType dtype) {
    Tensor tensor = Tensor::uninitialized(entry.shape, dtype);
    if (!entry.bytes.empty()) std::memcpy(tensor.raw(), entry.bytes.data(), entry.bytes.size());
    return tensor;
  };
  if (entry.dtype == "F64") {
    Tensor tensor = Tensor::uninitialized(entry.shape, DType::float32);
    for (std::int64_t i = 0; i < tensor.elements(); ++i) {
      double value = 0;
      std::memcpy(&value, entry.bytes.data() + i * 8, sizeof value);
      tensor.data<float>()[i] = static_cast<float>(value);
    }
    return tensor;
  }
  for (DType dtype : {DType::float32, DType::int32, DType::int64, DType::uint8, DType::bool_}) {
    if (entry.dtype == file_name_of(dtype)) return copied(dtype);
  }
  throw DTypeError("\"" + path_ + "\": key \"" + entry.name + "\" holds " + entry.dtype +
                   ", which no tensor of ours does");
}

TensorDict SafetensorsFile::tensors() const {
  TensorDict tensors;
  for (const Entry& entry : entries_) tensors.set(entry.name, tensor(entry));
  return tensors;
}

void write_safetensors(const std::string& path, const TensorDict& tensors,
                       const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::size_t offset = 0;
  std::vector<std::span<const std::byte>> pieces(2);
  const auto ragged = std::find_if(tensors.begin(), tensors.end(),
                                   [](const auto& item) { return item.second.is_ragged(); });
  if (ragged != tensors.end()) {
    throw ShapeError("\"" + path + "\": the ragged tensor \"" + ragged->first +
                     "\" has no place in such a file");
  }
  for (const auto& [name, tensor] : tensors) {
    header[name] = {{"dtype", file_name_of(tensor.dtype())},
                    {"shape", tensor.shape().dims()},
                    {"data_offsets", {offset, offset + tensor.bytes()}}};
    pieces.emplace_back(tensor.raw(), tensor.bytes());
    offset += tensor.bytes();
  }
  std::string text = header.dump();
  text.append((kLengthBytes - text.size() % kLengthBytes) % kLengthBytes, ' ');
  const std::uint64_t length = text.size();
  pieces[0] = std::as_bytes(std::span(&length, 1));
  pieces[1] = std::as_bytes(std::span<const char>(text));
  write_atomically(path, pieces);
}

}  // namespace braid
