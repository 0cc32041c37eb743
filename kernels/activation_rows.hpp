#pragma once
#include "kernels/activation.hpp"
#include "kernels/functions.hpp"
#include "kernels/simt/elements.hpp"

// A thread takes Width neighbouring elements.
namespace braid::kernels {
namespace {

template <int Width = 1, class Blocks>
__device__ inline void run_rows(const Blocks& blocks, const ActivationForward& args) {
  with_kind(args.activation.kind, [&]<ActivationKind kind>() {
    for_elements<Width>(blocks, args.in.rows, args.in.columns, [&](auto n, auto c) {
      Floats<Width>::load(element(args.in, n, c))
          .each([&](float x) { return function_of<kind>(x, args.activation); })
          .store(element(args.out, n, c));
    });
  });
}

template <int Width = 1, class Blocks>
__device__ inline void run_rows(const Blocks& blocks, const ActivationBackward& args) {
  const bool from_input = args.in.data != nullptr;
  const Matrix<const float> known = from_input ? args.in : args.out;
  with_kind(args.activation.kind, [&]<ActivationKind kind>() {
    const Activation f = args.activation;
    for_elements<Width>(blocks, args.in_grad.rows, args.in_grad.columns, [&](auto n, auto c) {
      Floats<Width>::load(element(args.out_grad, n, c))
          .each(Floats<Width>::load(element(known, n, c)),
                [&](float grad, float x) {
                  // Where the derivative is written in terms of the
                  // output.
                  const bool output = from_input && gradient_from_output(f);
                  const float y = output ? function_of<kind>(x, f) : x;
                  return grad * derivative_of<kind>(x, y, f);
                })
          .store(element(args.in_grad, n, c));
    });
  });
}

}  // namespace
}  // namespace braid::kernels
