// The gradients of the pre-activations, summed by the ids of their tokens. What they are multiplied
// with follows from the id alone, so that the sums take the place of the tokens in the products.
#include "kernels/lstm_gpu.hpp"
#include "kernels/segment_sums.hpp"
#include "kernels/simt/facade.hpp"

namespace braid::kernels {
namespace {

__global__ void __launch_bounds__(kThreadsOfSums, 3)
    lstm_id_sums_kernel(LstmBackwardSlice slice, SortedPositions sorted) {
  const LstmTokens& tokens = slice.tokens;
  const std::int64_t wide = 4 * slice.args.shape.units;
  const std::int32_t positions = tokens.rows * tokens.steps;
  const auto token_of = [&](std::int32_t position) {
    const std::int32_t own = position - slice.first_position;
    return own >= 0 && own < positions ? tokens.token_at(own) : -1;
  };
  sum_segments<4>(sorted, {slice.z_grad, positions, wide, wide}, token_of,
                  {slice.by_ids, sorted.last, wide, wide}, slice.shared_sums,
                  slice.first_position > 0);
}

}  // namespace

namespace BRAID_GPU {

void sum_lstm_gradients(const Stream& stream, const LstmBackwardSlice& slice,
                        const Matrix<const std::int32_t>& all_ids) {
  const LstmBackward& args = slice.args;
  const std::int64_t positions = all_ids.rows * all_ids.columns;
  const SortedPositions sorted{.ids = all_ids,
                               .order = args.order,
                               .segments = args.segments,
                               .last = args.table_grad.rows,
                               .piece = static_cast<int>(embedding_piece(positions))};
  launch_cooperative<lstm_id_sums_kernel>(
      sums_launch<lstm_id_sums_kernel>(sorted, 4 * args.shape.units, 4), stream, slice, sorted);
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
