#pragma once
#include "kernels/dense.hpp"
#include "kernels/host_device.hpp"
#include "kernels/simt/facade.hpp"
#include "kernels/simt/rows.hpp"

// What the dense products of a GPU have in common: the operands, and tiles of them in shared
// memory.
namespace braid::kernels {
namespace {

// Which elements of an operand lie side by side in memory: those of one sum, or those of one place
// in the sum.
enum class Neighbours : std::uint8_t { along_depth, across };

// out[r, c] = activation(start + sum over k of a(r, k) * b(k, c)). The start is the bias, or with
// `accumulate` what is there. A row of blocks (blockIdx.y) sums one part of the depth into a matrix
// of its own; usually there is one.
struct DenseProduct {
  const float* a = nullptr;
  std::int64_t a_stride = 0;
  const float* b = nullptr;
  std::int64_t b_stride = 0;
  float* out = nullptr;
  std::int64_t out_stride = 0;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t depth = 0;
  std::int64_t depth_of_part = 0;
  // From one part's results to the next one's, and of the sums of columns. Parts are not large
  // (dense_costs.hpp).
  std::int32_t floats_of_part = 0;
  std::int32_t floats_of_sums = 0;
  const float* bias = nullptr;  // [columns]; may be absent
  float* column_sums =
      nullptr;  // [columns] sums over k of b(k, c), started like out; may be absent
  bool accumulate = false;
  bool operands_in_fours = false;  // rows are aligned to 16 bytes: of both, of each
  bool a_in_fours = false;
  bool b_in_fours = false;
  bool out_in_fours = false;
  Activation activation;
};

// Every line begins at a multiple of 16 bytes, also those behind the last one, of which nothing is
// read.
BRAID_HOST_DEVICE inline bool in_fours(const void* data, std::int64_t stride) {
  return reinterpret_cast<std::uintptr_t>(data) % 16 == 0 && stride % 4 == 0;
}
BRAID_HOST_DEVICE inline void find_alignment(DenseProduct& args) {
  args.a_in_fours = in_fours(args.a, args.a_stride);
  args.b_in_fours = in_fours(args.b, args.b_stride);
  args.operands_in_fours = args.a_in_fours && args.b_in_fours;
  args.out_in_fours = in_fours(args.out, args.out_stride) && args.floats_of_part % 4 == 0;
}

BRAID_HOST_DEVICE inline DenseProduct product_of(const DenseForward& args) {
  return {.a = args.in.data,
          .a_stride = args.in.stride,
          .b = args.kernel.data,
          .b_stride = args.kernel.stride,
          .out = args.out.data,
          .out_stride = args.out.stride,
          .rows = args.out.rows,
          .columns = args.out.columns,
          .depth = args.in.columns,
          .bias = args.bias,
          .activation = args.activation};
}
BRAID_HOST_DEVICE inline DenseProduct product_of(const DenseInputGradient& args) {
  return {.a = args.out_grad.data,
          .a_stride = args.out_grad.stride,
          .b = args.kernel.data,
          .b_stride = args.kernel.stride,
          .out = args.in_grad.data,
          .out_stride = args.in_grad.stride,
          .rows = args.in_grad.rows,
          .columns = args.in_grad.columns,
          .depth = args.out_grad.columns,
          .accumulate = args.accumulate};
}
BRAID_HOST_DEVICE inline DenseProduct product_of(const DenseWeightGradient& args) {
  return {.a = args.in.data,
          .a_stride = args.in.stride,
          .b = args.out_grad.data,
          .b_stride = args.out_grad.stride,
          .out = args.kernel_grad.data,
          .out_stride = args.kernel_grad.stride,
          .rows = args.kernel_grad ? args.in.columns : 0,
          .columns = args.out_grad.columns,
          .depth = args.in.rows,
          .floats_of_part = static_cast<std::int32_t>(args.kernel_part_floats),
          .floats_of_sums = static_cast<std::int32_t>(args.bias_part_floats),
          .column_sums = args.bias_grad,
          .accumulate = args.accumulate};
}

// The threads of most blocks, of which each copies and computes.
constexpr int kDenseThreads = 256;

// A block's threads in lines of `across`, as many as fit.
struct ThreadLines {
  unsigned lines;
  unsigned line;  // this thread's; behind the last one if the threads do not fill it
  unsigned place;

  __device__ explicit ThreadLines(unsigned across) {
    // Divides whatever there are threads: what it is too large by is less than what is missing to
    // the next whole number.
    const auto share = static_cast<unsigned>(
        static_cast<float>(1U << kShift) * approximate_reciprocal(static_cast<float>(across)) +
        1.5F);
    lines = kDenseThreads * share >> kShift;
    line = threadIdx.x * share >> kShift;
    place = threadIdx.x - line * across;
  }

 private:
  static constexpr int kShift = 20;
};

// A tile of an operand: lines of elements that lie side by side, with a gap between lines that
// spreads the lanes of a warp over all banks. Copies of whole
// stages may have code of their own.
template <Neighbours neighbours, int kWidth, int kTileDepth, int kGap,
          int kBlockThreads = kDenseThreads, bool kCopiesWholeStages = false>
struct DenseTile {
  static constexpr int kThreads = kBlockThreads;
  static constexpr bool kWholeStages = kCopiesWholeStages;
  static constexpr int kAcross = kWidth;
  static constexpr int kDepth = kTileDepth;
  static constexpr bool kAlongDepth = neighbours == Neighbours::along_depth;
  static constexpr int kLines = kAlongDepth ? kWidth : kDepth;
  static constexpr int kLength = kAlongDepth ? kDepth : kWidth;
  static constexpr int kStride = kLength + kGap;
  static constexpr int kFloats = kLines * kStride;

  // Where an element is.
  static __device__ int place(int across, int k) {
    return kAlongDepth ? across * kStride + k : k * kStride + across;
  }
};

// A thread's share of the copies of an operand's tiles, in fours or one by one.
template <class Tile>
class DenseCopies {
 public:
  // The first tile begins at (first, first_k) of an operand that is `width` wide.
  __device__ DenseCopies(const float* data, std::int64_t stride, std::int64_t first,
                         std::int64_t first_k, std::int64_t width, bool in_fours)
      : stride_(stride), in_fours_(in_fours) {
    const int pieces = Tile::kLength / (in_fours ? 4 : 1);
    line_ = static_cast<int>(threadIdx.x) / pieces;
    start_ = static_cast<int>(threadIdx.x) % pieces * (in_fours ? 4 : 1);
    const std::int64_t left = width - first;
    width_ = static_cast<int>(left < Tile::kAcross ? left : Tile::kAcross);
    if constexpr (Tile::kWholeStages) {
      // None where one of the fours ends outside.
      const bool fits = Tile::kAlongDepth || start_ >= width_ || start_ + 4 <= width_;
      const int lines = Tile::kAlongDepth ? width_ : (start_ < width_ ? Tile::kDepth : 0);
      lines_ = in_fours && fits ? lines : kNotInFours;
    }
    source_ = data + (Tile::kAlongDepth ? (first + line_) * stride + first_k + start_
                                        : (first_k + line_) * stride + first + start_);
  }

  // Issues the copies of the next tile: of `steps` places of the sum, of which the last ones may
  // lie beyond the depth and become 0. What lies outside across the depth is left alone: it counts
  // in no result that is stored.
  __device__ void issue(float* tile, int depth, int steps) {
    if (Tile::kWholeStages && depth == Tile::kDepth && lines_ != kNotInFours) {
      issue_whole(tile);
    } else if (in_fours_) {
      issue_pieces<4>(tile, depth, steps);
    } else {
      issue_pieces<1>(tile, depth, steps);
    }
    source_ += Tile::kAlongDepth ? Tile::kDepth : Tile::kDepth * stride_;
  }

 private:
  template <int kVector>
  __device__ void issue_pieces(float* tile, int depth, int steps) const {
    constexpr int kLinesAtOnce = Tile::kThreads / (Tile::kLength / kVector);
    constexpr int kRounds = (Tile::kLines + kLinesAtOnce - 1) / kLinesAtOnce;
    if (start_ >= (Tile::kAlongDepth ? steps : width_)) return;
    const int left = (Tile::kAlongDepth ? depth : width_) - start_;
    const int count = left > kVector ? kVector : (left < 0 ? 0 : left);
    const float* source = source_;
    float* target = tile + line_ * Tile::kStride + start_;
    const auto issue_line = [&](int line) {
      if (line >= (Tile::kAlongDepth ? width_ : steps)) return;
      const int inside = Tile::kAlongDepth || line < depth ? count : 0;
      cp_async_zero_fill<4 * kVector>(target, source, 4 * inside);
      source += kLinesAtOnce * stride_;
      target += kLinesAtOnce * Tile::kStride;
    };
    if constexpr (kVector == 4) {
      SIMT_UNROLL
      for (int i = 0; i < kRounds; ++i) issue_line(line_ + i * kLinesAtOnce);
    } else {
      SIMT_NO_UNROLL
      for (int i = 0; i < kRounds; ++i) issue_line(line_ + i * kLinesAtOnce);
    }
  }

  __device__ void issue_whole(float* tile) const {
    constexpr int kLinesAtOnce = Tile::kThreads / (Tile::kLength / 4);
    constexpr int kRounds = (Tile::kLines + kLinesAtOnce - 1) / kLinesAtOnce;
    const float* source = source_;
    float* const target = tile + line_ * Tile::kStride + start_;
    SIMT_UNROLL
    for (int i = 0; i < kRounds; ++i) {
      if (line_ + i * kLinesAtOnce < lines_)
        cp_async<16>(target + i * kLinesAtOnce * Tile::kStride, source);
      source += kLinesAtOnce * stride_;
    }
  }

  static constexpr int kNotInFours = -1;
  const float* source_;
  std::int64_t stride_;
  int width_;  // of the operand from the first tile on, at most a tile's
  int line_;
  int start_;  // in the line
  bool in_fours_;
  int lines_ = kNotInFours;  // that this thread copies a four of, where all do
};

}  // namespace
}  // namespace braid::kernels
