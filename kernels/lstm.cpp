#include "kernels/lstm.hpp"

#include <algorithm>

#include "kernels/lstm_gpu.hpp"
#include "kernels/lstm_layout.hpp"

namespace braid::kernels {

std::int64_t lstm_saved_per_row(const LstmShape& shape) {
  return std::max(lstm_saved_floats(shape), lstm_gpu_saved_floats(shape));
}

std::int64_t lstm_forward_scratch(const LstmShape& shape) {
  return std::max(lstm_scratch_layout(shape, false).bytes, lstm_forward_places(shape).bytes);
}

std::int64_t lstm_backward_scratch(const LstmShape& shape, std::int64_t table_rows) {
  const std::int64_t inputs = table_rows > 0 ? lstm_input_bytes(shape) : 0;
  return std::max(lstm_scratch_layout(shape, true).bytes + inputs,
                  lstm_backward_places(shape, table_rows).bytes);
}

}  // namespace braid::kernels
