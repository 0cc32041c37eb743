#pragma once
#include "kernels/dense_kernel.hpp"

// Layers of many inputs on few rows, by one block. What takes time is to fetch the weights, which
// are used once: half of the threads copy them to shared memory, some stages ahead, and do nothing
// else; the others hold half of a column's rows each. Each sum is one chain in the order of the
// depth, with the bits of tiles.
namespace braid::kernels {
namespace {

struct LongDepth {
  static constexpr int kColumns = 64;
  static constexpr int kDepth = 32;  // of a stage
  static constexpr int kStages = 4;
  static constexpr int kFloatsOfStage = kDepth * kColumns;
  static constexpr int kRows = 8;
  // The inputs, as far as they fit, lie behind the stages.
  static constexpr int kFloatsOfInputs = 4096;
  static constexpr int kFloats = kStages * kFloatsOfStage + kFloatsOfInputs;
  static constexpr int kCopying = kDenseThreads / 2;
  static constexpr int kQuads = kColumns / 4;
  static constexpr int kLinesAtOnce = kCopying / kQuads;
};

// A thread's share of the copies of weights.
class WeightCopies {
 public:
  __device__ WeightCopies(const DenseProduct& args, int first_column, int thread)
      : column_(thread % LongDepth::kQuads * 4),
        line_(thread / LongDepth::kQuads),
        stride_(static_cast<int>(args.b_stride)),
        source_(args.b + (line_ * stride_ + first_column + column_)),
        is_inside_(first_column + column_ < static_cast<int>(args.columns)) {}

  // The next stage, of which `places` are there; zeros lie behind them.
  __device__ void issue(float* stage, int places) {
    if (places > 0 && is_inside_) {
      SIMT_UNROLL
      for (int i = 0; i < LongDepth::kDepth / LongDepth::kLinesAtOnce; ++i) {
        const int line = line_ + i * LongDepth::kLinesAtOnce;
        const bool is_there = line < places;
        cp_async_zero_fill<16>(stage + line * LongDepth::kColumns + column_,
                               is_there ? source_ + i * LongDepth::kLinesAtOnce * stride_ : source_,
                               is_there ? 16 : 0);
      }
    }
    source_ += LongDepth::kDepth * stride_;
    cp_async_commit();
  }

 private:
  int column_;
  int line_;
  int stride_;
  const float* source_;
  bool is_inside_;
};

// The inputs of `places` places from k on, a line for each row, with zeros up to whole stages.
template <int kRows>
__device__ inline void copy_inputs_of_rows(const DenseProduct& args, int k, int places,
                                           int line_length, float* inputs) {
  const auto row = static_cast<int>(threadIdx.x % kRows);
  if (row >= static_cast<int>(args.rows)) return;
  const float* const from = args.a + (row * static_cast<int>(args.a_stride) + k);
  SIMT_NO_UNROLL
  for (int place = static_cast<int>(threadIdx.x) / kRows * 4; place < line_length;
       place += kDenseThreads / kRows * 4) {
    float values[4] = {};
    if (place < places) load_group(from + place, min(places - place, 4), true, values);
    store_floats(inputs + row * line_length + place, values);
  }
}

// What a thread that computes holds.
template <int kRows>
struct ColumnOfRows {
  float sums[kRows];

  __device__ void add(const float* inputs, int line_length, const float* weights) {
    SIMT_UNROLL
    for (int k = 0; k < LongDepth::kDepth; k += 4) {
      float right[4];
      SIMT_UNROLL
      for (int i = 0; i < 4; ++i) right[i] = weights[(k + i) * LongDepth::kColumns];
      SIMT_UNROLL
      for (int row = 0; row < kRows; ++row) {
        float left[4];
        load_floats(inputs + row * line_length + k, left);
        SIMT_UNROLL
        for (int i = 0; i < 4; ++i) sums[row] = fmaf(left[i], right[i], sums[row]);
      }
    }
  }
};

// Of 64 columns, and kRows rows or fewer.
template <int kRows>
__device__ inline void multiply_columns(const DenseProduct& args, int first_column, float* memory) {
  // Half of the block computes.
  constexpr int kRowsOfThread = kRows * LongDepth::kColumns / LongDepth::kCopying;
  const auto rows = static_cast<int>(args.rows);
  const auto depth = static_cast<int>(args.depth);
  const auto thread = static_cast<int>(threadIdx.x);
  const bool copies = thread >= LongDepth::kCopying;
  const int first_row = thread / LongDepth::kColumns * kRowsOfThread;
  const int column = first_column + thread % LongDepth::kColumns;
  const bool computes = !copies && first_row < rows && column < static_cast<int>(args.columns);
  float* const inputs = memory + LongDepth::kStages * LongDepth::kFloatsOfStage;
  // Whole stages of inputs that fit for so many rows.
  constexpr int kAtOnce = LongDepth::kFloatsOfInputs / kRows;

  WeightCopies weights(args, first_column, copies ? thread - LongDepth::kCopying : 0);
  const int stages = (depth + LongDepth::kDepth - 1) / LongDepth::kDepth;
  const auto issue = [&](int stage) {
    weights.issue(memory + stage % LongDepth::kStages * LongDepth::kFloatsOfStage,
                  min(depth - stage * LongDepth::kDepth, LongDepth::kDepth));
  };
  constexpr int kAhead = LongDepth::kStages - 1;
  if (copies) {
    SIMT_NO_UNROLL
    for (int stage = 0; stage < kAhead; ++stage) issue(stage);
  }
  const float start = computes && args.bias != nullptr ? args.bias[column] : 0.0F;
  ColumnOfRows<kRowsOfThread> own;
  SIMT_UNROLL
  for (float& sum : own.sums) sum = start;
  int first_place = 0;  // of the inputs that are there
  int line_length = 0;
  SIMT_NO_UNROLL
  for (int stage = 0; stage < stages; ++stage) {
    const int place = stage * LongDepth::kDepth;
    if (place >= first_place + line_length) {
      if (stage > 0) __syncthreads();  // those before have been read
      first_place = place;
      const int places = min(depth - place, kAtOnce);
      line_length = (places + LongDepth::kDepth - 1) / LongDepth::kDepth * LongDepth::kDepth;
      copy_inputs_of_rows<kRows>(args, place, places, line_length, inputs);
    }
    if (copies) cp_async_wait<kAhead - 1>();
    __syncthreads();  // the stage is there, and the one before it has been read
    if (copies) {
      issue(stage + kAhead);
    } else if (computes) {
      own.add(inputs + first_row * line_length + (place - first_place), line_length,
              memory + stage % LongDepth::kStages * LongDepth::kFloatsOfStage +
                  thread % LongDepth::kColumns);
    }
  }
  if (copies) cp_async_wait<0>();
  __syncthreads();  // all of it has been read
  if (!computes) return;
  SIMT_NO_UNROLL
  for (int row = 0; row < kRowsOfThread; ++row) {
    if (first_row + row < rows)
      store_activated(own.sums[0], args.activation,
                      args.out + ((first_row + row) * static_cast<int>(args.out_stride) + column));
    // Registers cannot be counted through.
    SIMT_UNROLL
    for (int next = 1; next < kRowsOfThread; ++next) own.sums[next - 1] = own.sums[next];
  }
}

// Where fewer places fit into some rounds of loads, those take less time.
constexpr int kLongDepth = 256;
__device__ inline bool has_long_depth(const DenseProduct& args) {
  return args.depth >= kLongDepth && args.rows <= LongDepth::kRows && args.columns % 4 == 0 &&
         args.operands_in_fours;
}
__device__ inline void multiply_long_depth(const DenseProduct& args, float* memory) {
  const bool few = args.rows <= LongDepth::kRows / 2;
  SIMT_NO_UNROLL
  for (int first = 0; first < args.columns; first += LongDepth::kColumns) {
    if (few) {
      multiply_columns<LongDepth::kRows / 2>(args, first, memory);
    } else {
      multiply_columns<LongDepth::kRows>(args, first, memory);
    }
  }
}

}  // namespace
}  // namespace braid::kernels
