#include "kernels/lstm.hpp"

#include "kernels/lstm_layout.hpp"

namespace braid::kernels {

std::int64_t lstm_saved_per_row(const LstmShape& shape) { return lstm_saved_floats(shape); }

std::int64_t lstm_forward_scratch(const LstmShape& shape) {
  return lstm_scratch_layout(shape, false).bytes;
}

std::int64_t lstm_backward_scratch(const LstmShape& shape) {
  return lstm_scratch_layout(shape, true).bytes;
}

}  // namespace braid::kernels
