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
void check_integers(const std::string& call, const std::string& what, const Tensor& tensor,
                    DType wanted) {
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
  throw RangeError(call + ": " + what + ", " + at(tensor, found) + ": " +
                   value_text(tensor, found) + " cannot be held by " +
                   std::string(name_of(wanted)));
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

// What looks up a label in a distribution, with the label that it leaves out.
std::vector<std::optional<std::int64_t>> label_users(const Objective& objective,
                                                     std::size_t output) {
  std::vector<std::optional<std::int64_t>> users;
  const auto add = [&users](const Loss& loss) {
    if (wants_labels(loss)) users.emplace_back(loss.ignore_class);
  };
  if (objective.outputs[output].loss) add(*objective.outputs[output].loss);
  for (const Objective::Measured& measured : objective.metrics) {
    if (measured.output == output && measured.metric.kind == Metric::Kind::loss)
      add(measured.metric.loss);
  }
  return users;
}

}  // namespace

void check_values(const std::string& call, const StepGraph& step, const Objective* objective,
                  const Functional& model, const Bound& bound) {
  for (std::size_t i = 0; i < step.x().size(); ++i) {
    check_integers(call, "input \"" + step.x()[i].name + "\"", *bound.x[i],
                   model.inputs()[i].second.dtype());
  }
  for (const IdLimit& limit : step.id_limits()) {
    check_ids(call, "input \"" + step.x()[limit.input].name + "\"", *bound.x[limit.input],
              limit.limit, {});
  }
  check_joined_rows(call, step, bound);
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
    if (truth == nullptr) continue;
    const Dim classes = model.outputs()[i].second.shape().back();
    for (const auto& ignored : label_users(*objective, i)) {
      if (classes == None) {
        throw ShapeError(call + ": output \"" + output.name +
                         "\" takes class numbers, but how many classes it has is not known");
      }
      check_ids(call, "target \"" + output.name + "\"", *truth, classes, ignored);
    }
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
