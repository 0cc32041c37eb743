#include "engine/graph/ops/lstm.hpp"

#include "engine/core/error.hpp"
#include "engine/graph/autograd.hpp"
#include "engine/graph/ops/activation.hpp"
#include "engine/graph/ops/embedding.hpp"
#include "kernels/lstm_together.hpp"

namespace braid::ops {
namespace {

enum { kSequence, kLastOutput, kLastH, kLastC, kSavedOutput };

// Of inputs [B, T, E], or of ids [B, T] of rows of a table [V, E]. Without a shape of its own: a
// warm step asks the heap for nothing.
kernels::LstmShape shape_of(const Shape& in, bool of_ids, const Shape& table,
                            const Shape& recurrent, std::int64_t rows) {
  return {.rows = rows,
          .steps = in[1],
          .features = of_ids ? table.back() : in[2],
          .units = recurrent[0]};
}
kernels::LstmShape shape_of(Infos in, std::int64_t rows) {
  const ValueInfo& table = in[Lstm::kTable];
  return shape_of(in[Lstm::kIn].shape, table.present, table.shape, in[Lstm::kRecurrent].shape,
                  rows);
}

double products(Infos in) {
  const kernels::LstmShape shape = shape_of(in, in[Lstm::kIn].shape[0]);
  const auto units = static_cast<double>(shape.units);
  return 2.0 * static_cast<double>(shape.rows) * static_cast<double>(shape.steps) * 4 * units *
         (static_cast<double>(shape.features) + units);
}

// What forward and backward get alike.
template <class Arguments>
Arguments arguments_of(const Run& run, const LstmOptions& options, std::int32_t padding) {
  const bool of_ids = run.has_in(Lstm::kTable);
  Arguments args;
  args.shape = shape_of(run.in_shape(Lstm::kIn), of_ids, run.in_shape(Lstm::kTable),
                        run.in_shape(Lstm::kRecurrent), run.rows());
  if (of_ids) {
    args.ids = run.in<std::int32_t>(Lstm::kIn);
    args.table = run.in<float>(Lstm::kTable);
    args.padding = padding;
  } else {
    args.in = run.in<float>(Lstm::kIn);
  }
  args.mask = run.in<std::uint8_t>(Lstm::kMask);
  args.kernel = run.in<float>(Lstm::kKernel);
  args.recurrent = run.in<float>(Lstm::kRecurrent);
  args.initial_h = run.in<float>(Lstm::kInitialH);
  args.initial_c = run.in<float>(Lstm::kInitialC);
  args.scratch = run.scratch();
  args.activation = options.activation;
  args.recurrent_activation = options.recurrent_activation;
  args.go_backwards = options.go_backwards;
  return args;
}

class LstmGradient final : public Op {
 public:
  // What comes behind the operands of the forward op.
  enum {
    kSaved = Lstm::kInputs,
    kSequenceGrad,
    kLastOutputGrad,
    kLastHGrad,
    kLastCGrad,
    // Where the table's gradient is made here.
    kOrder,
    kSegments,
  };

  LstmGradient(LstmOptions options, std::int32_t padding, std::vector<bool> needed,
               bool makes_table_grad)
      : options_(options),
        padding_(padding),
        needed_(std::move(needed)),
        makes_table_grad_(makes_table_grad) {}

  std::string_view kind() const override { return "lstm_gradient"; }
  // The ids are in order for the whole batch.
  bool tileable(Infos) const override { return !makes_table_grad_; }
  // One output for each input of the forward op; the mask's is never there. Where the table's is
  // made by another op, what ids name has its gradient in the place of theirs.
  std::vector<ValueInfo> infer(Infos in) const override {
    std::vector<ValueInfo> outputs;
    for (std::size_t i = 0; i < Lstm::kInputs; ++i) {
      outputs.push_back(needed_[i] && in[i].present ? in[i] : kAbsent);
    }
    if (needed_[Lstm::kTable] && !makes_table_grad_) {
      const ValueInfo& ids = in[Lstm::kIn];
      outputs[Lstm::kIn] = {.shape = ids.shape.append(in[Lstm::kTable].shape.back()),
                            .batched = ids.batched};
      outputs[Lstm::kTable] = kAbsent;
    }
    return outputs;
  }
  std::int64_t scratch_bytes(Infos in, std::int64_t rows) const override {
    const std::int64_t table_rows = makes_table_grad_ ? in[Lstm::kTable].shape[0] : 0;
    return kernels::lstm_backward_scratch(shape_of(in, rows), table_rows);
  }
  double operations(Infos in, Infos) const override { return 2 * products(in); }
  void run(const Run& run) const override {
    auto args = arguments_of<kernels::LstmBackward>(run, options_, padding_);
    args.saved = run.in<float>(kSaved).data;
    args.sequence_grad = run.in<float>(kSequenceGrad);
    args.last_output_grad = run.in<float>(kLastOutputGrad);
    args.last_h_grad = run.in<float>(kLastHGrad);
    args.last_c_grad = run.in<float>(kLastCGrad);
    args.in_grad = run.out<float>(Lstm::kIn);
    if (makes_table_grad_) {
      args.table_grad = run.out<float>(Lstm::kTable);
      args.order = run.in<std::int32_t>(kOrder).data;
      args.segments = run.in<std::int32_t>(kSegments).data;
    }
    args.kernel_grad = run.out<float>(Lstm::kKernel);
    args.recurrent_grad = run.out<float>(Lstm::kRecurrent);
    args.bias_grad = run.out<float>(Lstm::kBias).data;
    args.initial_h_grad = run.out<float>(Lstm::kInitialH);
    args.initial_c_grad = run.out<float>(Lstm::kInitialC);
    args.accumulate = run.accumulate();
    args.precision = run.precision();
    run.launch(args);
  }

 private:
  LstmOptions options_;
  std::int32_t padding_;
  std::vector<bool> needed_;
  bool makes_table_grad_;
};

}  // namespace

std::string Lstm::detail() const {
  std::string text = name_of(options_.activation) + ", " + name_of(options_.recurrent_activation);
  if (options_.go_backwards) text += ", backwards";
  if (ids_.padding != kernels::kNoId) text += ", padding " + std::to_string(ids_.padding);
  return text;
}

std::vector<ValueInfo> Lstm::infer(Infos in) const {
  const Shape& shape = in[kIn].shape;
  const Dim units = in[kRecurrent].shape[0];
  const ValueInfo& mask = in[kMask];
  if (mask.present && mask.shape[1] != shape[1] && mask.shape[1] != None && shape[1] != None) {
    throw ShapeError("the mask " + to_string(mask.shape) + " does not fit the sequence " +
                     to_string(shape));
  }
  const ValueInfo state{.shape = Shape{shape[0], units}, .batched = true};
  const Dim saved = shape[1] == None ? None : kernels::lstm_saved_per_row(shape_of(in, 1));
  return {{.shape = Shape{shape[0], shape[1], units}, .batched = true},
          state,
          state,
          state,
          {.shape = Shape{shape[0], saved}, .batched = true}};
}

std::int64_t Lstm::scratch_bytes(Infos in, std::int64_t rows) const {
  return kernels::lstm_forward_scratch(shape_of(in, rows));
}

double Lstm::operations(Infos in, Infos) const { return products(in); }

void Lstm::run(const Run& run) const {
  auto args = arguments_of<kernels::LstmForward>(run, options_, ids_.padding);
  if (args.ids) check_ids(run, args.ids, args.table.rows, ids_.layer);
  args.bias = run.in<float>(kBias).data;
  args.sequence = run.out<float>(kSequence);
  args.last_output = run.out<float>(kLastOutput);
  args.last_h = run.out<float>(kLastH);
  args.last_c = run.out<float>(kLastC);
  args.saved = run.out<float>(kSavedOutput).data;
  args.precision = run.precision();
  if (run.others().count > 0 && kernels::is_worth_other_cores(args.shape)) {
    run.launch(kernels::LstmForwardTogether{args, run.others()});
  } else {
    run.launch(args);
  }
}

std::vector<Value> Lstm::gradients(GradientBuilder& build) const {
  std::vector<Value> inputs;
  std::vector<bool> needed;
  for (std::size_t i = 0; i < kInputs; ++i) {
    inputs.push_back(build.input(i));
    needed.push_back(build.needs(i));
  }
  inputs.push_back(build.output(kSavedOutput));
  for (std::size_t i = kSequence; i <= kLastC; ++i) inputs.push_back(build.gradient(i));
  // Masked steps have no gradients, and nobody looks for them.
  const LeftOut left_out{build.input(kMask), ids_.padding};
  const bool makes_table_grad = needed[kTable] && build.gradient_of() == GradientOf::whole_batch;
  if (makes_table_grad) {
    const SortedIds sorted = sort_ids(build.graph, build.input(kIn), build.input(kTable), left_out);
    inputs.insert(inputs.end(), {sorted.order, sorted.segments});
  }
  std::vector<Value> grads = build.graph.add(
      std::make_shared<LstmGradient>(options_, ids_.padding, needed, makes_table_grad),
      std::move(inputs));
  if (needed[kTable] && !makes_table_grad) {
    grads[kTable] = embedding_gradient(build.graph, build.input(kIn), build.input(kTable),
                                       grads[kIn], left_out);
    grads[kIn] = {};
  }
  return grads;
}

LstmOutputs lstm(Graph& graph, const LstmInputs& inputs, const LstmOptions& options) {
  const auto outputs = graph.add(std::make_shared<Lstm>(options),
                                 {inputs.in, inputs.mask, inputs.kernel, inputs.recurrent,
                                  inputs.bias, inputs.initial_h, inputs.initial_c, inputs.table});
  return {outputs[kSequence], outputs[kLastOutput], outputs[kLastH], outputs[kLastC]};
}

}  // namespace braid::ops
