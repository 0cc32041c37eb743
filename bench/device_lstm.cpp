#include "bench/device_lstm.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace bench {

using namespace braid;
using kernels::LstmBackward;
using kernels::LstmForward;
using kernels::LstmShape;

namespace {

constexpr std::int64_t kNumbers = 1009;  // a prime: rows begin at different ones

// Results need no numbers beforehand.
float* room(Operands& on, std::int64_t count) {
  return reinterpret_cast<float*>(on.bytes(static_cast<std::size_t>(count) * sizeof(float)));
}
Matrix<float> room(Operands& on, std::int64_t rows, std::int64_t columns) {
  return {room(on, rows * columns), rows, columns, columns};
}

std::vector<float> drawn_numbers(Operands& on) {
  return on.values_of(on.vector(kNumbers), kNumbers);
}

std::vector<float> repeated(const std::vector<float>& numbers, std::int64_t count) {
  std::vector<float> values(static_cast<std::size_t>(count));
  const std::size_t own = numbers.size();
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = i < own ? numbers[i] : values[i - own];
  return values;
}

std::vector<std::int32_t> lengths_of(const Operands& on, const Matrix<std::uint8_t>& mask) {
  const std::vector<std::uint8_t> valid = on.values_of(mask.data, mask.rows * mask.columns);
  std::vector<std::int32_t> lengths;
  for (auto row = valid.begin(); row != valid.end(); row += mask.columns)
    lengths.push_back(std::accumulate(row, row + mask.columns, 0));
  return lengths;
}

LstmForward forward_part(Operands& on, LstmLayer& layer) {
  const LstmSize& size = layer.size;
  const LstmShape shape{size.rows, size.steps, size.features, size.units};
  LstmForward forward{.shape = shape};
  if (size.words > 0) {
    forward.ids = on.ids(size.rows, size.steps, size.words);
    forward.table = on.floats(size.words, size.features);
  } else {
    layer.in_numbers = drawn_numbers(on);
    const std::int64_t tokens = size.rows * size.steps;
    forward.in = {on.copy_of(repeated(layer.in_numbers, tokens * size.features)), tokens,
                  size.features, size.features};
  }
  const Matrix<std::uint8_t> mask = on.mask(size.rows, size.steps, size.ragged);
  layer.lengths = lengths_of(on, mask);
  if (size.ragged) forward.mask = mask;
  // So small that the numbers of a step do not grow with the units.
  const float limit = 1 / std::sqrt(static_cast<float>(size.units));
  forward.kernel = on.floats(size.features, 4 * size.units, -limit, limit);
  forward.recurrent = on.floats(size.units, 4 * size.units, -limit, limit);
  forward.bias = on.vector(4 * size.units, -limit, limit);
  if (size.sequence) {
    forward.sequence = room(on, size.rows * size.steps, size.units);
  } else {
    forward.last_output = room(on, size.rows, size.units);
  }
  forward.saved = room(on, size.rows * kernels::lstm_saved_per_row(shape));
  forward.precision = on.precision();
  forward.scratch = on.bytes(static_cast<std::size_t>(kernels::lstm_forward_scratch(shape)));
  return forward;
}

Matrix<const float> sequence_grad(Operands& on, LstmLayer& layer) {
  const LstmSize& size = layer.size;
  layer.grad_numbers = drawn_numbers(on);
  const std::int64_t tokens = size.rows * size.steps;
  std::vector<float> values = repeated(layer.grad_numbers, tokens * size.units);
  for (std::int64_t row = 0; row < size.rows; ++row) {
    const std::int64_t length = layer.lengths[static_cast<std::size_t>(row)];
    std::fill(values.begin() + (row * size.steps + length) * size.units,
              values.begin() + (row + 1) * size.steps * size.units, 0.0F);
  }
  return {on.copy_of(values), tokens, size.units, size.units};
}

LstmBackward backward_part(Operands& on, LstmLayer& layer) {
  const LstmSize& size = layer.size;
  const LstmForward& forward = layer.forward;
  LstmBackward backward{.shape = forward.shape,
                        .in = forward.in,
                        .ids = forward.ids,
                        .table = forward.table,
                        .mask = forward.mask,
                        .kernel = forward.kernel,
                        .recurrent = forward.recurrent,
                        .saved = forward.saved,
                        .kernel_grad = room(on, size.features, 4 * size.units),
                        .recurrent_grad = room(on, size.units, 4 * size.units),
                        .bias_grad = room(on, 4 * size.units),
                        .scratch = on.bytes(static_cast<std::size_t>(
                            kernels::lstm_backward_scratch(forward.shape, size.words))),
                        .precision = on.precision()};
  if (size.sequence) {
    backward.sequence_grad = sequence_grad(on, layer);
  } else {
    backward.last_output_grad = on.floats(size.rows, size.units);
  }
  if (size.words > 0) {
    layer.sort = {.ids = forward.ids, .mask = forward.mask, .vocabulary = size.words};
    const std::int64_t tokens = size.rows * size.steps;
    const std::int64_t scratch = kernels::embedding_sort_scratch(tokens, size.words);
    if (scratch > 0) layer.sort.scratch = on.ids(1, scratch, 2).data;
    layer.sort.order = on.ids(1, tokens, 2).data;
    layer.sort.segments = on.ids(1, size.words + 1, 2).data;
    backward.table_grad = room(on, size.words, size.features);
    backward.order = layer.sort.order;
    backward.segments = layer.sort.segments;
  } else {
    backward.in_grad = room(on, size.rows * size.steps, size.features);
  }
  return backward;
}

}  // namespace

LstmLayer lstm_layer(Operands& on, const LstmSize& size, Passes passes) {
  LstmLayer layer{.size = size};
  layer.forward = forward_part(on, layer);
  if (passes == Passes::both) layer.backward = backward_part(on, layer);
  return layer;
}

Launch launch_of(const LstmLayer& layer, Passes passes) {
  if (passes == Passes::forward) {
    return [forward = layer.forward](const kernels::Stream& stream) {
      kernels::launch(stream, forward);
    };
  }
  return [forward = layer.forward, sort = layer.sort,
          backward = layer.backward](const kernels::Stream& stream) {
    if (sort.ids) kernels::launch(stream, sort);
    kernels::launch(stream, forward);
    kernels::launch(stream, backward);
  };
}

Effort effort_of(const LstmLayer& layer, Passes passes) {
  const LstmSize& size = layer.size;
  const bool both = passes == Passes::both;
  const std::int64_t valid =
      std::accumulate(layer.lengths.begin(), layer.lengths.end(), std::int64_t{0});
  // Inputs that are multiplied with the kernel: those of all steps, or all that there can be.
  const std::int64_t inputs = size.words > 0 ? std::min(valid, size.words) : valid;
  const auto of_inputs = static_cast<double>(inputs * size.features);
  const auto of_units = static_cast<double>(valid * size.units);
  const auto weights = static_cast<double>(4 * size.units * (size.features + size.units));
  Effort effort;
  // A step of a row projects its inputs and its last output; a backward pass does the same to both
  // and to the weights of both.
  effort.operations = (both ? 3 : 1) * 8 * static_cast<double>(size.units) * (of_inputs + of_units);
  effort.precision = layer.forward.precision;
  // Inputs and weights are read in both directions, and their gradients written; outputs of all
  // steps are written, and their gradients read. What is kept in between could be computed again.
  effort.bytes = 4 * ((both ? 3 : 1) * (of_inputs + weights) +
                      (size.sequence ? (both ? 2 : 1) * of_units : 0.0));
  effort.steps = size.steps;
  return effort;
}

Launch lstm_forward(Operands& on, const LstmSize& size, Effort& effort) {
  const LstmLayer layer = lstm_layer(on, size, Passes::forward);
  effort = effort_of(layer, Passes::forward);
  return launch_of(layer, Passes::forward);
}

Launch lstm_both(Operands& on, const LstmSize& size, Effort& effort) {
  const LstmLayer layer = lstm_layer(on, size, Passes::both);
  effort = effort_of(layer, Passes::both);
  return launch_of(layer, Passes::both);
}

}  // namespace bench
