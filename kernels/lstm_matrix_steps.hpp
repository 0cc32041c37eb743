#pragma once
#include "kernels/lstm_gates.hpp"
#include "kernels/lstm_gpu.hpp"
#include "kernels/simt/facade.hpp"
#include "kernels/simt/matrix_units.hpp"

// Steps of an LSTM of up to 64 units on a GPU's matrix units, whose operands are rounded to tf32. A
// block takes eight rows through all of their tokens: they are the columns of the products, whose
// left operands, the recurrent weights, stay in registers. What is summed up in a product may come
// in any order, so that a lane reads four neighbours at a time; and gates stand in the rows of a
// product so that a lane gets all it needs of a unit and row, and exchanges nothing.
namespace braid::kernels {
namespace {

constexpr int kRowsOnMatrixUnits = 8;

// Of operands that are not float32 anyway; few rows are faster by themselves than if they wait for
// others.
template <class Arguments>
bool steps_on_matrix_units(const Arguments& args) {
  return args.precision != Precision::float32 && has_matrix_units() &&
         args.shape.units <= kUnitsInRegisters && has_default_functions(args) &&
         args.shape.rows > lstm_cut.rows_without_matrix_units * lstm_cut.multiprocessors;
}

// run.operator()<kUnits>(), if so; else false.
template <class Arguments, class Run>
bool with_units_on_matrix_units(const Arguments& args, const Run& run) {
  if (!steps_on_matrix_units(args)) return false;
  if (args.shape.units <= 32) {
    run.template operator()<32>();
  } else {
    run.template operator()<64>();
  }
  return true;
}

// A lane of a warp is 4 * group + within.
__device__ inline int group_of_lane() { return static_cast<int>(threadIdx.x) % 32 / 4; }
__device__ inline int place_in_group() { return static_cast<int>(threadIdx.x) % 4; }

// Four neighbours of a row in shared memory. Where they lie differs from row to row, so that no two
// lanes meet in a bank: those that read two rows' operands at once, or write results of every other
// row.
template <int kColumns>
struct SwizzledRows {
  float at[kRowsOnMatrixUnits][kColumns];

  __device__ float* quad(int row, int number) {
    return &at[row][4 * (number ^ (row / 2 * 2) ^ (row % 2 * 4))];
  }
};

// Of two places of a product's sums each, as the right operand wants them.
struct OperandPairs {
  unsigned first[2];
  unsigned second[2];

  __device__ explicit OperandPairs(const float* four) {
    const auto values = ld_vec<float4>(four);
    first[0] = __float_as_uint(values.x);
    first[1] = __float_as_uint(values.y);
    second[0] = __float_as_uint(values.z);
    second[1] = __float_as_uint(values.w);
  }
};

__device__ inline float rounded_to_tf32(float x) { return __uint_as_float(to_tf32(x)); }

}  // namespace
}  // namespace braid::kernels
