#include "engine/graph/ops/dense.hpp"

#include <algorithm>

#include "engine/core/error.hpp"
#include "engine/graph/autograd.hpp"
#include "engine/graph/ops/activation.hpp"
#include "engine/graph/ops/matrix_cut.hpp"

namespace braid::ops {
namespace {

// Every block reads the whole kernel, so only small ones are worth it.
bool is_small(const Shape& kernel) {
  constexpr std::int64_t kMostElements = 65536;
  constexpr std::int64_t kMostUnits = 256;
  return kernel.elements() <= kMostElements && kernel.back() <= kMostUnits;
}

// A kernel that does not stay in a core's caches beside a tile: the whole batch is multiplied with
// it at once, so that it is read once, in blocks of the result that cores share out.
bool is_large(const Shape& kernel) {
  constexpr std::int64_t kFewestElements = 131072;
  return kernel.elements() >= kFewestElements;
}
// The sums for the gradient of a smaller kernel would not fit beside a tile already, and slices
// would each write and add up a copy of them.
bool has_large_gradient(const Shape& kernel) {
  constexpr std::int64_t kFewestElements = 16384;
  return kernel.elements() >= kFewestElements;
}

// Of the result that a run makes.
MatrixBlock block_of(const Run& run, std::int64_t rows, std::int64_t columns) {
  if (run.parts() == 1) return {.rows = rows, .columns = columns};
  return MatrixCut(rows, columns).block(run.part());
}

// Rows of [.., K], over `rows` rows of the batch.
std::int64_t matrix_rows(const ValueInfo& in, std::int64_t rows) {
  const std::int64_t row_axes = in.shape.slice(1, in.shape.rank() - 1).elements();
  return (in.batched ? rows : in.shape[0]) * row_axes;
}
std::int64_t matrix_rows(const ValueInfo& in) { return matrix_rows(in, in.shape[0]); }

std::int64_t library_memory(const ValueInfo& in, const ValueInfo& kernel, std::int64_t rows,
                            kernels::Precision precision) {
  return kernels::library_memory(matrix_rows(in, rows), in.shape.back(), kernel.shape.back(),
                                 precision);
}

// in_grad = out_grad . kernel^T.
class DenseInputGradient final : public Op {
 public:
  std::string_view kind() const override { return "dense_input_gradient"; }

  std::vector<ValueInfo> infer(Infos in) const override {
    return {{.shape = in[kIn].shape, .batched = in[kIn].batched}};
  }
  bool reads(std::size_t input) const override { return input != kIn; }
  bool tileable(Infos in) const override { return !is_large(in[kKernel].shape); }
  std::int64_t parts(Infos in) const override {
    return MatrixCut(matrix_rows(in[kIn]), in[kIn].shape.back()).blocks();
  }

  std::int64_t library_bytes(Infos in, std::int64_t rows,
                             kernels::Precision precision) const override {
    return library_memory(in[kIn], in[kKernel], rows, precision);
  }

  bool joins_row_programs(Infos in) const override { return is_small(in[kKernel].shape); }
  void run(const Run& run) const override {
    const Matrix<const float> out_grad = run.in<float>(kOutGrad);
    const Matrix<float> in_grad = run.out<float>(0);
    const MatrixBlock block = block_of(run, in_grad.rows, in_grad.columns);
    run.launch(kernels::DenseInputGradient{
        .out_grad = rows_of(out_grad, block.first_row, block.rows),
        .kernel = rows_of(run.in<float>(kKernel), block.first_column, block.columns),
        .in_grad = block.of(in_grad),
        .precision = run.precision(),
        .for_library = run.memory_for_library()});
  }

  double operations(Infos in, Infos) const override {
    return 2.0 * static_cast<double>(in[kIn].shape.elements()) *
           static_cast<double>(in[kKernel].shape.back());
  }

  enum { kIn, kKernel, kOutGrad };
};

// kernel_grad = in^T . out_grad, bias_grad = the sum of out_grad's rows; each only where wanted.
class DenseWeightGradient final : public Op {
 public:
  DenseWeightGradient(bool wants_kernel, bool wants_bias)
      : wants_kernel_(wants_kernel), wants_bias_(wants_bias) {}

  std::string_view kind() const override { return "dense_weight_gradient"; }

  std::vector<ValueInfo> infer(Infos in) const override {
    std::vector<ValueInfo> outputs(2, kAbsent);
    if (wants_kernel_) outputs[0] = {.shape = in[kKernel].shape};
    if (wants_bias_) outputs[1] = {.shape = Shape{in[kKernel].shape.back()}};
    return outputs;
  }
  bool reads(std::size_t input) const override { return input != kKernel; }
  bool tileable(Infos in) const override { return !has_large_gradient(in[kKernel].shape); }
  std::int64_t parts(Infos in) const override {
    return MatrixCut(in[kKernel].shape[0], in[kKernel].shape.back()).blocks();
  }

  // Of a GPU, which runs the op in one part. 16 MB at most.
  std::int64_t scratch_bytes(Infos in, std::int64_t rows) const override {
    return kernels::dense_weight_scratch(matrix_rows(in[kIn], rows), in[kIn].shape.back(),
                                         in[kKernel].shape.back());
  }
  std::int64_t sums_on_device(Infos in, std::int64_t rows) const override {
    const std::int64_t samples = matrix_rows(in[kIn], rows);
    const std::int64_t depth = in[kIn].shape.back();
    const std::int64_t columns = in[kKernel].shape.back();
    // The library makes one.
    if (std::min({samples, depth, columns}) >= kernels::kLeastLibrarySize) return 1;
    return kernels::dense_weight_parts(samples, depth, columns);
  }
  std::int64_t library_bytes(Infos in, std::int64_t rows,
                             kernels::Precision precision) const override {
    return library_memory(in[kIn], in[kKernel], rows, precision);
  }

  bool joins_row_programs(Infos in) const override { return is_small(in[kKernel].shape); }
  void run(const Run& run) const override {
    const Matrix<const float> in = run.in<float>(kIn);
    const Matrix<const float> out_grad = run.in<float>(kOutGrad);
    const Matrix<float> kernel_grad = run.out<float>(0);
    const Matrix<float> bias_grad = run.out<float>(1);
    const MatrixBlock block = block_of(run, in.columns, out_grad.columns);
    run.launch(kernels::DenseWeightGradient{
        .in = columns_of(in, block.first_row, block.rows),
        .out_grad = columns_of(out_grad, block.first_column, block.columns),
        .kernel_grad = kernel_grad ? block.of(kernel_grad) : kernel_grad,
        .bias_grad =
            bias_grad && block.first_row == 0 ? bias_grad.data + block.first_column : nullptr,
        .accumulate = run.accumulate(),
        .precision = run.precision(),
        .scratch = run.parts() == 1 ? reinterpret_cast<float*>(run.scratch()) : nullptr,
        .for_library = run.memory_for_library(),
        .parts = std::max(run.sums(0), run.sums(1)),
        .kernel_part_floats = run.floats_of_sum(0),
        .bias_part_floats = run.floats_of_sum(1)});
  }

  double operations(Infos in, Infos) const override {
    return 2.0 * static_cast<double>(in[kIn].shape.elements()) *
           static_cast<double>(in[kKernel].shape.back());
  }

  enum { kIn, kKernel, kOutGrad };

 private:
  bool wants_kernel_;
  bool wants_bias_;
};

enum { kIn, kKernel, kBias };

}  // namespace

std::string Dense::detail() const {
  return activation_.kind == kernels::ActivationKind::linear ? "" : name_of(activation_);
}

std::vector<ValueInfo> Dense::infer(Infos in) const {
  Shape shape = in[kIn].shape;
  shape[shape.rank() - 1] = in[kKernel].shape.back();
  return {{.shape = std::move(shape), .batched = in[kIn].batched}};
}

std::int64_t Dense::library_bytes(Infos in, std::int64_t rows, kernels::Precision precision) const {
  return library_memory(in[kIn], in[kKernel], rows, precision);
}

bool Dense::tileable(Infos in) const { return !is_large(in[kKernel].shape); }

std::int64_t Dense::parts(Infos in) const {
  return MatrixCut(matrix_rows(in[kIn]), in[kKernel].shape.back()).blocks();
}

bool Dense::joins_row_programs(Infos in) const { return is_small(in[kKernel].shape); }

void Dense::run(const Run& run) const {
  const Matrix<const float> bias = run.in<float>(kBias);
  const Matrix<float> out = run.out<float>(0);
  const MatrixBlock block = block_of(run, out.rows, out.columns);
  run.launch(kernels::DenseForward{
      .in = rows_of(run.in<float>(kIn), block.first_row, block.rows),
      .kernel = columns_of(run.in<float>(kKernel), block.first_column, block.columns),
      .bias = bias ? bias.data + block.first_column : nullptr,
      .out = block.of(out),
      .activation = activation_,
      .precision = run.precision(),
      .for_library = run.memory_for_library()});
}

std::vector<Value> Dense::gradients(GradientBuilder& build) const {
  Value out_grad = build.gradient();
  if (activation_.kind != kernels::ActivationKind::linear) {
    out_grad = activation_gradient(build.graph, activation_, {}, build.output(), out_grad);
  }
  std::vector<Value> gradients(3);
  if (build.needs(kIn)) {
    gradients[kIn] = build.graph.add(std::make_shared<DenseInputGradient>(),
                                     {build.input(kIn), build.input(kKernel), out_grad})[0];
  }
  if (build.needs(kKernel) || build.needs(kBias)) {
    const std::vector<Value> weights = build.graph.add(
        std::make_shared<DenseWeightGradient>(build.needs(kKernel), build.needs(kBias)),
        {build.input(kIn), build.input(kKernel), out_grad});
    gradients[kKernel] = weights[0];
    gradients[kBias] = weights[1];
  }
  return gradients;
}

double Dense::operations(Infos in, Infos) const {
  return 2.0 * static_cast<double>(in[kIn].shape.elements()) *
         static_cast<double>(in[kKernel].shape.back());
}

Value dense(Graph& graph, Value in, Value kernel, Value bias) {
  return graph.op<Dense>({in, kernel, bias});
}

}  // namespace braid::ops
