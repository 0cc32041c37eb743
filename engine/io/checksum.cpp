#include "engine/io/checksum.hpp"

#include <zlib.h>

#include <cstdio>

namespace braid {
namespace {

const std::string kKey = "braid_crc32";

// Eight hexadecimal digits.
std::string checksum(const std::map<std::string, std::string>& metadata,
                     const TensorDict& tensors) {
  uLong crc = crc32_z(0, nullptr, 0);
  const auto add = [&](const void* bytes, std::size_t count) {
    // Without a pointer crc32_z begins anew.
    if (count > 0) crc = crc32_z(crc, static_cast<const Bytef*>(bytes), count);
  };
  for (const auto& [key, value] : metadata) {
    if (key != kKey) add(value.data(), value.size());
  }
  for (const auto& [name, tensor] : tensors) {
    const std::string head = name + " " + describe(tensor);
    add(head.data(), head.size());
    add(tensor.raw(), tensor.bytes());
  }
  char text[16];
  std::snprintf(text, sizeof text, "%08lx", crc);
  return text;
}

}  // namespace

std::map<std::string, std::string> with_checksum(std::map<std::string, std::string> metadata,
                                                 const TensorDict& tensors) {
  const std::string sum = checksum(metadata, tensors);
  metadata[kKey] = sum;
  return metadata;
}

Checksum compare_checksum(const std::map<std::string, std::string>& metadata,
                          const TensorDict& tensors) {
  const auto stored = metadata.find(kKey);
  if (stored == metadata.end()) return Checksum::absent;
  return stored->second == checksum(metadata, tensors) ? Checksum::fits : Checksum::differs;
}

}  // namespace braid
