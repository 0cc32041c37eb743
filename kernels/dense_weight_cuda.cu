// A block owns a tile of the kernel's gradient and sums it over all rows of the batch in order, or
// over one part of them where there is memory for the parts' sums. The blocks of the first
// tiles also sum the bias's gradient, a thread a column. Parts are added up by one thread for each
// element, which asks for many of them at once.
#include "kernels/dense.hpp"
#include "kernels/dense_choice.hpp"
#include "kernels/dense_library.hpp"
#include "kernels/simt/elements.hpp"
#include "kernels/simt/facade.hpp"
#include "kernels/slice_sums.hpp"

namespace braid::kernels {
namespace {

struct SumOfParts {
  const float* parts = nullptr;
  std::int64_t count = 0;
  std::int64_t floats_of_part = 0;
  Matrix<float> kernel_grad;
  float* bias_grad = nullptr;
  std::int64_t columns = 0;
  bool accumulate = false;
};

// The bias's gradient is one row more.
__global__ void __launch_bounds__(kElementThreads, 2) sum_of_parts_kernel(SumOfParts args) {
  const std::int64_t rows = args.kernel_grad.rows + (args.bias_grad != nullptr ? 1 : 0);
  for_elements<1>(rows, args.columns, [&](std::int64_t n, std::int64_t c) {
    float* const out = n < args.kernel_grad.rows ? args.kernel_grad.row(n) + c : args.bias_grad + c;
    float sum[1] = {args.accumulate ? *out : 0.0F};
    add_all_slices(args.parts + n * args.columns + c, args.count, args.floats_of_part, sum);
    *out = sum[0];
  });
}

void launch_parts(const Stream& stream, const DenseWeightGradient& args) {
  DenseProduct product = product_of(args);
  product.depth_of_part = dense_weight_part_rows(product.depth, args.parts);
  launch_product<Neighbours::across, Neighbours::across>(stream, product, args.precision,
                                                         args.parts);
}

// The sum of the bias's gradient lies behind that of the kernel's.
void launch_and_add_up(const Stream& stream, const DenseWeightGradient& args, std::int64_t parts) {
  const std::int64_t rows = args.kernel_grad ? args.in.columns : 0;
  const std::int64_t columns = args.out_grad.columns;
  const std::int64_t floats_of_part = (rows + 1) * columns;
  DenseWeightGradient in_parts = args;
  if (args.kernel_grad) in_parts.kernel_grad = {args.scratch, rows, columns, columns};
  if (args.bias_grad != nullptr) in_parts.bias_grad = args.scratch + rows * columns;
  in_parts.accumulate = false;
  in_parts.parts = parts;
  in_parts.kernel_part_floats = floats_of_part;
  in_parts.bias_part_floats = floats_of_part;
  launch_parts(stream, in_parts);
  const SumOfParts sum{
      .parts = args.scratch,
      .count = parts,
      .floats_of_part = floats_of_part,
      .kernel_grad = {args.kernel_grad.data, rows, columns, args.kernel_grad.stride},
      .bias_grad = args.bias_grad,
      .columns = columns,
      .accumulate = args.accumulate};
  launch_kernel<sum_of_parts_kernel>(element_shape(floats_of_part), stream, sum);
}

}  // namespace

namespace BRAID_GPU {

void run(const Stream& stream, const DenseWeightGradient& args) {
  const std::int64_t columns = args.out_grad.columns;
  const std::int64_t rows = args.kernel_grad ? args.in.columns : 0;
  if (columns == 0 || (rows == 0 && args.bias_grad == nullptr)) return;
  if (args.parts > 1) return launch_parts(stream, args);
  if (run_by_library(stream, args)) return;
  const std::int64_t parts =
      args.scratch == nullptr ? 1 : dense_weight_parts(args.in.rows, args.in.columns, columns);
  if (parts > 1) return launch_and_add_up(stream, args, parts);
  launch_product<Neighbours::across, Neighbours::across>(stream, product_of(args), args.precision);
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
