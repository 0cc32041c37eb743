#pragma once
#include "engine/graph/graph.hpp"
#include "kernels/dense.hpp"

namespace braid::ops {

// activation(in . kernel + bias) over the last axis: [..., K] . [K, M] -> [..., M]. Layers emit it
// with a linear activation; the fusion pass puts in one whose derivative can be had from the
// output.
class Dense final : public Op {
 public:
  explicit Dense(kernels::Activation activation = {}) : activation_(activation) {}

  std::string_view kind() const override { return "dense"; }
  std::string detail() const override;
  std::vector<ValueInfo> infer(Infos inputs) const override;
  std::int64_t library_bytes(Infos inputs, std::int64_t rows,
                             kernels::Precision precision) const override;
  bool tileable(Infos inputs) const override;
  std::int64_t parts(Infos inputs) const override;
  bool joins_row_programs(Infos inputs) const override;
  void run(const Run& run) const override;
  std::vector<Value> gradients(GradientBuilder& build) const override;
  double operations(Infos inputs, Infos outputs) const override;

 private:
  kernels::Activation activation_;
};

// bias may be absent.
Value dense(Graph& graph, Value in, Value kernel, Value bias);

}  // namespace braid::ops
