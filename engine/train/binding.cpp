#include "engine/train/binding.hpp"

#include <cmath>

#include "engine/core/error.hpp"
#include "engine/train/loss_graph.hpp"

namespace braid {
namespace {

std::string described(const std::string& name, const ValueInfo& info) {
  return "\"" + name + "\" " + std::string(name_of(info.dtype)) + " " + to_string(info.shape);
}

// Axes first .. of a tensor agree with what is known of them.
bool axes_agree(const Shape& known, const Shape& came, std::size_t first, std::size_t last) {
  for (std::size_t axis = first; axis < last; ++axis) {
    if (known[axis] != None && came[axis] != None && known[axis] != came[axis]) return false;
  }
  return true;
}

// Reads any element as a number.
double number(const Tensor& tensor, std::int64_t element) {
  switch (tensor.dtype()) {
    case DType::float32: return static_cast<double>(tensor.data<float>()[element]);
    case DType::int32: return tensor.data<std::int32_t>()[element];
    case DType::int64: return static_cast<double>(tensor.data<std::int64_t>()[element]);
    case DType::uint8: return tensor.data<std::uint8_t>()[element];
    case DType::bool_: return tensor.data<bool>()[element] ? 1 : 0;
  }
  return 0;
}

}  // namespace

Binder::Binder(const Functional& model) {
  const auto ends = [](const NamedTensors& tensors, const std::vector<std::string>& names) {
    std::vector<End> ends;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      const SymbolicTensor& tensor = tensors[i].second;
      ends.push_back(
          {names[i], tensor.node()->outputs[static_cast<std::size_t>(tensor.index())].info});
    }
    return ends;
  };
  inputs_ = ends(model.inputs(), model.input_names());
  outputs_ = ends(model.outputs(), model.output_names());
}

std::string Binder::described_inputs() const {
  std::string text;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (i > 0) text += i + 1 == inputs_.size() ? " and " : ", ";
    text += described(inputs_[i].name, inputs_[i].info);
  }
  return text;
}

// Data on a device are checked and batched on the host.
const Tensor* Binder::on_host(const std::string& call, const Tensor* tensor, Bound& bound) {
  if (tensor == nullptr || tensor->device() == Device::cpu()) return tensor;
  try {
    bound.made.push_back(tensor->to(Device::cpu()));
  } catch (const OutOfMemory& error) {
    throw OutOfMemory(call + ": data on a device are brought to the host: " + error.what());
  }
  return &bound.made.back();
}

void Binder::check_input(const std::string& call, const End& input, const Tensor& tensor) const {
  const auto came = [&] {
    return "; " + describe(tensor) + (tensor.is_ragged() ? " (ragged)" : "") + " came";
  };
  const auto wanted = [&] { return call + ": the input " + described(input.name, input.info); };
  const Shape& shape = input.info.shape;
  if (tensor.shape().rank() != shape.rank()) {
    throw ShapeError(wanted() + " has " + std::to_string(shape.rank()) + " axes, the batch first" +
                     came());
  }
  if (tensor.is_ragged() && shape[1] != None) {
    throw ShapeError(wanted() + " has a fixed number of steps and takes no ragged rows" + came());
  }
  if (!axes_agree(shape, tensor.shape(), 1, shape.rank()))
    throw ShapeError(wanted() + " does not fit" + came());
  if (is_integer(input.info.dtype) && tensor.dtype() == DType::float32) {
    throw DTypeError(wanted() + " takes integers; numbers with fractions never become ids" +
                     came());
  }
  if (input.info.dtype == DType::bool_ && tensor.dtype() != DType::bool_) {
    throw DTypeError(wanted() + " takes bool" + came());
  }
}

void Binder::bind_inputs(const std::string& call, const TensorDict& x, Bound& bound) const {
  bound.x.assign(inputs_.size(), nullptr);
  std::size_t found = 0;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    bound.x[i] = on_host(call, x.find(inputs_[i].name), bound);
    if (bound.x[i] != nullptr) ++found;
  }
  if (found != x.size()) {
    std::vector<std::string> names;
    for (const End& input : inputs_) names.push_back(input.name);
    if (const std::string* unknown = first_unknown(x, names)) {
      throw NameError(call + ": no input \"" + *unknown + "\"; this model's inputs are " +
                      described_inputs() + "." + suggestion(*unknown, names));
    }
  }
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (bound.x[i] == nullptr) {
      throw NameError(call + ": the input \"" + inputs_[i].name +
                      "\" is missing; this model's inputs are " + described_inputs() + ".");
    }
    check_input(call, inputs_[i], *bound.x[i]);
  }
  bound.rows = bound.x.front()->rows();
  for (std::size_t i = 1; i < inputs_.size(); ++i) {
    if (bound.x[i]->rows() == bound.rows) continue;
    throw ShapeError(call + ": the input \"" + inputs_[i].name + "\" has " +
                     std::to_string(bound.x[i]->rows()) + " rows, \"" + inputs_.front().name +
                     "\" has " + std::to_string(bound.rows));
  }
}

void Binder::check_target(const std::string& call, const Objective::Output& objective,
                          const End& output, const Tensor& tensor) const {
  const Shape& predicted = output.info.shape;
  const Shape& truth = tensor.shape();
  const std::size_t rank = predicted.rank();
  const bool classes = objective.loss && wants_labels(*objective.loss);
  const auto fits = [&] {
    if (truth.rank() == rank) {
      const bool last = predicted[rank - 1] == None || truth.back() == predicted[rank - 1];
      // Class numbers with a trailing axis of 1, for a sparse loss or the accuracy of one.
      const bool labels = truth.back() == 1 && (classes || !objective.loss);
      return axes_agree(predicted, truth, 1, rank - 1) && (classes ? labels : last || labels);
    }
    if (truth.rank() + 1 == rank) {
      return axes_agree(predicted, truth, 1, truth.rank()) &&
             (classes || !objective.loss || predicted.back() == 1);
    }
    return truth.rank() == rank + 1 && truth.back() == 1 && !classes &&
           axes_agree(predicted, truth, 1, rank);
  };
  if (truth.rank() == 0 || rank == 0 || !fits()) {
    throw ShapeError(
        call + ": the target \"" + output.name + "\" is " + describe(tensor) + "; its output is " +
        std::string(name_of(output.info.dtype)) + " " + to_string(predicted) +
        (classes ? ", and a sparse loss takes one class number for each distribution" : ""));
  }
}

void Binder::bind_targets(const std::string& call, const Objective& objective, const TensorDict& y,
                          Bound& bound) const {
  bound.y.assign(outputs_.size(), nullptr);
  std::size_t found = 0;
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    const Tensor* tensor = y.find(outputs_[i].name);
    if (tensor != nullptr) ++found;
    if (objective.outputs[i].judged) bound.y[i] = on_host(call, tensor, bound);
  }
  std::vector<std::string> names;
  if (found != y.size()) {
    for (const End& output : outputs_) names.push_back(output.name);
    if (const std::string* unknown = first_unknown(y, names)) {
      throw NameError(call + ": no output \"" + *unknown +
                      "\" for this target; this model's outputs are " + quoted_list(names) + "." +
                      suggestion(*unknown, names));
    }
  }
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    if (!objective.outputs[i].judged) continue;
    const Tensor* tensor = bound.y[i];
    if (tensor == nullptr) {
      throw NameError(call + ": the target of output \"" + outputs_[i].name +
                      "\" is missing; those that came are " + quoted_list(y.names()));
    }
    check_target(call, objective.outputs[i], outputs_[i], *tensor);
    if (tensor->rows() != bound.rows) {
      throw ShapeError(call + ": the target \"" + outputs_[i].name + "\" has " +
                       std::to_string(tensor->rows()) + " rows, the inputs have " +
                       std::to_string(bound.rows));
    }
  }
}

void Binder::check_weight(const std::string& call, const End& output, const Tensor& tensor) const {
  const Shape& predicted = output.info.shape;
  const Shape& shape = tensor.shape();
  const std::size_t rank = shape.rank();
  const bool fits = rank >= 1 && rank <= predicted.rank() &&
                    axes_agree(predicted, shape, 1, rank - 1) &&
                    (rank == 1 || shape.back() == 1 || predicted[rank - 1] == None ||
                     shape.back() == None || shape.back() == predicted[rank - 1]);
  if (!fits) {
    throw ShapeError(call + ": the sample weights of output \"" + output.name + "\" are " +
                     describe(tensor) + "; the output is " + to_string(predicted));
  }
}

void Binder::bind_weights(const std::string& call, const Objective& objective,
                          const SampleWeight& sample_weight, const ClassWeight& class_weight,
                          Bound& bound) const {
  bound.weight.assign(outputs_.size(), nullptr);
  if (sample_weight.empty() && class_weight.empty()) return;
  if (!sample_weight.empty() && !class_weight.empty()) {
    throw NameError(call + ": sample_weight and class_weight cannot be given together");
  }
  std::vector<std::string> names;
  for (const End& output : outputs_) names.push_back(output.name);
  const auto check_names = [&](const auto& items, const char* what) {
    const std::string* unknown = first_unknown(items, names);
    if (unknown == nullptr) return;
    throw NameError(call + ": no output \"" + *unknown + "\" for this " + what +
                    "; this model's outputs are " + quoted_list(names) + "." +
                    suggestion(*unknown, names));
  };
  check_names(sample_weight.by_name, "sample_weight");
  check_names(class_weight.by_name, "class_weight");

  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    if (bound.y[i] == nullptr) continue;
    const Tensor* tensor =
        sample_weight.shared ? &*sample_weight.shared : sample_weight.by_name.find(names[i]);
    if (tensor != nullptr) {
      check_weight(call, outputs_[i], *tensor);
      if (tensor->rows() != bound.rows) {
        throw ShapeError(call + ": the sample weights of output \"" + names[i] + "\" have " +
                         std::to_string(tensor->rows()) + " rows, the inputs have " +
                         std::to_string(bound.rows));
      }
      bound.weight[i] = on_host(call, tensor, bound);
      continue;
    }
    const auto table = class_weight.by_name.find(names[i]);
    if (table != class_weight.by_name.end()) {
      class_weights(call, table->second, i, bound);
    } else if (!class_weight.shared.empty() && objective.outputs[i].judged) {
      class_weights(call, class_weight.shared, i, bound);
    }
  }
}

void Binder::class_weights(const std::string& call, const ClassWeight::Table& table,
                           std::size_t output, Bound& bound) const {
  const Tensor& truth = *bound.y[output];
  if (truth.shape().rank() > 2 || truth.is_ragged()) {
    throw ShapeError(call + ": class_weight of output \"" + outputs_[output].name +
                     "\" needs one class a row; its target is " + describe(truth));
  }
  const std::int64_t width = truth.shape().rank() == 2 ? truth.shape().back() : 1;
  Tensor weights = Tensor::uninitialized({bound.rows}, DType::float32);
  for (std::int64_t row = 0; row < bound.rows; ++row) {
    std::int64_t label = 0;
    if (width == 1) {
      label = std::lround(number(truth, row));
    } else {
      for (std::int64_t column = 1; column < width; ++column) {
        if (number(truth, row * width + column) > number(truth, row * width + label))
          label = column;
      }
    }
    const auto found = table.find(static_cast<int>(label));
    weights.data<float>()[row] = found == table.end() ? 1.0F : static_cast<float>(found->second);
  }
  bound.made.push_back(std::move(weights));
  bound.weight[output] = &bound.made.back();
}

}  // namespace braid
