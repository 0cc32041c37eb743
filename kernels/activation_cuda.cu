// A thread takes four neighbouring elements where rows are aligned, else one.
#include "kernels/activation.hpp"

#include "kernels/functions.hpp"
#include "kernels/simt/elements.hpp"
#include "kernels/simt/facade.hpp"

namespace braid::kernels {
namespace {

template <int Width>
__global__ void activation_forward_kernel(ActivationForward args) {
  with_kind(args.activation.kind, [&]<ActivationKind kind>() {
    for_elements<Width>(args.in.rows, args.in.columns, [&](std::int64_t n, std::int64_t c) {
      Floats<Width>::load(args.in.row(n) + c)
          .each([&](float x) { return function_of<kind>(x, args.activation); })
          .store(args.out.row(n) + c);
    });
  });
}

template <int Width>
__global__ void activation_backward_kernel(ActivationBackward args) {
  const bool from_input = args.in.data != nullptr;
  const Matrix<const float> known = from_input ? args.in : args.out;
  with_kind(args.activation.kind, [&]<ActivationKind kind>() {
    const Activation f = args.activation;
    for_elements<Width>(args.in_grad.rows, args.in_grad.columns,
                        [&](std::int64_t n, std::int64_t c) {
                          Floats<Width>::load(args.out_grad.row(n) + c)
                              .each(Floats<Width>::load(known.row(n) + c),
                                    [&](float grad, float x) {
                                      // Where the derivative is written in terms of the output.
                                      const bool output = from_input && gradient_from_output(f);
                                      const float y = output ? function_of<kind>(x, f) : x;
                                      return grad * derivative_of<kind>(x, y, f);
                                    })
                              .store(args.in_grad.row(n) + c);
                        });
  });
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
