#pragma once
#include "kernels/lstm.hpp"
#include "tests/support/planned_launches.hpp"

// Arguments of the LSTM for launches that are planned alone.
namespace braid::testing {

inline kernels::LstmForward planned_forward(const kernels::LstmShape& shape, bool masked) {
  const std::int64_t tokens = shape.rows * shape.steps;
  kernels::LstmForward arguments{.shape = shape};
  arguments.in = matrix<const float>(tokens, shape.features);
  if (masked) arguments.mask = matrix<const std::uint8_t>(shape.rows, shape.steps);
  arguments.kernel = matrix<const float>(shape.features, 4 * shape.units);
  arguments.recurrent = matrix<const float>(shape.units, 4 * shape.units);
  arguments.bias = nowhere<float>();
  arguments.sequence = matrix(tokens, shape.units);
  arguments.last_h = arguments.last_c = matrix(shape.rows, shape.units);
  arguments.saved = nowhere<float>();
  arguments.scratch = nowhere<void>();
  return arguments;
}
inline kernels::LstmBackward planned_backward(const kernels::LstmShape& shape, bool masked) {
  const kernels::LstmForward from = planned_forward(shape, masked);
  kernels::LstmBackward arguments{.shape = shape};
  arguments.in = from.in;
  arguments.mask = from.mask;
  arguments.kernel = from.kernel;
  arguments.recurrent = from.recurrent;
  arguments.saved = from.saved;
  arguments.sequence_grad = from.sequence;
  arguments.in_grad = matrix(shape.rows * shape.steps, shape.features);
  arguments.kernel_grad = matrix(shape.features, 4 * shape.units);
  arguments.recurrent_grad = matrix(shape.units, 4 * shape.units);
  arguments.bias_grad = nowhere<float>();
  arguments.scratch = nowhere<void>();
  return arguments;
}

}  // namespace braid::testing
