#pragma once
#include "kernels/backend.hpp"

namespace braid::kernels {

// out[n, c] = in[n, c] / (1 - rate) with probability 1 - rate, else 0; rate 1 gives zeros. Element
// (first_row + n) * columns + c decides by its own Philox number under (state->seed ^ salt,
// state->step), so the same elements fall in every split of the rows, and the backward pass is the
// same call on the gradient. A shared mask (Keras's noise_shape) is left to callers.
struct RandomState {
  std::uint64_t seed = 0;
  std::uint64_t step = 0;
};
struct Dropout {
  Matrix<const float> in;  // [N, C]  read
  Matrix<float> out;       // [N, C]  overwritten; may be `in`
  float rate = 0;
  const RandomState* state =
      nullptr;  // read; in the device's memory, so that steps can be replayed
  std::uint64_t salt = 0;
  std::int64_t first_row = 0;
};
BRAID_KERNEL(Dropout)

}  // namespace braid::kernels
