// A thread takes four neighbouring elements where rows are aligned, else one.
#include "kernels/activation.hpp"

#include "kernels/activation_rows.hpp"
#include "kernels/simt/facade.hpp"

namespace braid::kernels {
namespace {

template <int Width>
__global__ void activation_forward_kernel(ActivationForward args) {
  run_rows<Width>(AllBlocks{}, args);
}

template <int Width>
__global__ void activation_backward_kernel(ActivationBackward args) {
  run_rows<Width>(AllBlocks{}, args);
}

}  // namespace

namespace BRAID_GPU {

void run(const Stream& stream, const ActivationForward& given) {
  ActivationForward args = given;
  flatten(args.in, args.out);
  const std::int64_t count = args.in.rows * args.in.columns;
  launch_elements<activation_forward_kernel<4>, activation_forward_kernel<1>>(
      stream, args, count, in_fours(args.in, args.out));
}

void run(const Stream& stream, const ActivationBackward& given) {
  ActivationBackward args = given;
  flatten(args.in, args.out, args.out_grad, args.in_grad);
  const std::int64_t count = args.in_grad.rows * args.in_grad.columns;
  launch_elements<activation_backward_kernel<4>, activation_backward_kernel<1>>(
      stream, args, count, in_fours(args.in, args.out, args.out_grad, args.in_grad));
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
