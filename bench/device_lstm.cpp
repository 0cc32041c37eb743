#include "bench/device_problems.hpp"

namespace bench {

using namespace braid;
using kernels::LstmBackward;
using kernels::LstmForward;
using kernels::LstmShape;

namespace {

// A step of a row projects its inputs and its last output; a backward pass does the same to both
// and to the weights of both.
double operations_of(const LstmSize& size, std::int64_t valid, bool both) {
  const auto gates = static_cast<double>(8 * valid * size.units);
  const auto inputs = static_cast<double>(size.features);
  const auto units = static_cast<double>(size.units);
  return (both ? 3 : 1) * gates * (inputs + units);
}

struct Shared {
  LstmForward forward;
  std::int64_t valid = 0;
};

Shared shared_part(Operands& on, const LstmSize& size) {
  const LstmShape shape{size.rows, size.steps, size.features, size.units};
  Shared all;
  all.forward.shape = shape;
  all.forward.in = on.floats(size.rows * size.steps, size.features);
  all.forward.mask = on.mask(size.rows, size.steps, size.ragged, &all.valid);
  if (!size.ragged) all.forward.mask = {};
  all.forward.kernel = on.floats(size.features, 4 * size.units, -0.1F, 0.1F);
  all.forward.recurrent = on.floats(size.units, 4 * size.units, -0.1F, 0.1F);
  all.forward.bias = on.vector(4 * size.units, -0.1F, 0.1F);
  all.forward.last_output = on.floats(size.rows, size.units);
  all.forward.saved = on.vector(size.rows * kernels::lstm_saved_per_row(shape));
  all.forward.precision = on.precision();
  all.forward.scratch = on.bytes(static_cast<std::size_t>(kernels::lstm_forward_scratch(shape)));
  return all;
}

double bytes_of(const LstmSize& size, std::int64_t valid) {
  return 4.0 * (static_cast<double>(valid * size.features) +
                static_cast<double>(4 * size.units * (size.features + size.units)));
}

}  // namespace

Launch lstm_forward(Operands& on, const LstmSize& size, Effort& effort) {
  const Shared all = shared_part(on, size);
  effort.operations = operations_of(size, all.valid, false);
  effort.precision = on.precision();
  effort.bytes = bytes_of(size, all.valid);
  effort.steps = size.steps;
  return
      [forward = all.forward](const kernels::Stream& stream) { kernels::launch(stream, forward); };
}

Launch lstm_both(Operands& on, const LstmSize& size, Effort& effort) {
  const Shared all = shared_part(on, size);
  const LstmShape& shape = all.forward.shape;
  const LstmBackward backward{
      .shape = shape,
      .in = all.forward.in,
      .mask = all.forward.mask,
      .kernel = all.forward.kernel,
      .recurrent = all.forward.recurrent,
      .saved = all.forward.saved,
      .last_output_grad = on.floats(size.rows, size.units),
      .in_grad = on.floats(size.rows * size.steps, size.features),
      .kernel_grad = on.floats(size.features, 4 * size.units),
      .recurrent_grad = on.floats(size.units, 4 * size.units),
      .bias_grad = on.vector(4 * size.units),
      .scratch = on.bytes(static_cast<std::size_t>(kernels::lstm_backward_scratch(shape))),
      .precision = on.precision()};
  effort.operations = operations_of(size, all.valid, true);
  effort.precision = on.precision();
  // Inputs and weights are read in both directions, and their gradients written; what is kept in
  // between could be computed again.
  effort.bytes = 3 * bytes_of(size, all.valid);
  effort.steps = size.steps;
  return [forward = all.forward, backward](const kernels::Stream& stream) {
    kernels::launch(stream, forward);
    kernels::launch(stream, backward);
  };
}

}  // namespace bench
