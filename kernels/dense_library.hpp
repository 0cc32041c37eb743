#pragma once
#include "kernels/dense_kernel.hpp"
#include "kernels/simt/product_library.hpp"

// Dense products that are large enough for the library of the device. Each function tells whether
// it did the work.
namespace braid::kernels {
namespace BRAID_GPU {

void run(const Stream& stream, const ActivationForward& args);
void run(const Stream& stream, const DenseWeightGradient& args);

inline bool run_by_library(const Stream& stream, const DenseForward& args) {
  ProductLibrary* const library = product_library();
  if (library == nullptr || !library->wants(args.out.rows, args.out.columns, args.in.columns))
    return false;
  if (!library->multiply(stream.native, {.a = args.in,
                                         .b = args.kernel,
                                         .out = args.out,
                                         .bias = args.bias,
                                         .precision = args.precision})) {
    return false;
  }
  // Also relu: nobody says that the library's keeps NaN, as Keras's does.
  if (args.activation.kind != ActivationKind::linear)
    run(stream, ActivationForward{args.out, args.out, args.activation});
  return true;
}

inline bool run_by_library(const Stream& stream, const DenseInputGradient& args) {
  ProductLibrary* const library = product_library();
  return library != nullptr &&
         library->wants(args.in_grad.rows, args.in_grad.columns, args.out_grad.columns) &&
         library->multiply(stream.native, {.a = args.out_grad,
                                           .b = args.kernel,
                                           .b_transposed = true,
                                           .out = args.in_grad,
                                           .accumulate = args.accumulate,
                                           .precision = args.precision});
}

// The bias's gradient comes with the kernel's where the library can do that; else it is left to
// our own kernel, without the other.
inline bool run_by_library(const Stream& stream, const DenseWeightGradient& args) {
  ProductLibrary* const library = product_library();
  if (library == nullptr ||
      !library->wants(args.kernel_grad.rows, args.kernel_grad.columns, args.in.rows)) {
    return false;
  }
  LibraryProduct product{.a = args.in,
                         .a_transposed = true,
                         .b = args.out_grad,
                         .out = args.kernel_grad,
                         .accumulate = args.accumulate,
                         .precision = args.precision};
  if (args.bias_grad != nullptr && !args.accumulate) {
    product.column_sums = args.bias_grad;
    if (library->multiply(stream.native, product)) return true;
    product.column_sums = nullptr;
  }
  if (!library->multiply(stream.native, product)) return false;
  if (args.bias_grad != nullptr) {
    DenseWeightGradient bias_alone = args;
    bias_alone.kernel_grad = {};
    run(stream, bias_alone);
  }
  return true;
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
