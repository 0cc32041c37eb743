#include "tests/golden_runner/graph_run.hpp"

#include "engine/graph/autograd.hpp"
#include "engine/graph/fusion.hpp"
#include "engine/runtime/executor.hpp"

namespace braid::golden {
namespace {

template <class Element>
std::vector<double> packed(const Matrix<const Element>& matrix) {
  std::vector<double> values;
  for (std::int64_t row = 0; row < matrix.rows; ++row) {
    for (std::int64_t column = 0; column < matrix.columns; ++column) {
      values.push_back(static_cast<double>(matrix.data[row * matrix.stride + column]));
    }
  }
  return values;
}

}  // namespace

Value GraphRun::input(const Tensor& tensor) {
  ValueInfo info{.shape = tensor.shape(), .dtype = tensor.dtype(), .batched = true};
  info.shape[0] = None;
  tensors_.push_back(tensor);
  return graph_->input("input " + std::to_string(tensors_.size()), info);
}

std::vector<Numbers> GraphRun::run(std::vector<Value> outputs) {
  fuse(*graph_, outputs);
  return execute(outputs);
}

std::vector<Numbers> GraphRun::run(std::vector<Value> outputs,
                                   const std::vector<std::pair<Value, Value>>& seeds,
                                   const std::vector<Value>& targets) {
  std::vector<Value> kept = outputs;
  for (const auto& [value, seed] : seeds) kept.push_back(value);
  fuse(*graph_, kept);
  std::vector<std::pair<Value, Value>> fused_seeds;
  for (std::size_t i = 0; i < seeds.size(); ++i)
    fused_seeds.emplace_back(kept[outputs.size() + i], seeds[i].second);
  kept.resize(outputs.size());
  for (Value gradient :
       add_gradients(*graph_, fused_seeds, targets, gradient_on(default_device()))) {
    kept.push_back(gradient);
  }
  return execute(kept);
}

std::vector<Numbers> GraphRun::execute(const std::vector<Value>& outputs) const {
  std::vector<ValueInfo> infos;
  std::vector<const std::byte*> pointers;
  for (const Tensor& tensor : tensors_) {
    infos.push_back({.shape = tensor.shape(), .dtype = tensor.dtype(), .batched = true});
    pointers.push_back(tensor.raw());
  }
  Executor executor(graph_, outputs);
  const auto planned = executor.program(infos);
  const Program& program = *planned;
  const Executor::Loan workspace = executor.borrow();
  workspace->run(program, pointers);
  std::vector<Numbers> results;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    Numbers numbers;
    if (program.outputs()[i].base >= 0) {
      const ValueInfo& info = program.output_infos()[i];
      numbers.shape = info.shape;
      switch (info.dtype) {
        case DType::float32: numbers.values = packed(workspace->output<float>(program, i)); break;
        case DType::int32:
          numbers.values = packed(workspace->output<std::int32_t>(program, i));
          break;
        case DType::int64:
          numbers.values = packed(workspace->output<std::int64_t>(program, i));
          break;
        default: numbers.values = packed(workspace->output<std::uint8_t>(program, i)); break;
      }
    }
    results.push_back(std::move(numbers));
  }
  return results;
}

}  // namespace braid::golden
