#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/core/matrix.hpp"
#include "kernels/library_memory.hpp"
#include "kernels/precision.hpp"

// NVIDIA's cuBLASLt for the large products of a GPU. It is no part of Braid, nor of what Braid is
// linked with: a program looks for it when the first large product comes, and Braid's own kernels
// do the work where it is not there. How it orders a sum is its own affair; equal calls give equal
// bits.
namespace braid::kernels {

// out = a . b, where `a` and `b` may be given as their transposes. They hold float32, at the
// precision of bfloat16 numbers of that type.
struct LibraryProduct {
  Matrix<const void> a;  // [R, K]  read; transposed: [K, R]
  bool a_transposed = false;
  Matrix<const void> b;  // [K, C]  read; transposed: [C, K]
  bool b_transposed = false;
  Matrix<float> out;             // [R, C]  overwritten, or added to
  bool accumulate = false;       // add to `out`
  const float* bias = nullptr;   // [C]     read and added to each row; may be absent
  float* column_sums = nullptr;  // [C]     overwritten: sums of b's columns over K; may be absent,
                                 // and is where b is transposed or there is a bias
  Precision precision = Precision::float32;
  LibraryMemory workspace;  // overwritten; begins at a multiple of 256 bytes; may be absent
};

class ProductLibrary {
 public:
  // For the current device of the thread. Null where none of the files can be loaded, or where
  // Braid was built without cuBLASLt's header.
  static std::unique_ptr<ProductLibrary> open(const std::vector<std::string>& files,
                                              std::int64_t least_size = kLeastLibrarySize);
  virtual ~ProductLibrary() = default;

  bool wants(std::int64_t rows, std::int64_t columns, std::int64_t depth) const {
    return rows >= least_size_ && columns >= least_size_ && depth >= least_size_;
  }

  // Puts the product into the stream, without further memory. False: the library has no way for
  // it, and nothing was done. DeviceError names the call that failed and the product.
  virtual bool multiply(void* stream, const LibraryProduct& product) = 0;

 protected:
  explicit ProductLibrary(std::int64_t least_size) : least_size_(least_size) {}

 private:
  std::int64_t least_size_;
};

}  // namespace braid::kernels
