#include <algorithm>

#include "bench/device_problems.hpp"

namespace bench {

using namespace braid;
using kernels::LstmBackward;
using kernels::LstmForward;
using kernels::LstmShape;

namespace {

// Inputs that are multiplied with the kernel: those of all steps, or all that there can be.
std::int64_t inputs_of(const LstmSize& size, std::int64_t valid) {
  return size.words > 0 ? std::min(valid, size.words) : valid;
}

// A step of a row projects its inputs and its last output; a backward pass does the same to both
// and to the weights of both.
double operations_of(const LstmSize& size, std::int64_t valid, bool both) {
  const auto of_inputs = static_cast<double>(inputs_of(size, valid) * size.features);
  const auto of_units = static_cast<double>(valid * size.units);
  return (both ? 3 : 1) * 8 * static_cast<double>(size.units) * (of_inputs + of_units);
}

struct Shared {
  LstmForward forward;
  std::int64_t valid = 0;
};

Shared shared_part(Operands& on, const LstmSize& size) {
  const LstmShape shape{size.rows, size.steps, size.features, size.units};
  Shared all;
  all.forward.shape = shape;
  if (size.words > 0) {
    all.forward.ids = on.ids(size.rows, size.steps, size.words);
    all.forward.table = on.floats(size.words, size.features);
  } else {
    all.forward.in = on.floats(size.rows * size.steps, size.features);
  }
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
  return 4.0 * (static_cast<double>(inputs_of(size, valid) * size.features) +
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
  LstmBackward backward{
      .shape = shape,
      .in = all.forward.in,
      .ids = all.forward.ids,
      .table = all.forward.table,
      .mask = all.forward.mask,
      .kernel = all.forward.kernel,
      .recurrent = all.forward.recurrent,
      .saved = all.forward.saved,
      .last_output_grad = on.floats(size.rows, size.units),
      .kernel_grad = on.floats(size.features, 4 * size.units),
      .recurrent_grad = on.floats(size.units, 4 * size.units),
      .bias_grad = on.vector(4 * size.units),
      .scratch =
          on.bytes(static_cast<std::size_t>(kernels::lstm_backward_scratch(shape, size.words))),
      .precision = on.precision()};
  kernels::EmbeddingSort sort{
      .ids = all.forward.ids, .mask = all.forward.mask, .vocabulary = size.words};
  if (size.words > 0) {
    const std::int64_t tokens = size.rows * size.steps;
    const std::int64_t scratch = kernels::embedding_sort_scratch(tokens, size.words);
    if (scratch > 0) sort.scratch = on.ids(1, scratch, 2).data;
    sort.order = on.ids(1, tokens, 2).data;
    sort.segments = on.ids(1, size.words + 1, 2).data;
    backward.table_grad = on.floats(size.words, size.features);
    backward.order = sort.order;
    backward.segments = sort.segments;
  } else {
    backward.in_grad = on.floats(size.rows * size.steps, size.features);
  }
  effort.operations = operations_of(size, all.valid, true);
  effort.precision = on.precision();
  // Inputs and weights are read in both directions, and their gradients written; what is kept in
  // between could be computed again.
  effort.bytes = 3 * bytes_of(size, all.valid);
  effort.steps = size.steps;
  return [forward = all.forward, backward, sort](const kernels::Stream& stream) {
    if (sort.ids) kernels::launch(stream, sort);
    kernels::launch(stream, forward);
    kernels::launch(stream, backward);
  };
}

}  // namespace bench
