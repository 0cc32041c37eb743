// A warp owns the columns of one row, or of one group of a row where the axis is not the last.
#include "kernels/softmax.hpp"

#include "kernels/simt/facade.hpp"
#include "kernels/softmax_rows.hpp"

namespace braid::kernels {
namespace {

constexpr int kWarps = 4;
constexpr int kThreads = kWarps * 32;

__global__ void softmax_forward_kernel(SoftmaxForward args) { run_rows(AllBlocks{}, args); }
__global__ void softmax_backward_kernel(SoftmaxBackward args) { run_rows(AllBlocks{}, args); }

template <class Arguments>
LaunchShape shape_of(const Arguments& args) {
  return {.grid = blocks_for(args.out.rows * args.inner, kWarps), .block = kThreads};
}

}  // namespace

namespace BRAID_GPU {

void run(const Stream& stream, const SoftmaxForward& args) {
  if (args.in.rows == 0 || args.in.columns == 0 || args.inner == 0) return;
  launch_kernel<softmax_forward_kernel>(shape_of(args), stream, args);
}

void run(const Stream& stream, const SoftmaxBackward& args) {
  if (args.out.rows == 0 || args.out.columns == 0 || args.inner == 0) return;
  launch_kernel<softmax_backward_kernel>(shape_of(args), stream, args);
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
