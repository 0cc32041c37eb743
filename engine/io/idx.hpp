#pragma once
#include <string>

#include <braid/tensor.hpp>

namespace braid {

// Reads an IDX file (the format of MNIST), gzipped or not. uint8, int32 and float32 stay what they
// are; int8 and int16 become int32, float64 becomes float32. IoError; FormatError where header and
// length do not agree.
Tensor read_idx(const std::string& path);

}  // namespace braid
