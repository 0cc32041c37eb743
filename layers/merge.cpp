#include "layers/merge.hpp"

#include <algorithm>

#include "engine/graph/ops/elementwise.hpp"
#include "engine/graph/ops/mask.hpp"
#include "engine/graph/ops/shape.hpp"
#include "layers/make.hpp"

namespace braid::layers {
namespace {

using kernels::BinaryKind;

bool any_ragged(const LayerCall& call) {
  return std::any_of(call.inputs.begin(), call.inputs.end(),
                     [](const Lowered& input) { return input.ragged; });
}

bool all_masked(const LayerCall& call) {
  return std::all_of(call.inputs.begin(), call.inputs.end(),
                     [](const Lowered& input) { return static_cast<bool>(input.mask); });
}

// The OR of all masks; none if an input has none.
Value joint_mask(LayerCall& call) {
  if (!all_masked(call)) return {};
  Value mask = call.inputs.front().mask;
  for (std::size_t i = 1; i < call.inputs.size(); ++i)
    mask = ops::either(call.graph, mask, call.inputs[i].mask);
  return mask;
}

// Add, Subtract, Multiply, Average, Maximum, Minimum: the inputs folded from left to right.
class FoldLayer final : public LayerOf<MergeOptions> {
 public:
  enum class Rule { add, subtract, multiply, average, maximum, minimum };
  FoldLayer(const char* class_name, Rule rule, MergeOptions options)
      : LayerOf(class_name, std::move(options)), rule_(rule) {}
  nlohmann::json config() const override { return nlohmann::json::object(); }

  std::vector<Lowered> call(LayerCall& call) override {
    const std::size_t count = call.inputs.size();
    if (count < 2 || (rule_ == Rule::subtract && count != 2)) {
      throw ShapeError(described() + " takes " +
                       (rule_ == Rule::subtract ? "exactly 2" : "2 or more") + " inputs; " +
                       std::to_string(count) + " came");
    }
    join_ragged(call);
    const bool leaves_out =
        rule_ == Rule::multiply || rule_ == Rule::maximum || rule_ == Rule::minimum;
    Graph& graph = call.graph;
    Value result = ops::to_float(graph, call.inputs[0].value);
    Value valid = leaves_out ? call.inputs[0].mask : Value{};
    try {
      for (std::size_t i = 1; i < count; ++i) {
        const Lowered& next = call.inputs[i];
        result = ops::binary(graph, kind(), result, ops::to_float(graph, next.value), valid,
                             leaves_out ? next.mask : Value{});
        // What has been folded is valid where one of its inputs was; an unmasked input makes it
        // valid everywhere.
        if (leaves_out) valid = i > 1 && !valid ? Value{} : join(graph, call, i, valid);
      }
    } catch (const ShapeError& error) {
      throw ShapeError(described() + ": " + error.what());
    }
    if (rule_ == Rule::average)
      result = ops::affine(graph, result, 1.0F / static_cast<float>(count));
    const Value mask = joint_mask(call);
    if (rule_ == Rule::multiply && mask) result = zero_invalid(graph, result, mask);
    return {{.value = result, .mask = mask, .ragged = mask && any_ragged(call)}};
  }

 private:
  BinaryKind kind() const {
    switch (rule_) {
      case Rule::add:
      case Rule::average: return BinaryKind::add;
      case Rule::subtract: return BinaryKind::subtract;
      case Rule::multiply: return BinaryKind::multiply;
      case Rule::maximum: return BinaryKind::maximum;
      case Rule::minimum: return BinaryKind::minimum;
    }
    return BinaryKind::add;
  }

  // The validity of the first i + 1 inputs folded.
  static Value join(Graph& graph, const LayerCall& call, std::size_t i, Value valid) {
    const Value next = call.inputs[i].mask;
    if (!valid || !next) return {};
    return ops::either(graph, valid, next);
  }

  static Value zero_invalid(Graph& graph, Value in, Value mask) {
    Value numbers = ops::mask_weights(graph, mask);
    const std::size_t rank = graph.info(in).shape.rank();
    for (std::size_t axis = 2; axis < rank; ++axis) {
      const Shape& shape = graph.info(numbers).shape;
      numbers = ops::reshape(graph, numbers, shape.slice(1, shape.rank()).append(1));
    }
    return ops::binary(graph, BinaryKind::multiply, in, numbers);
  }

  Rule rule_;
};

LayerMaker fold(const char* class_name, FoldLayer::Rule rule) {
  return [=](const nlohmann::json& config) -> std::shared_ptr<LayerBase> {
    ConfigReader(class_name, config).finish();
    return std::make_shared<FoldLayer>(class_name, rule, MergeOptions{});
  };
}

class ConcatenateLayer final : public LayerOf<ConcatenateOptions> {
 public:
  explicit ConcatenateLayer(ConcatenateOptions options)
      : LayerOf("Concatenate", std::move(options)) {}
  nlohmann::json config() const override { return {{"axis", options_.axis}}; }

  std::vector<Lowered> call(LayerCall& call) override {
    Graph& graph = call.graph;
    std::vector<Value> values;
    std::vector<Value> masks;
    bool masked = false;
    const auto rank = static_cast<int>(call.info().shape.rank());
    for (const Lowered& input : call.inputs) {
      values.push_back(ops::to_float(graph, input.value));
      masks.push_back(input.mask);
      masked = masked || input.mask;
    }
    try {
      const Value joined = ops::concatenate(graph, values, options_.axis);
      const Value mask =
          masked ? ops::concatenated_mask(graph, values, masks, options_.axis) : Value{};
      const bool along_steps = options_.axis == 1 || options_.axis == 1 - rank;
      if (!along_steps) join_ragged(call);
      if (along_steps && any_ragged(call) && call.ragged_rules != nullptr)
        call.ragged_rules->holed.push_back(mask);
      return {{.value = joined, .mask = mask, .ragged = any_ragged(call)}};
    } catch (const ShapeError& error) {
      throw ShapeError(described() + ": " + error.what());
    }
  }
};

using Rule = FoldLayer::Rule;
const LayerRegistration registrations[] = {
    {"Add", fold("Add", Rule::add)},
    {"Subtract", fold("Subtract", Rule::subtract)},
    {"Multiply", fold("Multiply", Rule::multiply)},
    {"Average", fold("Average", Rule::average)},
    {"Maximum", fold("Maximum", Rule::maximum)},
    {"Minimum", fold("Minimum", Rule::minimum)},
    {"Concatenate",
     [](const nlohmann::json& config) -> std::shared_ptr<LayerBase> {
       return std::make_shared<ConcatenateLayer>(
           ConcatenateOptions{.axis = config.value("axis", -1)});
     }},
};

std::shared_ptr<LayerBase> make_fold(const char* class_name, Rule rule, MergeOptions options) {
  return std::make_shared<FoldLayer>(class_name, rule, std::move(options));
}

}  // namespace

Concatenate::Concatenate(ConcatenateOptions options)
    : Layer(std::make_shared<ConcatenateLayer>(std::move(options))) {}
Add::Add(MergeOptions options) : Layer(make_fold("Add", Rule::add, std::move(options))) {}
Subtract::Subtract(MergeOptions options)
    : Layer(make_fold("Subtract", Rule::subtract, std::move(options))) {}
Multiply::Multiply(MergeOptions options)
    : Layer(make_fold("Multiply", Rule::multiply, std::move(options))) {}
Average::Average(MergeOptions options)
    : Layer(make_fold("Average", Rule::average, std::move(options))) {}
Maximum::Maximum(MergeOptions options)
    : Layer(make_fold("Maximum", Rule::maximum, std::move(options))) {}
Minimum::Minimum(MergeOptions options)
    : Layer(make_fold("Minimum", Rule::minimum, std::move(options))) {}

SymbolicTensor concatenate(const std::vector<SymbolicTensor>& inputs, ConcatenateOptions options) {
  return Concatenate(std::move(options))(inputs);
}
SymbolicTensor add(const std::vector<SymbolicTensor>& inputs, MergeOptions options) {
  return Add(std::move(options))(inputs);
}
SymbolicTensor subtract(const std::vector<SymbolicTensor>& inputs, MergeOptions options) {
  return Subtract(std::move(options))(inputs);
}
SymbolicTensor multiply(const std::vector<SymbolicTensor>& inputs, MergeOptions options) {
  return Multiply(std::move(options))(inputs);
}
SymbolicTensor average(const std::vector<SymbolicTensor>& inputs, MergeOptions options) {
  return Average(std::move(options))(inputs);
}
SymbolicTensor maximum(const std::vector<SymbolicTensor>& inputs, MergeOptions options) {
  return Maximum(std::move(options))(inputs);
}
SymbolicTensor minimum(const std::vector<SymbolicTensor>& inputs, MergeOptions options) {
  return Minimum(std::move(options))(inputs);
}

}  // namespace braid::layers
