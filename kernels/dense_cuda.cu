// A block owns a tile of the outputs and sums it over the whole depth, which it reads through
// shared memory, some stages ahead; a thread of 128 holds 4 to 32 outputs (dense_unrolled.hpp), or
// one of 256 its share of a warp's blocks of 16 x 8 (dense_matrix_units.hpp). A single column of
// outputs is one dot product for each row (dense_column.hpp). Large products go to the device's
// library, where there is one (dense_library.hpp).
#include "kernels/dense.hpp"

#include "kernels/dense_choice.hpp"
#include "kernels/dense_column.hpp"
#include "kernels/dense_library.hpp"
#include "kernels/simt/facade.hpp"

namespace braid::kernels {
namespace {

constexpr int kWarps = 4;
constexpr int kThreads = kWarps * 32;

template <int kRows>
__global__ void dense_column_kernel(DenseProduct args) {
  multiply_column<kRows>(AllBlocks{}, args);
}

template <int kRows>
void launch_column(const Stream& stream, const DenseProduct& args) {
  launch_kernel<dense_column_kernel<kRows>>(
      {.grid = blocks_for(args.rows, kWarps * kRows), .block = kThreads}, stream, args);
}

// b's elements are b_stride apart.
void launch_column(const Stream& stream, DenseProduct args) {
  constexpr std::int64_t kBusyBlocks = 8 * kMultiprocessors;
  find_alignment_of_column(args);
  if (args.rows <= kWarps * kBusyBlocks) return launch_column<1>(stream, args);
  launch_column<kRowsOfColumn>(stream, args);
}

}  // namespace

namespace BRAID_GPU {

void run(const Stream& stream, const DenseForward& args) {
  if (args.out.rows == 0 || args.out.columns == 0) return;
  const DenseProduct product = product_of(args);
  if (product.columns == 1) return launch_column(stream, product);
  if (run_by_library(stream, args)) return;
  launch_product<Neighbours::along_depth, Neighbours::across>(stream, product, args.precision);
}

void run(const Stream& stream, const DenseInputGradient& args) {
  if (args.in_grad.rows == 0 || args.in_grad.columns == 0) return;
  const DenseProduct product = product_of(args);
  if (product.columns == 1) return launch_column(stream, column_of_row(product));
  if (run_by_library(stream, args)) return;
  launch_product<Neighbours::along_depth, Neighbours::along_depth>(stream, product, args.precision);
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
