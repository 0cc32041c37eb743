#pragma once
#include "kernels/lstm_gpu.hpp"
#include "kernels/simt/facade.hpp"

// One unit of a row's sequence of outputs: each output stays from the token that made it until the
// next one.
namespace braid::kernels {
namespace {

template <class T>
struct SequenceColumn {
  Matrix<T> sequence;
  std::int64_t first_row;
  int unit;

  __device__ SequenceColumn(const Matrix<T>& of, const LstmTokens& tokens,
                            const LstmTokens::Row& row, int column)
      : sequence(of),
        first_row(static_cast<std::int64_t>(row.index) * tokens.steps),
        unit(column) {}
  __device__ T* at(int place) const { return sequence.row(first_row + place) + unit; }
  __device__ void write(int from, int until, float h) const {
    SIMT_NO_UNROLL
    for (int place = from; place < until; ++place) *at(place) = h;
  }
  __device__ float sum(int from, int until) const {
    float total = 0;
    SIMT_NO_UNROLL
    for (int place = from; place < until; ++place) total += *at(place);
    return total;
  }
};

}  // namespace
}  // namespace braid::kernels
