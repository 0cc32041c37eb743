// A thread takes one element of a mask or of values. Where a row's steps are averaged, a thread
// owns a column and walks the steps in order.
#include "kernels/mask.hpp"

#include "kernels/mask_rows.hpp"
#include "kernels/simt/facade.hpp"

namespace braid::kernels {
namespace {

// The value of a mask that may be absent: everywhere valid then.
__device__ inline bool is_valid(const Matrix<const std::uint8_t>& mask, std::int64_t n,
                                std::int64_t t) {
  return mask.data == nullptr || mask.row(n)[t] != 0;
}

__global__ void ids_not_equal_kernel(IdsNotEqual args) {
  for_elements<1>(args.ids.rows, args.ids.columns, [&](std::int64_t n, std::int64_t t) {
    const bool valid = args.ids.row(n)[t] != args.value && is_valid(args.and_mask, n, t);
    args.mask.row(n)[t] = valid ? 1 : 0;
  });
}

// A warp owns a row.
__global__ void masking_forward_kernel(MaskingForward args) {
  constexpr unsigned kAll = 0xFFFFFFFFU;
  const int lane = static_cast<int>(threadIdx.x % 32);
  constexpr int kWarps = kElementThreads / 32;
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * kWarps;
  for (std::int64_t n = static_cast<std::int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
       n < args.in.rows; n += step) {
    const float* in = args.in.row(n);
    int differs = 0;
    for (std::int64_t f = lane; f < args.in.columns; f += 32) {
      if (in[f] != args.value) differs = 1;
    }
    const bool valid = __any_sync(kAll, differs) != 0 && is_valid(args.and_mask, n, 0);
    if (args.mask.data != nullptr && lane == 0) args.mask.row(n)[0] = valid ? 1 : 0;
    if (args.out.data == nullptr) continue;
    float* out = args.out.row(n);
    for (std::int64_t f = lane; f < args.in.columns; f += 32) out[f] = valid ? in[f] : 0.0F;
  }
}

__global__ void masking_backward_kernel(MaskingBackward args) {
  for_elements<1>(args.out_grad.rows, args.out_grad.columns, [&](std::int64_t n, std::int64_t f) {
    args.in_grad.row(n)[f] = is_valid(args.mask, n, 0) ? args.out_grad.row(n)[f] : 0.0F;
  });
}

__global__ void combine_masks_kernel(CombineMasks args) {
  for_elements<1>(args.a.rows, args.a.columns, [&](std::int64_t n, std::int64_t t) {
    const bool a = args.a.row(n)[t] != 0;
    const bool b = args.b.row(n)[t] != 0;
    args.out.row(n)[t] = (args.all ? a && b : a || b) ? 1 : 0;
  });
}

__global__ void mask_to_weight_kernel(MaskToWeight args) { run_rows(AllBlocks{}, args); }

__global__ void row_ends_kernel(RowEnds args) {
  for_elements<1>(args.mask.rows, args.mask.columns, [&](std::int64_t n, std::int64_t t) {
    args.mask.row(n)[t] = args.ends == nullptr || t < args.ends[n] ? 1 : 0;
  });
}

__global__ void average_time_forward_kernel(AverageTimeForward args, std::int64_t steps) {
  for_elements<1>(args.out.rows, args.out.columns, [&](std::int64_t b, std::int64_t f) {
    float sum = 0;
    float count = 0;
    for (std::int64_t t = 0; t < steps; ++t) {
      if (!is_valid(args.mask, b, t)) continue;
      sum += args.in.row(b * steps + t)[f];
      count += 1;
    }
    args.out.row(b)[f] = sum / count;
  });
}

__global__ void average_time_backward_kernel(AverageTimeBackward args, std::int64_t steps) {
  for_elements<1>(args.out_grad.rows, args.out_grad.columns, [&](std::int64_t b, std::int64_t f) {
    float count = 0;
    for (std::int64_t t = 0; t < steps; ++t) count += is_valid(args.mask, b, t) ? 1.0F : 0.0F;
    const float share = args.out_grad.row(b)[f] / count;
    // A row without a valid step is 0 / 0 going forward, and so it is going back.
    const float invalid = count == 0 ? 0.0F / count : 0.0F;
    for (std::int64_t t = 0; t < steps; ++t) {
      args.in_grad.row(b * steps + t)[f] = is_valid(args.mask, b, t) ? share : invalid;
    }
  });
}

}  // namespace

namespace BRAID_GPU {

void run(const Stream& stream, const IdsNotEqual& args) {
  const std::int64_t count = args.ids.rows * args.ids.columns;
  if (count > 0) launch_kernel<ids_not_equal_kernel>(element_shape(count), stream, args);
}

void run(const Stream& stream, const MaskingForward& args) {
  const LaunchShape shape = element_shape(args.in.rows * 32);
  if (args.in.rows > 0) launch_kernel<masking_forward_kernel>(shape, stream, args);
}

void run(const Stream& stream, const MaskingBackward& args) {
  const std::int64_t count = args.out_grad.rows * args.out_grad.columns;
  if (count > 0) launch_kernel<masking_backward_kernel>(element_shape(count), stream, args);
}

void run(const Stream& stream, const CombineMasks& args) {
  const std::int64_t count = args.a.rows * args.a.columns;
  if (count > 0) launch_kernel<combine_masks_kernel>(element_shape(count), stream, args);
}

void run(const Stream& stream, const MaskToWeight& args) {
  const std::int64_t count = args.mask.rows * args.mask.columns;
  if (count > 0) launch_kernel<mask_to_weight_kernel>(element_shape(count), stream, args);
}

void run(const Stream& stream, const RowEnds& args) {
  const std::int64_t count = args.mask.rows * args.mask.columns;
  if (count > 0) launch_kernel<row_ends_kernel>(element_shape(count), stream, args);
}

void run(const Stream& stream, const AverageTimeForward& args) {
  const std::int64_t count = args.out.rows * args.out.columns;
  if (count == 0) return;
  launch_kernel<average_time_forward_kernel>(element_shape(count), stream, args,
                                             args.in.rows / args.out.rows);
}

void run(const Stream& stream, const AverageTimeBackward& args) {
  const std::int64_t count = args.out_grad.rows * args.out_grad.columns;
  if (count == 0) return;
  launch_kernel<average_time_backward_kernel>(element_shape(count), stream, args,
                                              args.in_grad.rows / args.out_grad.rows);
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
