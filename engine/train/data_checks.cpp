#include "engine/train/data_checks.hpp"

#include <bit>
#include <cmath>
#include <limits>

#include "engine/core/error.hpp"
#include "engine/train/loss_graph.hpp"

namespace braid {
namespace {

struct Place {
  std::int64_t row;
  std::int64_t column;
};

// Where an element stands: row of the batch, and place within that row.
Place place_of(const Tensor& tensor, std::int64_t element) {
  if (!tensor.is_ragged()) {
    const std::int64_t width = tensor.rows() == 0 ? 1 : tensor.elements() / tensor.rows();
    return {element / width, element % width};
  }
  std::int64_t width = 1;
  for (std::size_t axis = 2; axis < tensor.shape().rank(); ++axis) width *= tensor.shape()[axis];
  const std::span<const std::int64_t> splits = tensor.row_splits();
  std::size_t row = 0;
  while (splits[row + 1] * width <= element) ++row;
  return {static_cast<std::int64_t>(row), element - splits[row] * width};
}

std::string at(const Tensor& tensor, std::int64_t element) {
  const Place place = place_of(tensor, element);
  return "row " + std::to_string(place.row) + ", column " + std::to_string(place.column);
}

template <class T>
std::int64_t first_outside(const T* values, std::int64_t count, std::int64_t limit,
                           std::optional<std::int64_t> exempt) {
  for (std::int64_t i = 0; i < count; ++i) {
    if constexpr (std::is_same_v<T, float>) {
      const bool inside =
          values[i] > -1.0F && values[i] < static_cast<float>(limit);  // they are cut towards zero
      if (!inside && !(exempt && values[i] == static_cast<float>(*exempt))) return i;
    } else {
      const auto value = static_cast<std::int64_t>(values[i]);
      if ((value < 0 || value >= limit) && !(exempt && value == *exempt)) return i;
    }
  }
  return -1;
}

std::int64_t first_outside(const Tensor& tensor, std::int64_t limit,
                           std::optional<std::int64_t> exempt) {
  switch (tensor.dtype()) {
    case DType::float32:
      return first_outside(tensor.data<float>(), tensor.elements(), limit, exempt);
    case DType::int32:
      return first_outside(tensor.data<std::int32_t>(), tensor.elements(), limit, exempt);
    case DType::int64:
      return first_outside(tensor.data<std::int64_t>(), tensor.elements(), limit, exempt);
    case DType::uint8:
      return first_outside(tensor.data<std::uint8_t>(), tensor.elements(), limit, exempt);
    case DType::bool_:
      return first_outside(reinterpret_cast<const std::uint8_t*>(tensor.raw()), tensor.elements(),
                           limit, exempt);
  }
  return -1;
}

std::string value_text(const Tensor& tensor, std::int64_t element) {
  switch (tensor.dtype()) {
    case DType::float32: return std::to_string(tensor.data<float>()[element]);
    case DType::int32: return std::to_string(tensor.data<std::int32_t>()[element]);
    case DType::int64: return std::to_string(tensor.data<std::int64_t>()[element]);
    case DType::uint8:
    case DType::bool_: return std::to_string(static_cast<int>(tensor.raw()[element]));
  }
  return {};
}

void check_ids(const std::string& call, const std::string& what, const Tensor& tensor,
               std::int64_t limit, std::optional<std::int64_t> exempt) {
  const std::int64_t found = first_outside(tensor, limit, exempt);
  if (found < 0) return;
  throw RangeError(call + ": " + what + ", " + at(tensor, found) + ": " +
                   value_text(tensor, found) + " is not in 0 .. " + std::to_string(limit - 1));
}

// int64 data for an int32 input.
void check_int32(const std::string& call, const std::string& what, const Tensor& tensor) {
  const auto* values = tensor.data<std::int64_t>();
  for (std::int64_t i = 0; i < tensor.elements(); ++i) {
    if (values[i] >= std::numeric_limits<std::int32_t>::min() &&
        values[i] <= std::numeric_limits<std::int32_t>::max())
      continue;
    throw RangeError(call + ": " + what + ", " + at(tensor, i) + ": " + std::to_string(values[i]) +
                     " does not fit int32");
  }
}

void check_finite(const std::string& call, const std::string& what, const Tensor* tensor) {
  if (tensor == nullptr || tensor->dtype() != DType::float32) return;
  const auto* values = tensor->data<float>();
  const std::int64_t count = tensor->elements();
  // NaN and infinity have all exponent bits set: a loop without branches finds out that there are
  // some, the next one where.
  constexpr std::uint32_t kExponent = 0x7F800000U;
  bool finite = true;
  for (std::int64_t i = 0; i < count; ++i)
    finite &= (std::bit_cast<std::uint32_t>(values[i]) & kExponent) != kExponent;
  if (finite) return;
  for (std::int64_t i = 0; i < count; ++i) {
    if (std::isfinite(values[i])) continue;
    throw NumericError(call + ": " + what + ", " + at(*tensor, i) + ": " +
                       (std::isnan(values[i]) ? "NaN" : "infinity"));
  }
}

void check_same_rows(const std::string& call, const std::string& output, const Tensor& tensor,
                     const std::string& input, const Tensor& source) {
  const auto came = tensor.row_splits();
  const auto wanted = source.row_splits();
  for (std::size_t row = 0; row + 1 < wanted.size(); ++row) {
    const std::int64_t length = came[row + 1] - came[row];
    const std::int64_t steps = wanted[row + 1] - wanted[row];
    if (length == steps) continue;
    throw ShapeError(call + ": output \"" + output + "\", row " + std::to_string(row) + ": " +
                     std::to_string(length) + " targets or weights came for the " +
                     std::to_string(steps) + " steps of input \"" + input + "\"");
  }
}

}  // namespace

void check_values(const std::string& call, const StepGraph& step, const Objective* objective,
                  const Functional& model, const Bound& bound) {
  for (std::size_t i = 0; i < step.x().size(); ++i) {
    const Feed& feed = step.x()[i];
    if (feed.dtype == DType::int32 && bound.x[i]->dtype() == DType::int64) {
      check_int32(call, "input \"" + feed.name + "\"", *bound.x[i]);
    }
  }
  for (const IdLimit& limit : step.id_limits()) {
    check_ids(call, "input \"" + step.x()[limit.input].name + "\"", *bound.x[limit.input],
              limit.limit, {});
  }
  if (objective == nullptr) return;
  for (std::size_t i = 0; i < step.y().size(); ++i) {
    const Objective::Output& output = objective->outputs[i];
    const Tensor* truth = bound.y[i];
    const auto& source = step.ragged_source(i);
    for (const Tensor* tensor : {truth, bound.weight[i]}) {
      if (tensor != nullptr && tensor->is_ragged() && source) {
        check_same_rows(call, output.name, *tensor, step.x()[*source].name, *bound.x[*source]);
      }
    }
    if (truth == nullptr || !output.loss || !wants_labels(*output.loss)) continue;
    const SymbolicTensor& predicted = model.outputs()[i].second;
    const Dim classes = predicted.shape().back();
    if (classes == None) continue;
    check_ids(call, "target \"" + output.name + "\"", *truth, classes, output.loss->ignore_class);
  }
}

void check_finite(const std::string& call, const Functional& model, const Bound& bound) {
  const auto inputs = model.input_names();
  const auto outputs = model.output_names();
  for (std::size_t i = 0; i < bound.x.size(); ++i)
    check_finite(call, "input \"" + inputs[i] + "\"", bound.x[i]);
  for (std::size_t i = 0; i < bound.y.size(); ++i)
    check_finite(call, "target \"" + outputs[i] + "\"", bound.y[i]);
  for (std::size_t i = 0; i < bound.weight.size(); ++i) {
    check_finite(call, "sample weights of \"" + outputs[i] + "\"", bound.weight[i]);
  }
}

}  // namespace braid
