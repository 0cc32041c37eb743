// A block of 256 threads sums a tile of columns over a part of the rows, 32 rows side by side; a
// thread asks for many of its rows before it adds the first. What the 32 leave meets in a tree of
// fixed shape. Where tiles are many, a thread takes four neighbouring columns; else one, so that
// more multiprocessors share them. Both give the same bits.
#include "kernels/elementwise.hpp"
#include "kernels/elementwise_rows.hpp"
#include "kernels/simt/facade.hpp"

namespace braid::kernels {
namespace {

constexpr int kGroups = 8;  // of columns, in a block
constexpr int kLanes = static_cast<int>(kLanesOfRowSum);
constexpr int kWarps = kGroups * kLanes / 32;
constexpr unsigned kAll = 0xFFFFFFFFU;

// Rows that a thread asks for at once: as many registers for either width.
template <int Width>
constexpr int kAtOnce = Width == 1 ? 16 : 8;

// Adds the thread's next rows, from n on. `is_row` tells which there are.
template <int Width, class IsRow>
__device__ inline void add_rows(Floats<Width>& sum, const SumRows& args, std::int64_t n,
                                std::int64_t c, const IsRow& is_row) {
  Floats<Width> values[kAtOnce<Width>];
  SIMT_UNROLL
  for (int i = 0; i < kAtOnce<Width>; ++i) {
    if (is_row(n + i * kLanes)) values[i] = Floats<Width>::load(args.in.row(n + i * kLanes) + c);
  }
  // Rows that are not there count as zeros, which change no sum.
  SIMT_UNROLL
  for (int i = 0; i < kAtOnce<Width>; ++i) {
    sum += values[i].each([&](float x) { return term_of(x, args.square, args.absolute); });
  }
}

// The sum of the thread's rows of first .. end - 1, in order.
template <int Width>
__device__ inline Floats<Width> sum_of_lane(const SumRows& args, std::int64_t first,
                                            std::int64_t end, std::int64_t c) {
  Floats<Width> sum{};
  std::int64_t n = first;
  for (; n + (kAtOnce<Width> - 1) * kLanes < end; n += kAtOnce<Width> * kLanes) {
    add_rows(sum, args, n, c, [](std::int64_t) { return true; });
  }
  if (n < end) add_rows(sum, args, n, c, [&](std::int64_t row) { return row < end; });
  return sum;
}

// Part p of the rows goes to row p of `out`.
template <int Width>
__global__ void __launch_bounds__(32 * kWarps)
    sum_rows_kernel(SumRows args, std::int64_t rows_of_part) {
  SIMT_SHARED(float, sums, [kWarps][kGroups * Width]);
  const auto group = static_cast<int>(threadIdx.x % kGroups);
  const auto lane = static_cast<std::int64_t>(threadIdx.x / kGroups);
  const std::int64_t tile = blockIdx.x * static_cast<std::int64_t>(kGroups * Width);
  const std::int64_t column = tile + group * Width;
  const std::int64_t begin = min(blockIdx.y * rows_of_part, args.in.rows);
  const std::int64_t end = min(begin + rows_of_part, args.in.rows);
  Floats<Width> sum{};
  if (column < args.in.columns) sum = sum_of_lane<Width>(args, begin + lane, end, column);

  // A warp holds the sums of four neighbouring lanes for each group.
  for (int offset = kGroups; offset < 32; offset *= 2) {
    sum = sum.each([&](float x) { return x + __shfl_xor_sync(kAll, x, offset); });
  }
  if (threadIdx.x % 32 < kGroups) sum.store(&sums[threadIdx.x / 32][group * Width]);
  __syncthreads();
  const auto own = static_cast<int>(threadIdx.x);
  if (own >= kGroups * Width || tile + own >= args.in.columns) return;
  float of_warps[kWarps];
  SIMT_UNROLL
  for (int w = 0; w < kWarps; ++w) of_warps[w] = sums[w][own];
  SIMT_UNROLL
  for (int count = kWarps / 2; count > 0; count /= 2) {
    SIMT_UNROLL
    for (int w = 0; w < count; ++w) of_warps[w] = of_warps[2 * w] + of_warps[2 * w + 1];
  }
  float* const out = args.out.row(blockIdx.y) + tile + own;
  *out = args.accumulate ? *out + of_warps[0] : of_warps[0];
}

constexpr std::int64_t kMultiprocessors = 132;  // of an H100

void launch_parts(const Stream& stream, const SumRows& args, std::int64_t parts) {
  const std::int64_t rows_of_part = (args.in.rows + parts - 1) / parts;
  const auto tiles = [&](std::int64_t width) { return (args.in.columns + width - 1) / width; };
  if (in_fours(args.in) && tiles(4 * kGroups) * parts >= kMultiprocessors) {
    launch_kernel<sum_rows_kernel<4>>(
        {.grid = {tiles(4 * kGroups), parts}, .block = kGroups * kLanes}, stream, args,
        rows_of_part);
  } else {
    launch_kernel<sum_rows_kernel<1>>({.grid = {tiles(kGroups), parts}, .block = kGroups * kLanes},
                                      stream, args, rows_of_part);
  }
}

}  // namespace

namespace BRAID_GPU {

void run(const Stream& stream, const SumRows& args) {
  const std::int64_t columns = args.in.columns;
  if (columns == 0) return;
  const std::int64_t parts = args.scratch == nullptr ? 1 : sum_rows_parts(args.in.rows, columns);
  if (parts == 1) return launch_parts(stream, args, 1);
  const Matrix<float> sums{args.scratch, parts, columns, columns};
  SumRows each = args;
  each.out = sums;
  each.accumulate = false;
  launch_parts(stream, each, parts);
  launch_parts(
      stream,
      {.in = {sums.data, parts, columns, columns}, .out = args.out, .accumulate = args.accumulate},
      1);
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
