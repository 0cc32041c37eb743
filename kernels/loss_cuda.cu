// A warp owns a row, of few classes some of its lanes, of one column a thread; sums over rows are
// one block's.
#include "kernels/loss.hpp"

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
  launch_kernel<weighted_sum_kernel>(sum_shape(rows <= kWeightedByWarp ? 1 : rows), stream, args);
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
