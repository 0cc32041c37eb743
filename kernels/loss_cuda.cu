// A warp owns a row, of few classes some of its lanes, of one column a thread; sums over rows are
// one block's, over many rows those of many blocks.
#include "kernels/loss.hpp"

#include "kernels/elementwise.hpp"
#include "kernels/loss_rows.hpp"
#include "kernels/simt/facade.hpp"

namespace braid::kernels {
namespace {

constexpr int kWarps = 4;

LaunchShape shape_of(const LossRule& rule, const Matrix<const float>& predicted) {
  if (!is_categorical(rule.kind) && predicted.columns == 1) return element_shape(predicted.rows);
  const int lanes = is_categorical(rule.kind) ? lanes_of_classes(predicted.columns) : 32;
  return {.grid = blocks_for(predicted.rows, kWarps * 32 / lanes), .block = kWarps * 32};
}

__global__ void elementwise_loss_kernel(LossForward args) { elementwise_loss(AllBlocks{}, args); }

__global__ void elementwise_loss_gradient_kernel(LossBackward args) {
  elementwise_loss_gradient(AllBlocks{}, args);
}

__global__ void categorical_loss_kernel(LossForward args) { categorical_loss(AllBlocks{}, args); }

__global__ void categorical_loss_gradient_kernel(LossBackward args) {
  categorical_loss_gradient(AllBlocks{}, args);
}

__global__ void weighted_sum_kernel(WeightedSum args) { run_rows(AllBlocks{}, args); }

// Sums of the values first, those of the weights behind them.
__global__ void weighted_sum_parts_kernel(WeightedSum args, LongSum* parts) {
  const AllBlocks blocks{};
  WeightedTotal total = weighted_total<std::int64_t>(
      args, blocks.number() * kElementThreads + blocks.thread(), blocks.count() * kElementThreads);
  total.values = sum_of_block(total.values);
  if (args.with_weights) total.weights = sum_of_block(total.weights);
  if (threadIdx.x != 0) return;
  parts[blockIdx.x] = total.values;
  parts[gridDim.x + blockIdx.x] = total.weights;
}

__global__ void weighted_sum_join_kernel(WeightedSum args, const LongSum* parts,
                                         std::int64_t count) {
  const WeightedTotal total{sum_of_parts(parts, count), sum_of_parts(parts + count, count)};
  if (threadIdx.x == 0) give_total(args, total);
}

}  // namespace

namespace BRAID_GPU {

void run(const Stream& stream, const LossForward& args) {
  if (args.predicted.rows == 0) return;
  const LaunchShape shape = shape_of(args.rule, args.predicted);
  if (is_categorical(args.rule.kind)) {
    launch_kernel<categorical_loss_kernel>(shape, stream, args);
  } else {
    launch_kernel<elementwise_loss_kernel>(shape, stream, args);
  }
}

void run(const Stream& stream, const LossBackward& args) {
  if (args.predicted.rows == 0) return;
  const LaunchShape shape = shape_of(args.rule, args.predicted);
  if (is_categorical(args.rule.kind)) {
    launch_kernel<categorical_loss_gradient_kernel>(shape, stream, args);
  } else {
    launch_kernel<elementwise_loss_gradient_kernel>(shape, stream, args);
  }
}

void run(const Stream& stream, const WeightedSum& args) {
  const std::int64_t rows = args.value.rows;
  const std::int64_t blocks = args.scratch == nullptr ? 1 : parts_of_sum(rows);
  if (blocks == 1) {
    const LaunchShape shape = sum_shape(rows <= kWeightedByWarp ? 1 : rows);
    return launch_kernel<weighted_sum_kernel>(shape, stream, args);
  }
  auto* const parts = reinterpret_cast<LongSum*>(args.scratch);
  launch_kernel<weighted_sum_parts_kernel>({.grid = blocks, .block = kElementThreads}, stream, args,
                                           parts);
  launch_kernel<weighted_sum_join_kernel>({.block = 32}, stream, args, parts, blocks);
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
