#include "kernels/activation.hpp"

#include "kernels/functions.hpp"

namespace braid::kernels {
namespace BRAID_CPU {

void run(const ActivationForward& args) {
  const bool packed = args.in.packed() && args.out.packed();
  const std::int64_t rows = packed ? 1 : args.in.rows;
  const std::int64_t columns = packed ? args.in.rows * args.in.columns : args.in.columns;
  with_kind(args.activation.kind, [&]<ActivationKind kind>() {
    const Activation f = args.activation;
    for (std::int64_t n = 0; n < rows; ++n) {
      const float* in = args.in.row(n);
      float* out = args.out.row(n);
#pragma GCC ivdep
      for (std::int64_t c = 0; c < columns; ++c) out[c] = function_of<kind>(in[c], f);
    }
  });
}

void run(const ActivationBackward& args) {
  const Matrix<const float>& known = args.in ? args.in : args.out;
  const bool packed = known.packed() && args.out_grad.packed() && args.in_grad.packed();
  const std::int64_t rows = packed ? 1 : args.out_grad.rows;
  const std::int64_t columns =
      packed ? args.out_grad.rows * args.out_grad.columns : args.out_grad.columns;
  with_kind(args.activation.kind, [&]<ActivationKind kind>() {
    const Activation f = args.activation;
    const bool from_input = static_cast<bool>(args.in);
    for (std::int64_t n = 0; n < rows; ++n) {
      const float* x = known.row(n);
      const float* out_grad = args.out_grad.row(n);
      float* in_grad = args.in_grad.row(n);
      if (from_input) {
#pragma GCC ivdep
        for (std::int64_t c = 0; c < columns; ++c) {
          // Functions whose derivative is written in terms of the output get it from the input
          // here.
          const float y = gradient_from_output(f) ? function_of<kind>(x[c], f) : 0.0F;
          in_grad[c] = out_grad[c] * derivative_of<kind>(x[c], y, f);
        }
      } else {
#pragma GCC ivdep
        for (std::int64_t c = 0; c < columns; ++c)
          in_grad[c] = out_grad[c] * derivative_of<kind>(x[c], x[c], f);
      }
    }
  });
}

}  // namespace BRAID_CPU
}  // namespace braid::kernels
