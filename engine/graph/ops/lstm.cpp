#include "engine/graph/ops/lstm.hpp"

#include "engine/core/error.hpp"
#include "engine/graph/autograd.hpp"
#include "engine/graph/ops/activation.hpp"
#include "kernels/lstm.hpp"

namespace braid::ops {
namespace {

// Operands that forward and backward share, in this order.
enum { kIn, kMask, kKernel, kRecurrent, kBias, kInitialH, kInitialC, kForwardInputs };
// What the backward op gets behind them.
enum { kSaved = kForwardInputs, kSequenceGrad, kLastOutputGrad, kLastHGrad, kLastCGrad };
enum { kSequence, kLastOutput, kLastH, kLastC, kSavedOutput };

kernels::LstmShape shape_of(const Shape& in, const Shape& recurrent, std::int64_t rows) {
  return {.rows = rows, .steps = in[1], .features = in[2], .units = recurrent[0]};
}

double products(Infos in) {
  const Shape& shape = in[kIn].shape;
  const auto units = static_cast<double>(in[kRecurrent].shape[0]);
  return 2.0 * static_cast<double>(shape[0]) * static_cast<double>(shape[1]) * 4 * units *
         (static_cast<double>(shape[2]) + units);
}

class LstmGradient final : public Op {
 public:
  LstmGradient(LstmOptions options, std::vector<bool> needed)
      : options_(options), needed_(std::move(needed)) {}

  std::string_view kind() const override { return "lstm_gradient"; }
  // One output for each input of the forward op; the mask's is never there.
  std::vector<ValueInfo> infer(Infos in) const override {
    std::vector<ValueInfo> outputs;
    for (std::size_t i = 0; i < kForwardInputs; ++i) {
      outputs.push_back(needed_[i] && in[i].present ? in[i] : kAbsent);
    }
    return outputs;
  }
  std::int64_t scratch_bytes(Infos in, std::int64_t rows) const override {
    return kernels::lstm_backward_scratch(shape_of(in[kIn].shape, in[kRecurrent].shape, rows));
  }
  double operations(Infos in, Infos) const override { return 2 * products(in); }
  void run(const Run& run) const override {
    run.launch(kernels::LstmBackward{
        .shape = shape_of(run.in_shape(kIn), run.in_shape(kRecurrent), run.rows()),
        .in = run.in<float>(kIn),
        .mask = run.in<std::uint8_t>(kMask),
        .kernel = run.in<float>(kKernel),
        .recurrent = run.in<float>(kRecurrent),
        .initial_h = run.in<float>(kInitialH),
        .initial_c = run.in<float>(kInitialC),
        .saved = run.in<float>(kSaved).data,
        .sequence_grad = run.in<float>(kSequenceGrad),
        .last_output_grad = run.in<float>(kLastOutputGrad),
        .last_h_grad = run.in<float>(kLastHGrad),
        .last_c_grad = run.in<float>(kLastCGrad),
        .in_grad = run.out<float>(kIn),
        .kernel_grad = run.out<float>(kKernel),
        .recurrent_grad = run.out<float>(kRecurrent),
        .bias_grad = run.out<float>(kBias).data,
        .initial_h_grad = run.out<float>(kInitialH),
        .initial_c_grad = run.out<float>(kInitialC),
        .scratch = run.scratch(),
        .activation = options_.activation,
        .recurrent_activation = options_.recurrent_activation,
        .go_backwards = options_.go_backwards,
        .accumulate = run.accumulate()});
  }

 private:
  LstmOptions options_;
  std::vector<bool> needed_;
};

class Lstm final : public Op {
 public:
  explicit Lstm(LstmOptions options) : options_(options) {}

  std::string_view kind() const override { return "lstm"; }
  std::string detail() const override {
    return name_of(options_.activation) + ", " + name_of(options_.recurrent_activation) +
           (options_.go_backwards ? ", backwards" : "");
  }
  std::vector<ValueInfo> infer(Infos in) const override {
    const Shape& shape = in[kIn].shape;
    const Dim units = in[kRecurrent].shape[0];
    const ValueInfo& mask = in[kMask];
    if (mask.present && mask.shape[1] != shape[1] && mask.shape[1] != None && shape[1] != None) {
      throw ShapeError("the mask " + to_string(mask.shape) + " does not fit the sequence " +
                       to_string(shape));
    }
    const ValueInfo state{.shape = Shape{shape[0], units}, .batched = true};
    const Dim saved = shape[1] == None
                          ? None
                          : kernels::lstm_saved_per_row(shape_of(shape, in[kRecurrent].shape, 1));
    return {{.shape = Shape{shape[0], shape[1], units}, .batched = true},
            state,
            state,
            state,
            {.shape = Shape{shape[0], saved}, .batched = true}};
  }
  std::int64_t scratch_bytes(Infos in, std::int64_t rows) const override {
    return kernels::lstm_forward_scratch(shape_of(in[kIn].shape, in[kRecurrent].shape, rows));
  }
  double operations(Infos in, Infos) const override { return products(in); }
  void run(const Run& run) const override {
    run.launch(kernels::LstmForward{
        .shape = shape_of(run.in_shape(kIn), run.in_shape(kRecurrent), run.rows()),
        .in = run.in<float>(kIn),
        .mask = run.in<std::uint8_t>(kMask),
        .kernel = run.in<float>(kKernel),
        .recurrent = run.in<float>(kRecurrent),
        .bias = run.in<float>(kBias).data,
        .initial_h = run.in<float>(kInitialH),
        .initial_c = run.in<float>(kInitialC),
        .sequence = run.out<float>(kSequence),
        .last_output = run.out<float>(kLastOutput),
        .last_h = run.out<float>(kLastH),
        .last_c = run.out<float>(kLastC),
        .saved = run.out<float>(kSavedOutput).data,
        .scratch = run.scratch(),
        .activation = options_.activation,
        .recurrent_activation = options_.recurrent_activation,
        .go_backwards = options_.go_backwards});
  }
  std::vector<Value> gradients(GradientBuilder& build) const override {
    std::vector<Value> inputs;
    std::vector<bool> needed;
    for (std::size_t i = 0; i < kForwardInputs; ++i) {
      inputs.push_back(build.input(i));
      needed.push_back(build.needs(i));
    }
    inputs.push_back(build.output(kSavedOutput));
    for (std::size_t i = kSequence; i <= kLastC; ++i) inputs.push_back(build.gradient(i));
    return build.graph.add(std::make_shared<LstmGradient>(options_, needed), inputs);
  }

 private:
  LstmOptions options_;
};

}  // namespace

LstmOutputs lstm(Graph& graph, const LstmInputs& inputs, const LstmOptions& options) {
  const auto outputs = graph.add(std::make_shared<Lstm>(options),
                                 {inputs.in, inputs.mask, inputs.kernel, inputs.recurrent,
                                  inputs.bias, inputs.initial_h, inputs.initial_c});
  return {outputs[kSequence], outputs[kLastOutput], outputs[kLastH], outputs[kLastC]};
}

}  // namespace braid::ops
