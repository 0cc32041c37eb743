#pragma once
#include "engine/graph/graph.hpp"
#include "kernels/activation.hpp"
#include "kernels/embedding.hpp"

namespace braid::ops {

struct LstmInputs {
  Value in;         // [B, T, E]; or ids [B, T], of rows of
  Value table;      // [V, E], if there is one
  Value mask;       // [B, T] bool; absent: every step is valid
  Value kernel;     // [E, 4H]
  Value recurrent;  // [H, 4H]
  Value bias;       // [4H]; may be absent
  Value initial_h;  // [B, H]; absent: 0
  Value initial_c;  // [B, H]; absent: 0
};

struct LstmOptions {
  kernels::Activation activation{kernels::ActivationKind::tanh};
  kernels::Activation recurrent_activation{kernels::ActivationKind::sigmoid};
  bool go_backwards = false;
};

// Of ids, where they are the input.
struct LstmIds {
  std::string layer = "embedding";        // that checks them, for messages
  std::int32_t padding = kernels::kNoId;  // steps of this id are masked, too
};

struct LstmOutputs {
  Value sequence;     // [B, T, H]
  Value last_output;  // [B, H]
  Value last_h;       // [B, H]
  Value last_c;       // [B, H]
};

// A whole masked LSTM over time as one op (kernels/lstm.hpp).
LstmOutputs lstm(Graph& graph, const LstmInputs& inputs, const LstmOptions& options);

class Lstm final : public Op {
 public:
  // Operands, in this order.
  enum Input { kIn, kMask, kKernel, kRecurrent, kBias, kInitialH, kInitialC, kTable, kInputs };

  explicit Lstm(LstmOptions options, LstmIds ids = {}) : options_(options), ids_(std::move(ids)) {}

  const LstmOptions& options() const { return options_; }

  std::string_view kind() const override { return "lstm"; }
  std::string detail() const override;
  std::vector<ValueInfo> infer(Infos in) const override;
  std::int64_t scratch_bytes(Infos in, std::int64_t rows) const override;
  double operations(Infos in, Infos out) const override;
  void run(const Run& run) const override;
  std::vector<Value> gradients(GradientBuilder& build) const override;

 private:
  LstmOptions options_;
  LstmIds ids_;
};

}  // namespace braid::ops
