#include "layers/lstm.hpp"

#include "engine/graph/apply_activation.hpp"
#include "engine/graph/ops/elementwise.hpp"
#include "engine/graph/ops/lstm.hpp"
#include "layers/make.hpp"

namespace braid::layers {

template <class Fields>
void describe(Fields& fields, LSTMOptions& options) {
  fields("units", options.units);
  fields("activation", options.activation);
  fields("recurrent_activation", options.recurrent_activation);
  fields("use_bias", options.use_bias);
  fields("kernel_initializer", options.kernel_initializer);
  fields("recurrent_initializer", options.recurrent_initializer);
  fields("bias_initializer", options.bias_initializer);
  fields("unit_forget_bias", options.unit_forget_bias);
  fields("kernel_regularizer", options.kernel_regularizer);
  fields("recurrent_regularizer", options.recurrent_regularizer);
  fields("bias_regularizer", options.bias_regularizer);
  fields("activity_regularizer", options.activity_regularizer);
  fields("return_sequences", options.return_sequences);
  fields("return_state", options.return_state);
  fields("go_backwards", options.go_backwards);
}

namespace {

class LSTMLayer final : public LayerOf<LSTMOptions> {
 public:
  explicit LSTMLayer(LSTMOptions options) : LayerOf("LSTM", std::move(options)) {
    require_positive("units", options_.units);
  }
  nlohmann::json config() const override { return written(options_); }
  bool returns_state() const { return options_.return_state; }

  void build(const std::vector<ValueInfo>& inputs) override {
    const Shape& shape = inputs[0].shape;
    if (shape.rank() != 3 || shape.back() == None) {
      throw ShapeError(described() +
                       ": the input must be [batch, steps, features] with known features, not " +
                       to_string(shape));
    }
    const Dim units = options_.units;
    add_weight("kernel", {shape.back(), 4 * units}, options_.kernel_initializer,
               options_.kernel_regularizer);
    add_weight("recurrent_kernel", {units, 4 * units}, options_.recurrent_initializer,
               options_.recurrent_regularizer);
    if (options_.use_bias) {
      const auto bias =
          add_weight("bias", {4 * units}, options_.bias_initializer, options_.bias_regularizer);
      if (options_.unit_forget_bias) bias->ones = {units, 2 * units};
    }
  }

  std::vector<Lowered> call(LayerCall& call) override {
    Graph& graph = call.graph;
    const Lowered& input = call.input();
    if (call.info().shape.rank() != 3) {
      throw ShapeError(described() + ": the input must be [batch, steps, features], not " +
                       to_string(call.info().shape));
    }
    if (!call.initial_state.empty() && call.initial_state.size() != 2) {
      throw ShapeError(described() + ": the initial state is two tensors, h and c; " +
                       std::to_string(call.initial_state.size()) + " came");
    }
    if (input.ragged && options_.go_backwards && options_.return_sequences) {
      throw ShapeError(described() +
                       ": going backwards, its sequence begins with the steps behind the end of "
                       "each row, so it cannot return the sequence of ragged rows");
    }
    for (const Lowered& state : call.initial_state) require_state(graph, state);
    if (call.has_explicit_mask) require_mask(graph, call);
    const ops::LstmOutputs out =
        ops::lstm(graph,
                  {.in = ops::to_float(graph, input.value),
                   .mask = used_mask(call),
                   .kernel = weight(call, 0),
                   .recurrent = weight(call, 1),
                   .bias = options_.use_bias ? weight(call, 2) : Value{},
                   .initial_h = call.initial_state.empty() ? Value{} : call.initial_state[0].value,
                   .initial_c = call.initial_state.empty() ? Value{} : call.initial_state[1].value},
                  {.activation = elementwise(options_.activation),
                   .recurrent_activation = elementwise(options_.recurrent_activation),
                   .go_backwards = options_.go_backwards});
    const Value output = options_.return_sequences ? out.sequence : out.last_output;
    add_activity_penalty(call, options_.activity_regularizer, output);
    const Value carried = call.has_explicit_mask ? call.explicit_mask : input.mask;
    std::vector<Lowered> results{{.value = output,
                                  .mask = options_.return_sequences ? carried : Value{},
                                  .ragged = options_.return_sequences && input.ragged}};
    if (options_.return_state) {
      results.push_back({.value = out.last_h});
      results.push_back({.value = out.last_c});
    }
    return results;
  }

 private:
  Value used_mask(const LayerCall& call) const {
    if (call.has_explicit_mask) return call.explicit_mask;
    if (call.initial_state.empty()) return call.input().mask;
    if (call.input().mask) {
      if (call.input().ragged) return call.input().mask;
      warn(
          "does not use the mask of its sequence because initial_state is given; pass .mask to use "
          "it");
    }
    return {};
  }

  void require_mask(const Graph& graph, const LayerCall& call) const {
    const ValueInfo& mask = graph.info(call.explicit_mask);
    const Shape wanted = call.info().shape.slice(0, 2);
    if (mask.dtype != DType::bool_) {
      throw DTypeError(described() + ": a mask must be bool, not " +
                       std::string(name_of(mask.dtype)));
    }
    const bool fits = mask.shape.rank() == 2 &&
                      (mask.shape[1] == wanted[1] || mask.shape[1] == None || wanted[1] == None);
    if (!fits) {
      throw ShapeError(described() + ": the mask of this sequence must be " + to_string(wanted) +
                       ", not " + to_string(mask.shape));
    }
  }

  void require_state(const Graph& graph, const Lowered& state) const {
    const Shape& shape = graph.info(state.value).shape;
    if (shape.rank() != 2 || shape[1] != static_cast<Dim>(options_.units)) {
      throw ShapeError(described() + ": an initial state must be [batch, " +
                       std::to_string(options_.units) + "], not " + to_string(shape));
    }
  }
};

const LayerRegistration registration("LSTM", from_options<LSTMLayer, LSTMOptions>("LSTM"));

}  // namespace

LSTM::LSTM(LSTMOptions options) : Layer(std::make_shared<LSTMLayer>(std::move(options))) {}

SymbolicTensor LSTM::operator()(const SymbolicTensor& sequence, RecurrentCall call) const {
  return call_layer(base_, {.inputs = {sequence},
                            .initial_state = std::move(call.initial_state),
                            .mask = std::move(call.mask)})
      .front();
}

LSTMStates LSTM::states(const SymbolicTensor& sequence, RecurrentCall call) const {
  if (!static_cast<const LSTMLayer&>(*base_).returns_state()) {
    throw NameError(base_->described() + ": states() needs the option return_state");
  }
  const auto results = call_layer(base_, {.inputs = {sequence},
                                          .initial_state = std::move(call.initial_state),
                                          .mask = std::move(call.mask)});
  return {results[0], results[1], results[2]};
}

}  // namespace braid::layers
