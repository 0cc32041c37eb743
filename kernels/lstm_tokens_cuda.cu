// Finds the valid steps. A warp counts those of a row; a second launch gives each row its tokens,
// one warp a row: the sum over all rows before it says where they start, comparisons with the rows
// of its piece at which place of the order it stands. No atomics, no barriers.
#include "kernels/lstm_gpu.hpp"
#include "kernels/simt/facade.hpp"

namespace braid::kernels {
namespace {

constexpr int kWarps = 8;
constexpr int kThreads = kWarps * 32;
constexpr unsigned kAll = 0xFFFFFFFFU;

__device__ inline int total_of_warp(int value) {
  for (int offset = 16; offset > 0; offset /= 2) value += __shfl_xor_sync(kAll, value, offset);
  return value;
}

__global__ void lstm_count_kernel(Matrix<const std::uint8_t> mask, LstmTokens tokens) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int step = static_cast<int>(gridDim.x) * kWarps;
  for (int row = static_cast<int>(blockIdx.x * kWarps + threadIdx.x / 32); row < tokens.rows;
       row += step) {
    const std::uint8_t* valid = mask.row(row);
    int count = 0;
    for (int t = lane; t < tokens.steps; t += 32) count += valid[t] != 0 ? 1 : 0;
    count = total_of_warp(count);
    if (lane == 0) tokens.counts[row] = count;
  }
}

__global__ void lstm_tokens_kernel(Matrix<const std::uint8_t> mask, LstmTokens tokens) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int step = static_cast<int>(gridDim.x) * kWarps;
  const std::int32_t* counts = tokens.counts;
  for (int row = static_cast<int>(blockIdx.x * kWarps + threadIdx.x / 32); row < tokens.rows;
       row += step) {
    const int own = counts[row];
    int before = 0;
    for (int r = lane; r < row; r += 32) before += counts[r];
    before = total_of_warp(before);

    const int piece = row / static_cast<int>(kSortedRows) * static_cast<int>(kSortedRows);
    const int end = min(piece + static_cast<int>(kSortedRows), tokens.rows);
    int rank = 0;
    for (int r = piece + lane; r < end; r += 32) {
      rank += counts[r] > own || (counts[r] == own && r < row) ? 1 : 0;
    }
    rank = total_of_warp(rank);
    if (lane == 0) {
      tokens.first[row] = before;
      tokens.order[piece + rank] = row;
      if (row == tokens.rows - 1) tokens.first[row + 1] = before + own;
    }

    const std::uint8_t* valid = mask.row(row);
    int found = 0;
    for (int first = 0; first < tokens.steps; first += 32) {
      const int k = first + lane;
      const int t = tokens.go_backwards ? tokens.steps - 1 - k : k;
      const bool is_token = k < tokens.steps && valid[t] != 0;
      const unsigned votes = __ballot_sync(kAll, is_token ? 1 : 0);
      const int place = found + __popc(votes & ((1U << static_cast<unsigned>(lane)) - 1U));
      if (is_token) {
        tokens.positions[before + place] = static_cast<std::uint32_t>(row * tokens.steps + t) |
                                           (place == 0 ? LstmTokens::kRowStart : 0U);
      }
      found += __popc(votes);
    }
  }
}

}  // namespace

namespace BRAID_GPU {

void find_lstm_tokens(const Stream& stream, Matrix<const std::uint8_t> mask,
                      const LstmTokens& tokens) {
  if (tokens.positions == nullptr) return;
  const LaunchShape shape{.grid = blocks_for(tokens.rows, kWarps), .block = kThreads};
  launch_kernel<lstm_count_kernel>(shape, stream, mask, tokens);
  launch_kernel<lstm_tokens_kernel>(shape, stream, mask, tokens);
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
