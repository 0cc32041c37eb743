// A block of 256 threads owns a tile of the outputs and sums it over the whole depth, which it
// reads through shared memory, some stages ahead; a thread holds 1 to 64 outputs
// (dense_float32.hpp), or its share of a warp's blocks of 16 x 8 (dense_matrix_units.hpp). A single
// column of outputs is one dot product for each row: a warp takes a row, its lanes the depth in
// fours.
#include "kernels/dense.hpp"

#include "kernels/dense_choice.hpp"
#include "kernels/simt/elements.hpp"
#include "kernels/simt/facade.hpp"

namespace braid::kernels {
namespace {

constexpr int kWarps = 4;
constexpr int kThreads = kWarps * 32;

// Four terms at a time, in an order that depends on the depth alone.
__device__ inline float add_products(const float* a, const float* b, std::int64_t b_step,
                                     std::int64_t count, bool a_in_fours, float sum) {
  float left[4] = {0, 0, 0, 0};
  if (a_in_fours && count >= 4) {
    load_floats(a, left);
  } else {
    SIMT_UNROLL
    for (int i = 0; i < 4; ++i) {
      if (i < count) left[i] = a[i];
    }
  }
  SIMT_UNROLL
  for (int i = 0; i < 4; ++i) {
    if (i < count) sum = fmaf(left[i], b[i * b_step], sum);
  }
  return sum;
}

__global__ void dense_column_kernel(DenseProduct args) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * kWarps;
  const Activation f = args.activation;
  for (std::int64_t n = static_cast<std::int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
       n < args.rows; n += step) {
    const float* a = args.a + n * args.a_stride;
    float sum = 0;
    for (std::int64_t k = 4 * lane; k < args.depth; k += 4 * 32) {
      sum = add_products(a + k, args.b + k * args.b_stride, args.b_stride, args.depth - k,
                         args.operands_in_fours, sum);
    }
    sum = sum_of_warp(sum);
    if (lane != 0) continue;
    float& out = args.out[n * args.out_stride];
    if (args.accumulate) sum += out;
    if (args.bias != nullptr) sum += *args.bias;
    with_kind(f.kind, [&]<ActivationKind kind>() { out = function_of<kind>(sum, f); });
  }
}

// b's elements are b_stride apart.
void launch_column(const Stream& stream, DenseProduct args) {
  args.operands_in_fours = in_fours(args.a, args.a_stride);
  launch_kernel<dense_column_kernel>({.grid = blocks_for(args.rows, kWarps), .block = kThreads},
                                     stream, args);
}

}  // namespace

namespace BRAID_GPU {

void run(const Stream& stream, const DenseForward& args) {
  if (args.out.rows == 0 || args.out.columns == 0) return;
  const DenseProduct product = product_of(args);
  if (product.columns == 1) return launch_column(stream, product);
  launch_product<Neighbours::along_depth, Neighbours::across>(stream, product, args.precision);
}

void run(const Stream& stream, const DenseInputGradient& args) {
  if (args.in_grad.rows == 0 || args.in_grad.columns == 0) return;
  DenseProduct product = product_of(args);
  if (product.columns == 1) {
    product.b_stride = 1;  // the kernel's only row
    return launch_column(stream, product);
  }
  launch_product<Neighbours::along_depth, Neighbours::along_depth>(stream, product, args.precision);
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
