#pragma once
#include "kernels/lstm_gates.hpp"
#include "kernels/lstm_gpu.hpp"
#include "kernels/lstm_sequence.hpp"

// What one unit of one row reads and leaves, where c lies in memory from step to step.
namespace braid::kernels {
namespace {

__device__ inline void write_states(const LstmForward& args, int row, int unit, float h, float c) {
  if (args.last_output) args.last_output.row(row)[unit] = h;
  if (args.last_h) args.last_h.row(row)[unit] = h;
  if (args.last_c) args.last_c.row(row)[unit] = c;
}

// To its state before the first token; returns h.
__device__ inline float begin_unit(const LstmForwardSlice& slice, const LstmTokens::Row& row,
                                   std::int64_t place, int unit) {
  const LstmForward& args = slice.args;
  const float h = args.initial_h ? args.initial_h.row(row.index)[unit] : 0.0F;
  const float c = args.initial_c ? args.initial_c.row(row.index)[unit] : 0.0F;
  slice.c[place * args.shape.units + unit] = c;
  if (args.sequence) {
    SequenceColumn<float>(args.sequence, slice.tokens, row, unit)
        .write(0, slice.tokens.place_of(row, 0), h);
  }
  if (row.count == 0) write_states(args, row.index, unit, h, c);
  return h;
}

// What a step has made.
__device__ inline void end_step(const LstmForwardSlice& slice, const LstmTokens::Row& row, int step,
                                std::int64_t place, int unit, const CellState& state) {
  const LstmForward& args = slice.args;
  const LstmTokens& tokens = slice.tokens;
  const std::int64_t units = args.shape.units;
  slice.c[place * units + unit] = state.c;
  if (slice.kept.gates != nullptr) {
    const std::int64_t at = (row.first + step) * units + unit;
    st_vec(slice.kept.gates + at * 4, state.kept);
    slice.kept.c[at] = state.c;
    slice.kept.h[at] = state.h;
  }
  if (args.sequence) {
    SequenceColumn<float>(args.sequence, tokens, row, unit)
        .write(tokens.place_of(row, step), tokens.place_of(row, step + 1), state.h);
  }
  if (step + 1 == row.count) write_states(args, row.index, unit, state.h, state.c);
}

// What a unit of a row does with the gradient of its h; step -1 is the state before the first
// token. All that does not depend on what arrives from the step behind is read at once.
template <bool kDefault>
class BackwardUnit {
 public:
  BackwardUnit() = default;  // of a row that has no steps
  __device__ BackwardUnit(const LstmBackwardSlice& slice, const LstmTokens::Row& row, int step,
                          std::int64_t place, int unit)
      : has_step_(step < row.count), is_last_(step + 1 == row.count) {
    if (!has_step_) return;
    const LstmBackward& args = slice.args;
    const LstmTokens& tokens = slice.tokens;
    const std::int64_t units = args.shape.units;
    if (is_last_) {
      h_grad_ = of_state(args.last_output_grad, row.index, unit) +
                of_state(args.last_h_grad, row.index, unit);
    }
    if (args.sequence_grad) {
      h_grad_ +=
          SequenceColumn<const float>(args.sequence_grad, tokens, row, unit)
              .sum(step < 0 ? 0 : tokens.place_of(row, step), tokens.place_of(row, step + 1));
    }
    c_grad_ =
        is_last_ ? of_state(args.last_c_grad, row.index, unit) : slice.c_grad[place * units + unit];
    if (step < 0) return;
    const std::int64_t at = (row.first + step) * units + unit;
    const float c_before =
        step > 0 ? slice.kept.c[at - units] : of_state(args.initial_c, row.index, unit);
    slopes_ = cell_slopes<kDefault>(ld_vec<float4>(slice.kept.gates + at * 4), slice.kept.c[at],
                                    c_before, {args.activation, args.recurrent_activation});
  }

  __device__ bool has_step() const { return has_step_; }
  // Gradients of the gates, of a token's step. sum: what arrives from the step behind, if there is
  // one.
  __device__ float4 go_back(float sum) { return cell_backward(slopes_, h_grad(sum), c_grad_); }
  __device__ void write(const LstmBackwardSlice& slice, const LstmTokens::Row& row, int step,
                        std::int64_t place, int unit, const float4& z_grad) const {
    const std::int64_t units = slice.args.shape.units;
    st_vec(slice.z_grad + ((row.first + step) * units + unit) * 4, z_grad);
    slice.c_grad[place * units + unit] = c_grad_;
  }
  // Before the first token.
  __device__ void write_initial(const LstmBackward& args, const LstmTokens::Row& row, int unit,
                                float sum) const {
    if (args.initial_h_grad) args.initial_h_grad.row(row.index)[unit] = h_grad(sum);
    if (args.initial_c_grad) args.initial_c_grad.row(row.index)[unit] = c_grad_;
  }

 private:
  static __device__ float of_state(const Matrix<const float>& states, int row, int unit) {
    return states ? states.row(row)[unit] : 0.0F;
  }
  __device__ float h_grad(float sum) const { return is_last_ ? h_grad_ : sum + h_grad_; }

  bool has_step_ = false;
  bool is_last_ = false;
  float h_grad_ = 0;  // all but what arrives from the step behind
  float c_grad_ = 0;
  CellSlopes slopes_{};
};

}  // namespace
}  // namespace braid::kernels
