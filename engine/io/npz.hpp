#pragma once
#include <string>

#include <braid/tensor.hpp>

namespace braid {

// Arrays of numpy. float32, int32, int64, uint8 and bool stay what they are; float64 and float16
// become float32, int8, int16 and uint16 become int32. Byte order and memory order of the file may
// be either. IoError; FormatError for a damaged file; DTypeError for elements that no tensor holds.
Tensor read_npy(const std::string& path);
// All arrays of a .npz file, by their names without ".npy".
TensorDict read_npz(const std::string& path);

// Written atomically. IoError; ShapeError for a ragged tensor.
void write_npy(const std::string& path, const Tensor& tensor);
void write_npz(const std::string& path, const TensorDict& tensors);

}  // namespace braid
