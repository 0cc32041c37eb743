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

template <ActivationKind kind>
__device__ inline float activation_gradient(float grad, float x, bool from_input,
                                            const Activation& f) {
  // Where the derivative is written in terms of the output.
  const bool output = from_input && gradient_from_output(f);
  const float y = output ? function_of<kind>(x, f) : x;
  return grad * derivative_of<kind>(x, y, f);
}

template <int Width, class Blocks>
__device__ inline void run_rows(const Blocks& blocks, const ActivationBackward& args) {
  const bool from_input = args.in.data != nullptr;
  const Matrix<const float> known = from_input ? args.in : args.out;
  with_kind(args.activation.kind, [&]<ActivationKind kind>() {
    const Activation f = args.activation;
    for_elements<Width>(blocks, args.in_grad.rows, args.in_grad.columns, [&](auto n, auto c) {
      Floats<Width>::load(element(args.out_grad, n, c))
          .each(Floats<Width>::load(element(known, n, c)),
                [&](float grad, float x) {
                  return activation_gradient<kind>(grad, x, from_input, f);
                })
          .store(element(args.in_grad, n, c));
    });
  });
}

template <int Width, int kAhead, class Gradient>
__device__ inline void run_rows_ahead(const OneBlock& block, const ActivationBackward& args,
                                      const Matrix<const float>& known, const Gradient& gradient) {
  struct Loaded {
    Floats<Width> grad;
    Floats<Width> known;
  };
  const Matrix<const float> out_grad = args.out_grad;
  const Matrix<float> in_grad = args.in_grad;
  for_elements_ahead<Width, kAhead>(
      block, in_grad.rows, in_grad.columns,
      [&](auto n, auto c) {
        return Loaded{Floats<Width>::load(element(out_grad, n, c)),
                      Floats<Width>::load(element(known, n, c))};
      },
      [&](auto n, auto c, const Loaded& loaded) {
        loaded.grad.each(loaded.known, gradient).store(element(in_grad, n, c));
      });
}

__device__ inline void run_rows(const OneBlock& block, const ActivationBackward& args) {
  const bool from_input = args.in.data != nullptr;
  const Matrix<const float> known = from_input ? args.in : args.out;
  const Activation f = args.activation;
  // The most frequent: its derivative is the same for input and output.
  if (is_plain_relu(f) && in_fours(args.in_grad, args.out_grad, known)) {
    return run_rows_ahead<4, 2>(block, args, known,
                                [](float grad, float x) { return grad * (x > 0 ? 1.0F : 0.0F); });
  }
  with_kind(f.kind, [&]<ActivationKind kind>() {
    run_rows_ahead<1, 4>(block, args, known, [&](float grad, float x) {
      return activation_gradient<kind>(grad, x, from_input, f);
    });
  });
}

}  // namespace
}  // namespace braid::kernels
