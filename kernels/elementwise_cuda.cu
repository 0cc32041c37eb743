// Elements: a thread takes four neighbouring ones where rows are aligned, else one. Sums of
// everything: one block.
#include "kernels/elementwise.hpp"

#include "kernels/elementwise_functions.hpp"
#include "kernels/elementwise_rows.hpp"
#include "kernels/simt/facade.hpp"

namespace braid::kernels {
namespace {

template <int Width>
__global__ void affine_kernel(Affine args) {
  run_rows<Width>(AllBlocks{}, args);
}

template <int Width>
__global__ void sum_kernel(Sum args) {
  run_rows<Width>(AllBlocks{}, args);
}

template <int Width>
__global__ void scale_rows_kernel(ScaleRows args) {
  run_rows<Width>(AllBlocks{}, args);
}

template <int Width>
__global__ void fill_kernel(Fill args) {
  run_rows<Width>(AllBlocks{}, args);
}

template <int Width>
__global__ void penalty_gradient_kernel(PenaltyGradient args) {
  run_rows<Width>(AllBlocks{}, args);
}

template <class Piece>
__global__ void copy_rows_kernel(CopyRows args) {
  run_rows<Piece>(AllBlocks{}, args);
}

// Reads along the rows; what is written lies R apart.
__global__ void transpose_blocks_kernel(TransposeBlocks args) {
  for_elements<1>(args.blocks, args.rows * args.columns, [&](std::int64_t n, std::int64_t i) {
    const std::int64_t r = i / args.columns;
    const std::int64_t c = i % args.columns;
    const std::int64_t block = n * args.rows * args.columns;
    args.out[block + c * args.rows + r] = args.in[block + i];
  });
}

template <class T>
__global__ void to_float_kernel(ToFloat args) {
  convert_to_float<T>(AllBlocks{}, args);
}

__global__ void float_to_ids_kernel(FloatToIds args) { run_rows(AllBlocks{}, args); }

__global__ void sum_all_kernel(SumAll args) { run_rows(AllBlocks{}, args); }

template <int Width>
__global__ void sum_all_parts_kernel(SumAll args, LongSum* parts) {
  LongSum sum{};
  for_elements<Width>(args.in.rows, args.in.columns, [&](std::int64_t n, std::int64_t c) {
    float values[Width];
    load_floats(element(args.in, n, c), values);
    SIMT_UNROLL
    for (const float value : values) add_term(sum, value, args);
  });
  sum = sum_of_block(sum);
  if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

__global__ void sum_all_join_kernel(SumAll args, const LongSum* parts, std::int64_t count) {
  const LongSum sum = sum_of_parts(parts, count);
  if (threadIdx.x == 0) give_sum(args, sum);
}

__global__ void quotient_kernel(Quotient args) { run_rows(AllBlocks{}, args); }

// Where element i of the extent lies in an operand.
struct Place {
  std::int64_t at[kMaxAxes];
  template <class T>
  __device__ T* in(const Strided<T>& operand) const {
    T* pointer = operand.data;
    for (int axis = 0; axis < kMaxAxes; ++axis) pointer += at[axis] * operand.stride[axis];
    return pointer;
  }
  template <class T>
  __device__ bool valid(const Strided<T>& mask) const {
    return mask.data == nullptr || *in(mask) != 0;
  }
};

__device__ inline Place place_of(std::int64_t i, const std::int64_t (&extent)[kMaxAxes]) {
  Place place{};
  for (int axis = kMaxAxes - 1; axis >= 0; --axis) {
    place.at[axis] = i % extent[axis];
    i /= extent[axis];
  }
  return place;
}

std::int64_t count_of(const std::int64_t (&extent)[kMaxAxes]) {
  std::int64_t count = 1;
  for (const std::int64_t length : extent) count *= length;
  return count;
}

__global__ void binary_forward_kernel(BinaryForward args, std::int64_t count) {
  with_binary(args.kind, [&]<BinaryKind kind>() {
    for_elements<1>(1, count, [&](std::int64_t, std::int64_t i) {
      const Place place = place_of(i, args.extent);
      *place.in(args.out) = combine_valid<kind>(*place.in(args.a), *place.in(args.b),
                                                place.valid(args.a_mask), place.valid(args.b_mask));
    });
  });
}

struct Extents {
  std::int64_t extent[kMaxAxes] = {1, 1, 1, 1, 1, 1};
};

// A thread owns one element of the gradient and walks the axes along which it was repeated, in the
// order of the index.
__global__ void binary_backward_kernel(BinaryBackward args, Extents own, Extents repeated,
                                       std::int64_t count, std::int64_t repeats) {
  for_elements<1>(1, count, [&](std::int64_t, std::int64_t i) {
    Place place = place_of(i, own.extent);
    float* const grad = place.in(args.self_grad);
    float sum = args.accumulate ? *grad : 0.0F;
    for (std::int64_t r = 0; r < repeats; ++r) {
      const Place step = place_of(r, repeated.extent);
      Place here = place;
      for (int axis = 0; axis < kMaxAxes; ++axis) here.at[axis] += step.at[axis];
      const float self = args.self.data != nullptr ? *here.in(args.self) : 0.0F;
      const float other = args.other.data != nullptr ? *here.in(args.other) : 0.0F;
      sum += *here.in(args.out_grad) * slope_of(args.kind, args.self_is_first, self, other,
                                                here.valid(args.self_mask),
                                                here.valid(args.other_mask));
    }
    *grad = sum;
  });
}

}  // namespace

namespace BRAID_GPU {

void run(const Stream& stream, const BinaryForward& args) {
  const std::int64_t count = count_of(args.extent);
  if (count > 0) launch_kernel<binary_forward_kernel>(element_shape(count), stream, args, count);
}

void run(const Stream& stream, const BinaryBackward& args) {
  // Axes of the gradient, and those along which it was repeated.
  Extents own;
  Extents repeated;
  for (int axis = 0; axis < kMaxAxes; ++axis) {
    (args.self_grad.stride[axis] != 0 ? own : repeated).extent[axis] = args.extent[axis];
  }
  const std::int64_t count = count_of(own.extent);
  if (count == 0) return;
  launch_kernel<binary_backward_kernel>(element_shape(count), stream, args, own, repeated, count,
                                        count_of(repeated.extent));
}

void run(const Stream& stream, const Affine& given) {
  Affine args = given;
  flatten(args.in, args.out);
  launch_elements<affine_kernel<4>, affine_kernel<1>>(stream, args, args.in.rows * args.in.columns,
                                                      in_fours(args.in, args.out));
}

void run(const Stream& stream, const Sum& given) {
  Sum args = given;
  bool fours = in_fours(args.out);
  for (int k = 0; k < args.count; ++k) fours = fours && in_fours(args.in[k]);
  launch_elements<sum_kernel<4>, sum_kernel<1>>(stream, args, args.out.rows * args.out.columns,
                                                fours);
}

void run(const Stream& stream, const ScaleRows& args) {
  launch_elements<scale_rows_kernel<4>, scale_rows_kernel<1>>(
      stream, args, args.in.rows * args.in.columns, in_fours(args.in, args.out));
}

void run(const Stream& stream, const CopyRows& given) {
  CopyRows args = given;
  flatten(args.in, args.out);
  const std::int64_t count = args.in.rows * args.in.columns;
  if (count == 0) return;
  const auto aligned = [](const auto& m) {
    return reinterpret_cast<std::uintptr_t>(m.data) % 16 == 0 && m.columns % 16 == 0 &&
           (m.stride % 16 == 0 || m.rows == 1);
  };
  if (aligned(args.in) && aligned(args.out)) {
    launch_kernel<copy_rows_kernel<uint4>>(element_shape(count / 16), stream, args);
  } else {
    launch_kernel<copy_rows_kernel<unsigned char>>(element_shape(count), stream, args);
  }
}

void run(const Stream& stream, const TransposeBlocks& args) {
  const std::int64_t count = args.blocks * args.rows * args.columns;
  if (count > 0) launch_kernel<transpose_blocks_kernel>(element_shape(count), stream, args);
}

void run(const Stream& stream, const Quotient& args) {
  launch_kernel<quotient_kernel>({.grid = 1, .block = 32}, stream, args);
}

void run(const Stream& stream, const Fill& given) {
  Fill args = given;
  flatten(args.out);
  launch_elements<fill_kernel<4>, fill_kernel<1>>(stream, args, args.out.rows * args.out.columns,
                                                  in_fours(args.out));
}

void run(const Stream& stream, const ToFloat& args) {
  if (args.count == 0) return;
  const LaunchShape shape = element_shape(args.count);
  switch (args.type) {
    case ElementType::float32: return launch_kernel<to_float_kernel<float>>(shape, stream, args);
    case ElementType::int32:
      return launch_kernel<to_float_kernel<std::int32_t>>(shape, stream, args);
    case ElementType::int64:
      return launch_kernel<to_float_kernel<std::int64_t>>(shape, stream, args);
    case ElementType::uint8:
      return launch_kernel<to_float_kernel<std::uint8_t>>(shape, stream, args);
  }
}

void run(const Stream& stream, const FloatToIds& args) {
  const std::int64_t count = args.in.rows * args.in.columns;
  if (count > 0) launch_kernel<float_to_ids_kernel>(element_shape(count), stream, args);
}

void run(const Stream& stream, const SumAll& given) {
  SumAll args = given;
  flatten(args.in);
  const std::int64_t count = args.in.rows * args.in.columns;
  const std::int64_t blocks = args.scratch == nullptr ? 1 : parts_of_sum(count);
  if (blocks == 1) return launch_kernel<sum_all_kernel>(sum_shape(count), stream, args);
  auto* const parts = reinterpret_cast<LongSum*>(args.scratch);
  const LaunchShape shape{.grid = blocks, .block = kElementThreads};
  if (in_fours(args.in)) {
    launch_kernel<sum_all_parts_kernel<4>>(shape, stream, args, parts);
  } else {
    launch_kernel<sum_all_parts_kernel<1>>(shape, stream, args, parts);
  }
  launch_kernel<sum_all_join_kernel>({.block = 32}, stream, args, parts, blocks);
}

void run(const Stream& stream, const PenaltyGradient& given) {
  PenaltyGradient args = given;
  flatten(args.weight, args.out);
  launch_elements<penalty_gradient_kernel<4>, penalty_gradient_kernel<1>>(
      stream, args, args.weight.rows * args.weight.columns, in_fours(args.weight, args.out));
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
