#pragma once
#include "kernels/lstm_gpu.hpp"
#include "kernels/simt/facade.hpp"

namespace braid::kernels {
namespace {

// out[u * 4 + gate, n] = weights[n, gate * H + u]; columns behind the last, up to whole fours, are
// 0. Thread `thread` of so many: it takes four units of one gate of a row, so that it uses what it
// reads and neighbours write side by side.
__device__ inline void transpose_gates(const Matrix<const float>& weights, float* out,
                                       std::int64_t thread, std::int64_t threads) {
  const std::int64_t units = weights.columns / 4;
  const std::int64_t stride = in_whole_fours(weights.rows);
  const std::int64_t fours = (units + 3) / 4;
  SIMT_NO_UNROLL
  for (std::int64_t i = thread; i < stride * 4 * fours; i += threads) {
    const std::int64_t n = i % stride;
    const std::int64_t gate = i / stride % 4;
    const std::int64_t first = i / stride / 4 * 4;
    SIMT_UNROLL
    for (int u = 0; u < 4; ++u) {
      if (first + u >= units) break;
      out[((first + u) * 4 + gate) * stride + n] =
          n < weights.rows ? weights.row(n)[gate * units + first + u] : 0.0F;
    }
  }
}

// Blocks of so many threads that are worth starting for it.
inline std::int64_t blocks_to_transpose(const Matrix<const float>& weights, std::int64_t threads) {
  const std::int64_t blocks = (weights.rows * weights.columns / 4 + threads - 1) / threads;
  return blocks < lstm_cut.multiprocessors ? blocks : lstm_cut.multiprocessors;
}

}  // namespace
}  // namespace braid::kernels
