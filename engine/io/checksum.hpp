#pragma once
#include <map>
#include <string>

#include <braid/tensor.hpp>

namespace braid {

// A safetensors file would not notice an altered number, so ours carry a checksum in their
// metadata: CRC-32 over the other metadata and over names, types and bytes of the tensors.
std::map<std::string, std::string> with_checksum(std::map<std::string, std::string> metadata,
                                                 const TensorDict& tensors);

enum class Checksum { absent, fits, differs };
Checksum compare_checksum(const std::map<std::string, std::string>& metadata,
                          const TensorDict& tensors);

}  // namespace braid
