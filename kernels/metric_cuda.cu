// Accuracy: a thread owns a row and walks its columns. Confusion counts: a block owns a threshold
// and looks at every element.
#include "kernels/metric.hpp"

#include "kernels/metric_rows.hpp"
#include "kernels/simt/facade.hpp"

namespace braid::kernels {
namespace {

constexpr int kThreads = 128;

__global__ void accuracy_kernel(AccuracyValues args) { run_rows(AllBlocks{}, args); }

template <int Lanes>
__global__ void confusion_counts_kernel(ConfusionCounts args) {
  const std::int64_t columns = args.predicted.columns;
  const std::int64_t count = args.predicted.rows * columns;
  const int lane = static_cast<int>(threadIdx.x) % Lanes;
  constexpr int kThresholds = kThreads / Lanes;  // of a block
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * kThresholds;
  for (std::int64_t k = static_cast<std::int64_t>(blockIdx.x) * kThresholds + threadIdx.x / Lanes;
       k < args.threshold_count; k += step) {
    LongSum sums[4] = {};  // in the order of the rows of `counts`
    for (std::int64_t i = lane; i < count; i += Lanes) {
      const std::int64_t n = i / columns;
      const std::int64_t c = i % columns;
      float weight = 1;
      if (args.weight.data != nullptr) {
        weight = args.weight.row(n)[args.weight.columns == 1 ? 0 : c];
      }
      const bool positive = args.truth.row(n)[c] != 0;
      const bool exceeds = args.predicted.row(n)[c] > args.thresholds[k];
      sums[0].add(positive && exceeds ? weight : 0.0F);
      sums[1].add(!positive && exceeds ? weight : 0.0F);
      sums[2].add(!positive && !exceeds ? weight : 0.0F);
      sums[3].add(positive && !exceeds ? weight : 0.0F);
    }
    for (int row = 0; row < 4; ++row) {
      LongSum sum = Lanes == 1 ? sums[row] : sum_of_warp(sums[row]);
      if (lane != 0) continue;
      float* const target = args.counts + row * args.threshold_count + k;
      if (args.accumulate) sum.add(*target);
      *target = sum.total();
    }
  }
}

}  // namespace

namespace BRAID_GPU {

void run(const Stream& stream, const AccuracyValues& args) {
  const std::int64_t rows = args.predicted.rows;
  if (rows > 0) launch_kernel<accuracy_kernel>(element_shape(rows), stream, args);
}

void run(const Stream& stream, const ConfusionCounts& args) {
  if (args.threshold_count == 0) return;
  constexpr std::int64_t kFew = 64;
  if (args.predicted.rows * args.predicted.columns <= kFew) {
    launch_kernel<confusion_counts_kernel<1>>(
        {.grid = blocks_for(args.threshold_count, kThreads), .block = kThreads}, stream, args);
  } else {
    launch_kernel<confusion_counts_kernel<32>>(
        {.grid = blocks_for(args.threshold_count, kThreads / 32), .block = kThreads}, stream, args);
  }
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
