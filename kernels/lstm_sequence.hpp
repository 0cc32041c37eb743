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

// A unit of a row's outputs, written from the first step on: each stays until the next token's.
class WrittenOutputs {
 public:
  __device__ WrittenOutputs(const Matrix<float>& outputs, const LstmTokens& tokens,
                            const LstmTokens::Row& row, int unit)
      : to_(outputs.row(static_cast<std::int64_t>(row.index) * tokens.steps) + unit),
        stride_(outputs.stride) {}
  __device__ void write_until(int place, float h) {
    SIMT_NO_UNROLL
    for (; place_ < place; ++place_, to_ += stride_) *to_ = h;
  }

 private:
  float* to_;
  std::int64_t stride_;
  int place_ = 0;
};

// The gradients of a unit of a row's outputs, from the last token to the first.
class ArrivingGradients {
 public:
  __device__ ArrivingGradients(const Matrix<const float>& grads, const LstmTokens& tokens,
                               const LstmTokens::Row& row, int unit)
      : column_(grads, tokens, row, unit),
        tokens_(tokens),
        row_(row),
        until_(tokens.steps),
        word_(row.count > 0 ? tokens.word_of(row, row.count - 1) : 0U) {}
  // Of that token, to shared memory, where they are when the copies of the group are. What says
  // where those of the next one are is asked for at once.
  __device__ void take(int step, float* to) {
    const int from = tokens_.place_by_word(row_, step, word_);
    if (until_ - from == 1) {
      cp_async<4>(to, column_.at(from));
    } else {
      *to = column_.sum(from, until_);
    }
    until_ = from;
    if (step > 0) word_ = tokens_.word_of(row_, step - 1);
  }
  // Of the state before the first token, when all have been taken.
  __device__ float take_rest() const { return column_.sum(0, until_); }

 private:
  SequenceColumn<const float> column_;
  const LstmTokens& tokens_;
  LstmTokens::Row row_;
  int until_;
  std::uint32_t word_;
};

}  // namespace
}  // namespace braid::kernels
