#include "engine/graph/ops/mask.hpp"

#include "engine/core/error.hpp"
#include "engine/graph/autograd.hpp"
#include "engine/graph/ops/shape.hpp"
#include "kernels/mask.hpp"

namespace braid::ops {
namespace {

ValueInfo mask_info(const ValueInfo& like, std::size_t rank) {
  return {.shape = like.shape.slice(0, rank), .dtype = DType::bool_, .batched = like.batched};
}

void require_same_steps(const ValueInfo& a, const ValueInfo& b) {
  if (a.shape.rank() < 2 || b.shape.rank() < 2) return;
  const bool known = a.shape[1] != None && b.shape[1] != None;
  if (!known || a.shape[1] == b.shape[1]) return;
  throw ShapeError("masks or steps of " + to_string(a.shape) + " and " + to_string(b.shape) +
                   " do not go together");
}

// One column of bytes: a mask entry for each step.
template <class T>
Matrix<T> as_column(Matrix<T> matrix) {
  return {matrix.data, matrix.rows * matrix.columns, 1, 1};
}

class MaskingGradient final : public Op {
 public:
  std::string_view kind() const override { return "masking_gradient"; }
  bool needs_packed() const override { return true; }
  std::vector<ValueInfo> infer(Infos in) const override { return {in[1]}; }
  void run(const Run& run) const override {
    run.launch(kernels::MaskingBackward{.mask = as_column(run.in<std::uint8_t>(0)),
                                        .out_grad = run.in<float>(1),
                                        .in_grad = run.out<float>(0)});
  }
};

class Masking final : public Op {
 public:
  explicit Masking(float value) : value_(value) {}
  std::string_view kind() const override { return "masking"; }
  bool needs_packed() const override { return true; }
  std::string detail() const override { return std::to_string(value_); }
  std::vector<ValueInfo> infer(Infos in) const override {
    return {in[0], mask_info(in[0], in[0].shape.rank() - 1)};
  }
  void run(const Run& run) const override {
    run.launch(kernels::MaskingForward{.in = run.in<float>(0),
                                       .and_mask = as_column(run.in<std::uint8_t>(1)),
                                       .out = run.out<float>(0),
                                       .mask = as_column(run.out<std::uint8_t>(1)),
                                       .value = value_});
  }
  std::vector<Value> gradients(GradientBuilder& build) const override {
    return {build.graph.op<MaskingGradient>({build.output(1), build.gradient(0)}), Value{}};
  }

 private:
  float value_;
};

class CombineMasks final : public Op {
 public:
  explicit CombineMasks(bool all) : all_(all) {}
  std::string_view kind() const override { return all_ ? "both" : "either"; }
  std::vector<ValueInfo> infer(Infos in) const override {
    require_same_steps(in[0], in[1]);
    return {in[0]};
  }
  void run(const Run& run) const override {
    run.launch(kernels::CombineMasks{.a = run.in<std::uint8_t>(0),
                                     .b = run.in<std::uint8_t>(1),
                                     .out = run.out<std::uint8_t>(0),
                                     .all = all_});
  }

 private:
  bool all_;
};

class AllValid final : public Op {
 public:
  std::string_view kind() const override { return "all_valid"; }
  bool reads(std::size_t) const override { return false; }
  std::vector<ValueInfo> infer(Infos in) const override { return {mask_info(in[0], 2)}; }
  void run(const Run& run) const override {
    const Matrix<std::uint8_t> out = run.out<std::uint8_t>(0);
    run.launch(kernels::RowEnds{.ends = nullptr, .mask = out});
  }
};

class AnyOfLastAxis final : public Op {
 public:
  std::string_view kind() const override { return "any_of_last_axis"; }
  bool needs_packed() const override { return true; }
  std::vector<ValueInfo> infer(Infos in) const override {
    return {mask_info(in[0], in[0].shape.rank() - 1)};
  }
  void run(const Run& run) const override {
    const Matrix<const std::uint8_t> in = run.in<std::uint8_t>(0);
    const Matrix<std::uint8_t> out = as_column(run.out<std::uint8_t>(0));
    run.launch(kernels::CombineMasks{
        .a = {in.data, in.rows, 1, in.stride}, .b = {in.data, in.rows, 1, in.stride}, .out = out});
    for (std::int64_t column = 1; column < in.columns; ++column) {
      run.launch(kernels::CombineMasks{
          .a = out, .b = {in.data + column, in.rows, 1, in.stride}, .out = out});
    }
  }
};

// A mask [B, T] repeated to the shape of the value it belongs to.
class SpreadMask final : public Op {
 public:
  std::string_view kind() const override { return "spread_mask"; }
  bool reads(std::size_t input) const override { return input == 0; }
  bool needs_packed() const override { return true; }
  std::vector<ValueInfo> infer(Infos in) const override {
    return {mask_info(in[1], in[1].shape.rank())};
  }
  void run(const Run& run) const override {
    const Matrix<const std::uint8_t> mask = as_column(run.in<std::uint8_t>(0));
    Matrix<std::uint8_t> out = run.out<std::uint8_t>(0);
    const std::int64_t width = mask.rows == 0 ? 0 : out.rows * out.columns / mask.rows;
    for (std::int64_t column = 0; column < width; ++column) {
      const Matrix<std::uint8_t> target{out.data + column, mask.rows, 1, width};
      run.launch(kernels::CombineMasks{.a = mask, .b = mask, .out = target});
    }
  }
};

class MaskWeights final : public Op {
 public:
  std::string_view kind() const override { return "mask_weights"; }
  std::vector<ValueInfo> infer(Infos in) const override {
    return {{.shape = in[0].shape, .batched = in[0].batched}};
  }
  bool joins_row_programs(Infos) const override { return true; }
  void run(const Run& run) const override {
    run.launch(kernels::MaskToWeight{.mask = run.in<std::uint8_t>(0),
                                     .sample_weight = run.in<float>(1),
                                     .weight = run.out<float>(0)});
  }
};

class AverageGradient final : public Op {
 public:
  std::string_view kind() const override { return "average_over_time_gradient"; }
  bool reads(std::size_t input) const override { return input != 2; }
  std::vector<ValueInfo> infer(Infos in) const override { return {in[2]}; }
  bool needs_packed() const override { return true; }
  void run(const Run& run) const override {
    run.launch(kernels::AverageTimeBackward{.mask = run.in<std::uint8_t>(0),
                                            .out_grad = run.in<float>(1),
                                            .in_grad = run.out<float>(0)});
  }
};

class AverageOverTime final : public Op {
 public:
  std::string_view kind() const override { return "average_over_time"; }
  std::vector<ValueInfo> infer(Infos in) const override {
    const Shape& shape = in[0].shape;
    if (in[1].present) require_same_steps(in[0], in[1]);
    return {{.shape = Shape{shape[0], shape[2]}, .batched = in[0].batched}};
  }
  void run(const Run& run) const override {
    run.launch(kernels::AverageTimeForward{
        .in = run.in<float>(0), .mask = run.in<std::uint8_t>(1), .out = run.out<float>(0)});
  }
  std::vector<Value> gradients(GradientBuilder& build) const override {
    return {build.graph.op<AverageGradient>({build.input(1), build.gradient(), build.input(0)}),
            Value{}};
  }
};

}  // namespace

std::vector<ValueInfo> IdsNotEqual::infer(Infos in) const {
  return {mask_info(in[0], in[0].shape.rank())};
}
void IdsNotEqual::run(const Run& run) const {
  run.launch(kernels::IdsNotEqual{.ids = run.in<std::int32_t>(0),
                                  .and_mask = run.in<std::uint8_t>(1),
                                  .mask = run.out<std::uint8_t>(0),
                                  .value = value_});
}

Value ids_not_equal(Graph& graph, Value ids, std::int32_t value, Value also) {
  return graph.op<IdsNotEqual>({ids, also}, value);
}

MaskedValue masking(Graph& graph, Value in, float value, Value also) {
  const auto outputs = graph.add(std::make_shared<Masking>(value), {in, also});
  return {outputs[0], outputs[1]};
}

Value either(Graph& graph, Value a, Value b) {
  return a == b ? a : graph.op<CombineMasks>({a, b}, false);
}
Value both(Graph& graph, Value a, Value b) {
  return a == b ? a : graph.op<CombineMasks>({a, b}, true);
}
Value all_valid(Graph& graph, Value like) { return graph.op<AllValid>({like}); }

Value concatenated_mask(Graph& graph, const std::vector<Value>& values,
                        const std::vector<Value>& masks, std::int64_t axis) {
  // Of sequences that have features masks need not be spread over these: the steps of one are
  // joined to those of the next, or a step is valid in any of them.
  const bool are_sequences = std::all_of(values.begin(), values.end(), [&](Value value) {
    const Shape& shape = graph.info(value).shape;
    return shape.rank() == 3 && shape[2] > 0;
  });
  if (are_sequences && axis == 1) {
    std::vector<Value> steps;
    for (std::size_t i = 0; i < values.size(); ++i)
      steps.push_back(masks[i] ? masks[i] : all_valid(graph, values[i]));
    return concatenate(graph, steps, 1);
  }
  if (are_sequences && (axis == 2 || axis == -1)) {
    Value any = masks.front();
    for (const Value mask : masks) any = any && mask ? either(graph, any, mask) : Value{};
    return any ? any : all_valid(graph, values.front());
  }
  std::vector<Value> spread;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const Value mask = masks[i] ? masks[i] : all_valid(graph, values[i]);
    spread.push_back(graph.op<SpreadMask>({mask, values[i]}));
  }
  return graph.op<AnyOfLastAxis>({concatenate(graph, spread, axis)});
}

Value mask_weights(Graph& graph, Value mask, Value weights) {
  return graph.op<MaskWeights>({mask, weights});
}

Value average_over_time(Graph& graph, Value in, Value mask) {
  return graph.op<AverageOverTime>({in, mask});
}

}  // namespace braid::ops
