#include "engine/graph/ops/dropout.hpp"

#include "engine/graph/autograd.hpp"
#include "kernels/dropout.hpp"

namespace braid::ops {
namespace {

class Dropout final : public Op {
 public:
  Dropout(double rate, std::uint64_t salt) : rate_(rate), salt_(salt) {}
  std::string_view kind() const override { return "dropout"; }
  std::string detail() const override { return std::to_string(rate_); }
  std::vector<ValueInfo> infer(Infos in) const override { return {in[0]}; }
  bool is_random() const override { return true; }
  bool joins_row_programs(Infos) const override { return true; }
  void run(const Run& run) const override {
    const Matrix<const float> in = run.in<float>(0);
    const std::int64_t rows_per_batch_row = run.rows() == 0 ? 0 : in.rows / run.rows();
    run.launch(kernels::Dropout{.in = in,
                                .out = run.out<float>(0),
                                .rate = static_cast<float>(rate_),
                                .state = run.random_state(),
                                .salt = salt_ * 0x9E3779B97F4A7C15ULL,
                                .first_row = run.first_row() * rows_per_batch_row});
  }
  // The same elements fall, and the rest is scaled alike.
  std::vector<Value> gradients(GradientBuilder& build) const override {
    return {build.graph.op<Dropout>({build.gradient()}, rate_, salt_)};
  }

 private:
  double rate_;
  std::uint64_t salt_;
};

}  // namespace

Value dropout(Graph& graph, Value in, double rate, std::uint64_t salt) {
  return rate == 0 ? in : graph.op<Dropout>({in}, rate, salt);
}

}  // namespace braid::ops
