#pragma once
#include <utility>

#include "kernels/lstm_rows.hpp"
#include "kernels/lstm_single_row.hpp"
#include "kernels/product.hpp"

namespace braid::kernels {
namespace {

// With fewer tokens than this the kernel is read where it lies.
constexpr std::int64_t kTokensWorthPanels = 18;

// Outputs of a row hold from the step that made them until the next valid one.
class RepeatedOutputs {
 public:
  RepeatedOutputs(const LstmForward& args, const LstmPacking& packing)
      : args_(args), packing_(packing) {}

  // Before the first valid step.
  void write_start(std::int64_t i) const {
    const std::int64_t until = packing_.counts[i] == 0 ? args_.shape.steps : processed(i, 0);
    write(i, 0, until, row_or_null(args_.initial_h, packing_.order[i]));
  }
  void write_step(std::int64_t i, std::int64_t s, const float* h) const {
    write(i, processed(i, s), s + 1 < packing_.counts[i] ? processed(i, s + 1) : args_.shape.steps,
          h);
  }

 private:
  // The place among all steps, in the order of work.
  std::int64_t processed(std::int64_t i, std::int64_t s) const {
    const std::int64_t t = packing_.positions[i * args_.shape.steps + s];
    return args_.go_backwards ? args_.shape.steps - 1 - t : t;
  }
  void write(std::int64_t i, std::int64_t from, std::int64_t until, const float* h) const {
    const std::int64_t first = packing_.order[i] * args_.shape.steps;
    for (std::int64_t k = from; k < until; ++k)
      copy_row(args_.sequence.row(first + k), h, args_.shape.units);
  }

  const LstmForward& args_;
  const LstmPacking& packing_;
};

// The forward pass over the rows of a call, a packed step at a time. The inputs of its tokens have
// been multiplied with the kernel before, by whom the pass does not know.
class LstmForwardPass {
 public:
  explicit LstmForwardPass(const LstmForward& args)
      : args_(args),
        units_(args.shape.units),
        layout_(lstm_scratch_layout(args.shape, false)),
        packing_(pack_lstm(args.shape, lstm_mask(args), args.go_backwards,
                           static_cast<std::byte*>(args.scratch), layout_)),
        outputs_(args, packing_),
        saved_(saved_blocks(args.saved, args.shape)),
        is_plain_(is_default(args.activation, args.recurrent_activation)),
        h_(floats(layout_.h)),
        c_(floats(layout_.c)),
        other_h_(h_ + units_) {
    // The one copy of the recurrent kernel that the steps read, if they read a copy.
    if (is_plain_ && is_worth_gate_panels(args.shape, packing_.steps)) {
      gate_panels_ = make_gate_panels(args.recurrent, floats(layout_.recurrent));
    } else if (args.shape.rows >= kPanelRows) {
      recurrent_ = make_panels(args.recurrent, floats(layout_.recurrent));
    }
    for (std::int64_t i = 0; i < args.shape.rows; ++i) {
      const std::int64_t b = packing_.order[i];
      copy_row(h_ + i * units_, row_or_null(args.initial_h, b), units_);
      copy_row(c_ + i * units_, row_or_null(args.initial_c, b), units_);
      if (args.sequence) outputs_.write_start(i);
    }
  }
  LstmForwardPass(const LstmForwardPass&) = delete;
  LstmForwardPass& operator=(const LstmForwardPass&) = delete;

  const LstmPacking& packing() const { return packing_; }

  // Panels of the kernel.
  Panels make_kernel_panels() const { return make_panels(args_.kernel, floats(layout_.kernel)); }

  // Where the pre-activations of a token lie: for good, or in a block whose first token this is.
  float* gates(std::int64_t token, std::int64_t block) const {
    return args_.saved != nullptr ? saved_.gates + token * 4 * units_
                                  : floats(layout_.gates) + (token - block) * 4 * units_;
  }

  // The inputs of steps `first` to `last`, by the kernel, or by panels of it where there are any.
  void project(std::int64_t first, std::int64_t last, std::int64_t block,
               const Panels& kernel) const {
    const std::int64_t token = packing_.starts[first];
    float* const rows = floats(layout_.block) + (token - block) * args_.shape.features;
    const auto in = gather_inputs(args_, packing_, first, last, rows);
    const Matrix<float> z{gates(token, block), in.rows, 4 * units_, 4 * units_};
    if (kernel.data == nullptr) {
      product(in, args_.kernel, args_.bias, z, false);
    } else {
      product(in, kernel, args_.bias, z, false);
    }
  }

  // z: of the step's first token.
  void step(std::int64_t s, float* z) {
    const std::int64_t active = packing_.active(s);
    const std::int64_t first = packing_.starts[s];
    const auto cell_of = [&](std::int64_t i, float* h_after) {
      float* activated = args_.saved != nullptr ? saved_.activated + (first + i) * units_ : h_after;
      return CellForward{z + i * 4 * units_, c_ + i * units_, activated, h_after, units_};
    };
    if (gate_panels_ != nullptr) {
      single_row_step(gate_panels_, h_, cell_of(0, other_h_), s % 2 != 0);
      std::swap(h_, other_h_);
    } else {
      const Matrix<const float> before{h_, active, units_, units_};
      const Matrix<float> sums{z, active, 4 * units_, 4 * units_};
      if (recurrent_.data == nullptr || active < kPanelRows) {
        product(before, args_.recurrent, nullptr, sums, true);
      } else {
        product(before, recurrent_, nullptr, sums, true);
      }
      for (std::int64_t i = 0; i < active; ++i) {
        if (is_plain_) {
          default_cell(cell_of(i, h_ + i * units_));
        } else {
          any_cell(cell_of(i, h_ + i * units_), args_.activation, args_.recurrent_activation);
        }
      }
    }
    for (std::int64_t i = 0; args_.sequence && i < active; ++i)
      outputs_.write_step(i, s, h_ + i * units_);
    if (args_.saved != nullptr) copy_row(saved_.c + first * units_, c_, active * units_);
  }

  // Behind the last step.
  void write_states() const {
    for (std::int64_t i = 0; i < args_.shape.rows; ++i) {
      const std::int64_t b = packing_.order[i];
      if (args_.last_output) copy_row(args_.last_output.row(b), h_ + i * units_, units_);
      if (args_.last_h) copy_row(args_.last_h.row(b), h_ + i * units_, units_);
      if (args_.last_c) copy_row(args_.last_c.row(b), c_ + i * units_, units_);
    }
  }

 private:
  float* floats(std::int64_t offset) const {
    return reinterpret_cast<float*>(static_cast<std::byte*>(args_.scratch) + offset);
  }

  const LstmForward& args_;
  std::int64_t units_;
  LstmScratch layout_;
  LstmPacking packing_;
  RepeatedOutputs outputs_;
  Saved saved_;
  bool is_plain_;
  const float* gate_panels_ = nullptr;
  Panels recurrent_{};
  float* h_;
  float* c_;
  float* other_h_;  // of a row that is alone, which goes to and fro between two
};

}  // namespace
}  // namespace braid::kernels
