#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include <braid/tensor.hpp>

namespace braid {

enum class NpyKind { float16, float32, float64, int8, int16, uint16, int32, int64, uint8, boolean };

// What stands before the data of an .npy file: a Python dict of element type, memory order and
// shape.
struct NpyHeader {
  NpyKind kind = NpyKind::float32;
  bool swapped = false;  // stored with the highest byte first
  bool fortran_order = false;
  Shape shape;
  std::size_t data_offset = 0;

  DType tensor_dtype() const;
};

// `where` names the file in messages. Checks that exactly the shape's data follow. FormatError,
// DTypeError.
NpyHeader read_npy_header(const std::string& where, const std::vector<std::byte>& content);
// Version 1.0, padded so that the data begin at a multiple of 64 bytes.
std::string write_npy_header(const Tensor& tensor);

}  // namespace braid
