#pragma once
#include "kernels/dense_kernel.hpp"

// The gradient of a layer's weights by few rows of a batch, by one block: a sum of few products for
// each of many weights. A thread holds its columns' gradients of the outputs, and goes down the
// inputs, which all lie in shared memory before it begins. Each sum is one chain in the order of
// the rows, with the bits of tiles.
namespace braid::kernels {
namespace {

constexpr int kFewSamples = 8;  // rows of a batch

// Floats of shared memory that a product may take, and inputs that fit in there for each row.
constexpr int kFloatsOfInputs = 8192;
template <int kSamples>
constexpr int kInputsAtOnce = kFloatsOfInputs / kSamples;

// Copies `count` inputs from `first` on, a line for each row of the batch. Beyond the last row are
// zeros. Values of a block's rows may lie in its shared memory, from where no asynchronous copy
// comes.
template <int kSamples>
__device__ inline void copy_inputs(const DenseProduct& args, int first, int count, float* memory) {
  const auto samples = static_cast<int>(args.depth);
  const auto sample = static_cast<int>(threadIdx.x % kSamples);
  const float* const line = args.a + (sample * static_cast<int>(args.a_stride) + first);
  float* const to = memory + sample * kInputsAtOnce<kSamples>;
  SIMT_NO_UNROLL
  for (int input = static_cast<int>(threadIdx.x) / kSamples * 4; input < count;
       input += kDenseThreads / kSamples * 4) {
    float values[4] = {};
    if (sample < samples)
      load_group(line + input, min(count - input, 4), args.operands_in_fours, values);
    store_floats(to + input, values);
  }
}

// Four neighbouring columns of the gradients of the outputs, for each row.
template <int kSamples>
__device__ inline void load_gradients(const DenseProduct& args, int column,
                                      float (&right)[kSamples][4]) {
  SIMT_UNROLL
  for (int k = 0; k < kSamples; ++k) {
    const bool is_there = k < static_cast<int>(args.depth);
    load_group(args.b + ((is_there ? k : 0) * static_cast<int>(args.b_stride) + column), 4,
               args.operands_in_fours, right[k]);
    SIMT_UNROLL
    for (float& value : right[k]) value = is_there ? value : 0.0F;
  }
}

// Four inputs' weights in four columns.
template <int kSamples>
__device__ inline void multiply_inputs(const DenseProduct& args, const float* inputs, float* out,
                                       int inside, const float (&right)[kSamples][4]) {
  const auto stride = static_cast<int>(args.out_stride);
  float sums[4][4] = {};
  if (args.accumulate) {
    SIMT_UNROLL
    for (int i = 0; i < 4; ++i) {
      if (i < inside) load_group(out + i * stride, 4, args.out_in_fours, sums[i]);
    }
  }
  SIMT_UNROLL
  for (int k = 0; k < kSamples; ++k) {
    float left[4];
    load_floats(inputs + k * kInputsAtOnce<kSamples>, left);
    SIMT_UNROLL
    for (int i = 0; i < 4; ++i) {
      SIMT_UNROLL
      for (int c = 0; c < 4; ++c) sums[i][c] = fmaf(left[i], right[k][c], sums[i][c]);
    }
  }
  if (inside >= 4 && args.out_in_fours) {
    SIMT_UNROLL
    for (int i = 0; i < 4; ++i) store_floats(out + i * stride, sums[i]);
    return;
  }
  SIMT_UNROLL
  for (int i = 0; i < 4; ++i) {
    if (i < inside) store_group(out + i * stride, 4, args.out_in_fours, sums[i]);
  }
}

// The columns are a multiple of four, at most four for each thread.
template <int kSamples>
__device__ inline void add_outer_products(const DenseProduct& args, float* memory) {
  const auto inputs = static_cast<int>(args.rows);
  const auto out_stride = static_cast<int>(args.out_stride);
  const ThreadLines threads(static_cast<unsigned>(args.columns) / 4);
  const auto lines = static_cast<int>(threads.lines);  // fours of inputs side by side
  const auto line = static_cast<int>(threads.line);
  const auto column = static_cast<int>(4 * threads.place);
  SIMT_NO_UNROLL
  for (int first = 0; first == 0 || first < inputs; first += kInputsAtOnce<kSamples>) {
    const int count = min(inputs - first, kInputsAtOnce<kSamples>);
    copy_inputs<kSamples>(args, first, count, memory);
    float right[kSamples][4];
    load_gradients(args, column, right);
    if (line == 0 && first == 0 && args.column_sums != nullptr) {
      SIMT_UNROLL
      for (int c = 0; c < 4; ++c) {
        float& total = args.column_sums[column + c];
        float sum = args.accumulate ? total : 0.0F;
        SIMT_UNROLL
        for (int k = 0; k < kSamples; ++k) sum += right[k][c];
        total = sum;
      }
    }
    __syncthreads();  // the inputs are there
    if (line < lines) {
      SIMT_NO_UNROLL
      for (int input = 4 * line; input < count; input += 4 * lines) {
        multiply_inputs(args, memory + input, args.out + ((first + input) * out_stride + column),
                        count - input, right);
      }
    }
    __syncthreads();  // they have been read
  }
}

__device__ inline bool has_outer_products(const DenseProduct& args) {
  return args.depth > 0 && args.depth <= kFewSamples && args.columns % 4 == 0 &&
         args.columns <= 4 * kDenseThreads;
}
__device__ inline void add_outer_products(const DenseProduct& args, float* memory) {
  if (args.depth <= 4) {
    add_outer_products<4>(args, memory);
  } else {
    add_outer_products<8>(args, memory);
  }
}

}  // namespace
}  // namespace braid::kernels
