// A warp copies a row of the table. Going back, rows are summed by their ids (segment_sums.hpp): no
// atomics, a fixed order. Lanes walk the columns, four floats at a time where rows are aligned.
#include "kernels/embedding.hpp"

#include "kernels/segment_sums.hpp"
#include "kernels/simt/facade.hpp"
#include "kernels/simt/rows.hpp"

namespace braid::kernels {
namespace {

constexpr int kWarps = 4;
constexpr int kThreads = kWarps * 32;

template <int Width>
__global__ void embedding_forward_kernel(EmbeddingForward args) {
  const std::int64_t rows = args.ids.rows * args.ids.columns;
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * kWarps;
  const int first_column = static_cast<int>(threadIdx.x % 32) * Width;
  for (std::int64_t n = blockIdx.x * kWarps + threadIdx.x / 32; n < rows; n += step) {
    const std::int32_t id = args.ids.row(n / args.ids.columns)[n % args.ids.columns];
    const bool known = id >= 0 && id < args.table.rows;
    const float* source = args.table.row(known ? id : 0);
    float* target = args.out.row(n);
    for (std::int64_t c = first_column; c < args.table.columns; c += 32 * Width) {
      if (known) {
        Floats<Width>::load(source + c).store(target + c);
      } else {
        for (int i = 0; i < Width; ++i) target[c + i] = NAN;
      }
    }
  }
}

template <int Width>
__global__ void __launch_bounds__(kThreadsOfSums, 3)
    embedding_backward_kernel(SortedPositions sorted, EmbeddingBackward args) {
  sum_segments<Width>(
      sorted, args.out_grad, [](std::int32_t position) { return position; }, args.table_grad,
      args.scratch, false);
}

template <int Width>
void sum_rows_of_ids(const Stream& stream, const SortedPositions& sorted,
                     const EmbeddingBackward& args) {
  constexpr auto kKernel = embedding_backward_kernel<Width>;
  launch_cooperative<kKernel>(sums_launch<kKernel>(sorted, args.table_grad.columns, Width), stream,
                              sorted, args);
}

}  // namespace

namespace BRAID_GPU {

void run(const Stream& stream, const EmbeddingForward& args) {
  const std::int64_t rows = args.ids.rows * args.ids.columns;
  if (rows == 0 || args.table.columns == 0) return;
  const LaunchShape shape{.grid = blocks_for(rows, kWarps), .block = kThreads};
  if (in_fours(args.table, args.out)) {
    launch_kernel<embedding_forward_kernel<4>>(shape, stream, args);
  } else {
    launch_kernel<embedding_forward_kernel<1>>(shape, stream, args);
  }
}

void run(const Stream& stream, const EmbeddingBackward& args) {
  if (args.last <= args.first || args.table_grad.columns == 0) return;
  const std::int64_t positions = args.ids.rows * args.ids.columns;
  const SortedPositions sorted{args.ids,      args.order,
                               args.segments, args.first,
                               args.last,     static_cast<int>(embedding_piece(positions))};
  if (in_fours(args.out_grad, args.table_grad)) {
    sum_rows_of_ids<4>(stream, sorted, args);
  } else {
    sum_rows_of_ids<1>(stream, sorted, args);
  }
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
