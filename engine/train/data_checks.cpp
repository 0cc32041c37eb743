#include "engine/train/data_checks.hpp"

#include <cmath>
#include <limits>

#include "engine/core/error.hpp"
#include "engine/train/loss_graph.hpp"
#include "kernels/finite.hpp"

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

// `model.fit: input "text", row 3, column 2: `. Texts are made for errors alone: a warm step that
// finds none asks the heap for nothing here.
std::string place_text(const std::string& call, const Feed& feed, const Tensor& tensor,
                       std::int64_t element) {
  return call + ": " + feed.role + " \"" + feed.name + "\", " + at(tensor, element) + ": ";
}

void check_ids(const std::string& call, const Feed& feed, const Tensor& tensor, std::int64_t limit,
               std::optional<std::int64_t> exempt) {
  const std::int64_t found = first_outside(tensor, limit, exempt);
  if (found < 0) return;
  throw RangeError(place_text(call, feed, tensor, found) + value_text(tensor, found) +
                   " is not in 0 .. " + std::to_string(limit - 1));
}

const ValueInfo& info_of(const SymbolicTensor& tensor) {
  return tensor.node()->outputs[static_cast<std::size_t>(tensor.index())].info;
}

// Elements read as int64, up to the first that `fits` refuses; -1 if there is none.
template <class Fits>
std::int64_t first_that(const Tensor& tensor, const Fits& fits) {
  const auto find = [&](const auto* values) -> std::int64_t {
    for (std::int64_t i = 0; i < tensor.elements(); ++i) {
      if (!fits(static_cast<std::int64_t>(values[i]))) return i;
    }
    return -1;
  };
  if (tensor.dtype() == DType::int32) return find(tensor.data<std::int32_t>());
  if (tensor.dtype() == DType::int64) return find(tensor.data<std::int64_t>());
  return -1;
}

// Integers must arrive in the dtype of their input as what they are.
void check_integers(const std::string& call, const Feed& feed, const Tensor& tensor, DType wanted) {
  if (tensor.dtype() == wanted && wanted != DType::int64) return;
  const auto within = [&](std::int64_t least, std::int64_t most) {
    return first_that(tensor, [=](std::int64_t v) { return v >= least && v <= most; });
  };
  std::int64_t found = -1;
  switch (wanted) {
    case DType::float32:
      found = first_that(tensor, [](std::int64_t v) {
        constexpr std::int64_t kAllExact = 1 << 24;
        if (v >= -kAllExact && v <= kAllExact) return true;
        // Float32 reaches far beyond int64, so the way back is safe but for the rounding up to
        // 2^63.
        const auto rounded = static_cast<float>(v);
        return rounded < 0x1p63F && static_cast<std::int64_t>(rounded) == v;
      });
      break;
    case DType::int32:
    case DType::int64:  // a graph's ids are int32
      found = within(std::numeric_limits<std::int32_t>::min(),
                     std::numeric_limits<std::int32_t>::max());
      wanted = DType::int32;
      break;
    case DType::uint8: found = within(0, 255); break;
    case DType::bool_: break;
  }
  if (found < 0) return;
  throw RangeError(place_text(call, feed, tensor, found) + value_text(tensor, found) +
                   " cannot be held by " + std::string(name_of(wanted)));
}

void check_finite(const std::string& call, const Feed& feed, const Tensor* tensor) {
  if (tensor == nullptr || tensor->dtype() != DType::float32) return;
  const auto* values = tensor->data<float>();
  const std::int64_t count = tensor->elements();
  std::int32_t finite = 0;
  kernels::launch({}, kernels::AllFinite{.in = values, .count = count, .finite = &finite});
  if (finite != 0) return;
  for (std::int64_t i = 0; i < count; ++i) {
    if (std::isfinite(values[i])) continue;
    throw NumericError(place_text(call, feed, *tensor, i) +
                       (std::isnan(values[i]) ? "NaN" : "infinity"));
  }
}

// The first row whose length differs; -1 if there is none.
std::int64_t first_other_row(const Tensor& a, const Tensor& b) {
  const auto lengths = a.row_splits();
  const auto others = b.row_splits();
  for (std::size_t row = 0; row + 1 < lengths.size(); ++row) {
    if (lengths[row + 1] - lengths[row] != others[row + 1] - others[row])
      return static_cast<std::int64_t>(row);
  }
  return -1;
}

std::string length_of(const Tensor& tensor, std::int64_t row) {
  const auto splits = tensor.row_splits();
  const auto r = static_cast<std::size_t>(row);
  return std::to_string(splits[r + 1] - splits[r]);
}

void check_same_rows(const std::string& call, const std::string& output, const Tensor& tensor,
                     const std::string& input, const Tensor& source) {
  const std::int64_t row = first_other_row(tensor, source);
  if (row < 0) return;
  throw ShapeError(call + ": output \"" + output + "\", row " + std::to_string(row) + ": " +
                   length_of(tensor, row) + " targets or weights came for the " +
                   length_of(source, row) + " steps of input \"" + input + "\"");
}

void check_joined_rows(const std::string& call, const StepGraph& step, const Bound& bound) {
  for (const auto& [a, b] : step.same_rows()) {
    const std::int64_t row = first_other_row(*bound.x[a], *bound.x[b]);
    if (row < 0) continue;
    throw ShapeError(call + ": the inputs \"" + step.x()[a].name + "\" and \"" + step.x()[b].name +
                     "\" are joined step by step, but in row " + std::to_string(row) +
                     " they have " + length_of(*bound.x[a], row) + " and " +
                     length_of(*bound.x[b], row) + " steps");
  }
}

Dim classes_of(const std::string& call, const std::string& output, const ValueInfo& predicted) {
  const Dim classes = predicted.shape.back();
  if (classes == None) {
    throw ShapeError(call + ": output \"" + output +
                     "\" takes class numbers, but how many classes it has is not known");
  }
  return classes;
}

// Calls `check` with the label that is left out, for each loss or metric that looks labels up in a
// distribution.
template <class Check>
void for_label_users(const Objective& objective, std::size_t output, const Check& check) {
  const auto& loss = objective.outputs[output].loss;
  if (loss && wants_labels(*loss)) check(loss->ignore_class);
  for (const Objective::Measured& measured : objective.metrics) {
    const Metric& metric = measured.metric;
    if (measured.output == output && metric.kind == Metric::Kind::loss && wants_labels(metric.loss))
      check(metric.loss.ignore_class);
  }
}

}  // namespace

void check_values(const std::string& call, const StepGraph& step, const Objective* objective,
                  const Functional& model, const Bound& bound) {
  for (std::size_t i = 0; i < step.x().size(); ++i)
    check_integers(call, step.x()[i], *bound.x[i], model.inputs()[i].second.dtype());
  for (const IdLimit& limit : step.id_limits())
    check_ids(call, step.x()[limit.input], *bound.x[limit.input], limit.limit, {});
  check_joined_rows(call, step, bound);
  if (objective == nullptr) return;
  for (std::size_t i = 0; i < step.y().size(); ++i) {
    const std::string& output = objective->outputs[i].name;
    const Tensor* truth = bound.y[i];
    const auto& source = step.ragged_source(i);
    for (const Tensor* tensor : {truth, bound.weight[i]}) {
      if (tensor != nullptr && tensor->is_ragged() && source)
        check_same_rows(call, output, *tensor, step.x()[*source].name, *bound.x[*source]);
    }
    if (truth == nullptr) continue;
    for_label_users(*objective, i, [&](std::optional<int> ignored) {
      const Dim classes = classes_of(call, output, info_of(model.outputs()[i].second));
      check_ids(call, step.y()[i], *truth, classes, ignored);
    });
  }
}

void check_finite(const std::string& call, const StepGraph& step, const Bound& bound) {
  for (std::size_t i = 0; i < bound.x.size(); ++i) check_finite(call, step.x()[i], bound.x[i]);
  for (std::size_t i = 0; i < bound.y.size(); ++i) check_finite(call, step.y()[i], bound.y[i]);
  for (std::size_t i = 0; i < bound.weight.size(); ++i)
    check_finite(call, step.weights()[i], bound.weight[i]);
}

}  // namespace braid
