#pragma once
#include <algorithm>

#include "kernels/dense_kernel.hpp"
#include "kernels/simt/matrix_units.hpp"
#include "kernels/simt/product_library.hpp"

// Dense products that are large enough for the library of the device. Each function tells whether
// it did the work.
namespace braid::kernels {
namespace BRAID_GPU {

void run(const Stream& stream, const ActivationForward& args);
void run(const Stream& stream, const DenseWeightGradient& args);

// A copy of the matrix in bfloat16, to the nearest with ties to even, for which the memory has
// bfloat16_bytes(rows, columns) bytes from a multiple of 256 on.
Matrix<const std::uint16_t> round_to_bfloat16(const Stream& stream, const Matrix<const float>& in,
                                              std::byte* memory);

// The product of a and b, whose other parts are given. At bfloat16 the library reads copies of the
// factors; what is left of the memory is its own.
inline bool multiply_by_library(const Stream& stream, const Matrix<const float>& a,
                                const Matrix<const float>& b, LibraryProduct product,
                                LibraryMemory memory) {
  ProductLibrary* const library = product_library();
  const std::int64_t depth = product.a_transposed ? a.rows : a.columns;
  if (library == nullptr || !library->wants(product.out.rows, product.out.columns, depth))
    return false;
  const auto untyped = [](const auto& m) {
    return Matrix<const void>{m.data, m.rows, m.columns, m.stride};
  };
  product.a = untyped(a);
  product.b = untyped(b);
  if (!has_matrix_units()) product.precision = Precision::float32;
  const std::int64_t gap = -reinterpret_cast<std::intptr_t>(memory.data) & 255;
  LibraryMemory left{memory.data + gap, std::max<std::int64_t>(memory.bytes - gap, 0)};
  if (product.precision == Precision::bfloat16) {
    const std::int64_t a_bytes = bfloat16_bytes(a.rows, a.columns);
    const std::int64_t both_bytes = a_bytes + bfloat16_bytes(b.rows, b.columns);
    if (left.bytes < both_bytes) return false;
    product.a = untyped(round_to_bfloat16(stream, a, left.data));
    product.b = untyped(round_to_bfloat16(stream, b, left.data + a_bytes));
    left = {left.data + both_bytes, left.bytes - both_bytes};
  }
  left.bytes = std::min(left.bytes, kLibraryWorkspace);
  if (left.bytes > 0) product.workspace = left;
  return library->multiply(stream.native, product);
}

inline bool run_by_library(const Stream& stream, const DenseForward& args) {
  const LibraryProduct product{.out = args.out, .bias = args.bias, .precision = args.precision};
  if (!multiply_by_library(stream, args.in, args.kernel, product, args.for_library)) return false;
  // Also relu: nobody says that the library's keeps NaN, as Keras's does.
  if (args.activation.kind != ActivationKind::linear)
    run(stream, ActivationForward{args.out, args.out, args.activation});
  return true;
}

inline bool run_by_library(const Stream& stream, const DenseInputGradient& args) {
  return multiply_by_library(stream, args.out_grad, args.kernel,
                             {.b_transposed = true,
                              .out = args.in_grad,
                              .accumulate = args.accumulate,
                              .precision = args.precision},
                             args.for_library);
}

// The sums of the columns alone. They leave multiprocessors without work but for parts of the rows,
// for which the kernel's gradient, of many tiles, has none.
inline void run_bias_alone(const Stream& stream, DenseWeightGradient args) {
  args.kernel_grad = {};
  const std::int64_t bytes = dense_weight_scratch(args.in.rows, 1, args.out_grad.columns);
  if (args.for_library.bytes >= bytes) {
    args.in.columns = 1;
    args.scratch = reinterpret_cast<float*>(args.for_library.data);
  }
  run(stream, args);
}

// The bias's gradient comes with the kernel's where the library can do that, and does not read
// rounded numbers; else it is left to our own kernel, without the other.
inline bool run_by_library(const Stream& stream, const DenseWeightGradient& args) {
  LibraryProduct product{.a_transposed = true,
                         .out = args.kernel_grad,
                         .accumulate = args.accumulate,
                         .precision = args.precision};
  if (args.bias_grad != nullptr && !args.accumulate && args.precision != Precision::bfloat16) {
    product.column_sums = args.bias_grad;
    if (multiply_by_library(stream, args.in, args.out_grad, product, args.for_library)) return true;
    product.column_sums = nullptr;
  }
  if (!multiply_by_library(stream, args.in, args.out_grad, product, args.for_library)) return false;
  if (args.bias_grad != nullptr) run_bias_alone(stream, args);
  return true;
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
