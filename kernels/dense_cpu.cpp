#include "kernels/dense.hpp"

#include "kernels/functions.hpp"
#include "kernels/product.hpp"

namespace braid::kernels {
namespace {

// A single output column: dot products of rows with the kernel's only column.
void single_column(const DenseForward& args) {
  const std::int64_t depth = args.in.columns;
  const float bias = args.bias != nullptr ? args.bias[0] : 0.0F;
  for (std::int64_t n = 0; n < args.in.rows; ++n) {
    const float* in = args.in.row(n);
    Vector sums{};
    std::int64_t k = 0;
    for (; k + kLanes <= depth; k += kLanes) sums += load(in + k) * load(args.kernel.data + k);
    float sum = 0;
    for (int lane = 0; lane < kLanes; ++lane) sum += sums[lane];
    for (; k < depth; ++k) sum += in[k] * args.kernel.data[k];
    args.out.row(n)[0] = sum + bias;
  }
}

}  // namespace

namespace BRAID_CPU {

void run(const DenseForward& args) {
  if (args.kernel.columns == 1 && args.kernel.stride == 1) {
    single_column(args);
  } else {
    product(args.in, args.kernel, args.bias, args.out, false);
  }
  if (args.activation.kind == ActivationKind::linear) return;
  with_kind(args.activation.kind, [&]<ActivationKind kind>() {
    const Activation f = args.activation;
    const bool packed = args.out.packed();
    const std::int64_t rows = packed ? 1 : args.out.rows;
    const std::int64_t columns = packed ? args.out.rows * args.out.columns : args.out.columns;
    for (std::int64_t n = 0; n < rows; ++n) {
      float* out = args.out.row(n);
      for (std::int64_t c = 0; c < columns; ++c) out[c] = function_of<kind>(out[c], f);
    }
  });
}

void run(const DenseInputGradient& args) {
  product_transposed_b(args.out_grad, args.kernel, args.in_grad, args.accumulate);
}

namespace {

void sum_all_rows(const DenseWeightGradient& args) {
  if (args.kernel_grad)
    product_transposed_a(args.in, args.out_grad, args.kernel_grad, args.accumulate);
  if (args.bias_grad == nullptr) return;
  const std::int64_t columns = args.out_grad.columns;
  if (!args.accumulate) {
    for (std::int64_t m = 0; m < columns; ++m) args.bias_grad[m] = 0;
  }
  for (std::int64_t n = 0; n < args.out_grad.rows; ++n) {
    const float* out_grad = args.out_grad.row(n);
#pragma GCC ivdep
    for (std::int64_t m = 0; m < columns; ++m) args.bias_grad[m] += out_grad[m];
  }
}

}  // namespace

void run(const DenseWeightGradient& args) {
  if (args.parts == 1) return sum_all_rows(args);
  DenseWeightGradient part = args;
  const std::int64_t length = dense_weight_part_rows(args.in.rows, args.parts);
  for (std::int64_t first = 0; first < args.in.rows; first += length) {
    part.in.data = args.in.row(first);
    part.out_grad.data = args.out_grad.row(first);
    part.in.rows = part.out_grad.rows = std::min(length, args.in.rows - first);
    sum_all_rows(part);
    if (part.kernel_grad) part.kernel_grad.data += args.kernel_part_floats;
    if (part.bias_grad != nullptr) part.bias_grad += args.bias_part_floats;
  }
}

}  // namespace BRAID_CPU
}  // namespace braid::kernels
