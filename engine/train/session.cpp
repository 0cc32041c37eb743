#include "engine/train/session.hpp"

#include <algorithm>
#include <cstring>

#include "engine/core/error.hpp"

namespace braid {
namespace {

// Steps of padded batches are rounded up, so that batches of similar length share a program.
constexpr std::int64_t kStepsRounding = 8;

template <class From, class To>
void convert_elements(const std::byte* from, std::byte* to, std::int64_t count) {
  const auto* source = reinterpret_cast<const From*>(from);
  auto* target = reinterpret_cast<To*>(to);
  for (std::int64_t i = 0; i < count; ++i) target[i] = static_cast<To>(source[i]);
}

template <class To>
void convert_to(DType from, const std::byte* source, std::byte* target, std::int64_t count) {
  switch (from) {
    case DType::float32: return convert_elements<float, To>(source, target, count);
    case DType::int32: return convert_elements<std::int32_t, To>(source, target, count);
    case DType::int64: return convert_elements<std::int64_t, To>(source, target, count);
    case DType::uint8:
    case DType::bool_: return convert_elements<std::uint8_t, To>(source, target, count);
  }
}

// Between dtypes that bind; values are known to be in range.
void convert(DType from, DType to, const std::byte* source, std::byte* target, std::int64_t count) {
  if (from == to) {
    if (count > 0) std::memcpy(target, source, static_cast<std::size_t>(count) * size_of(from));
  } else if (to == DType::float32) {
    convert_to<float>(from, source, target, count);
  } else if (to == DType::int32) {
    convert_to<std::int32_t>(from, source, target, count);
  } else {
    convert_to<std::uint8_t>(from, source, target, count);
  }
}

// Elements of one row, or of one step of a ragged tensor.
std::int64_t elements_a_row(const Tensor& tensor) {
  const Shape& shape = tensor.shape();
  std::int64_t elements = 1;
  for (std::size_t axis = tensor.is_ragged() ? 2 : 1; axis < shape.rank(); ++axis)
    elements *= shape[axis];
  return elements;
}

}  // namespace

Session::Session(StepGraph& step)
    : step_(step),
      infos_(step.input_infos()),
      pointers_(infos_.size()),
      buffers_(infos_.size()),
      lengths_(infos_.size()),
      workspace_(step.executor().device()) {}

std::byte* Session::buffer(int value, std::int64_t bytes) {
  auto& storage = buffers_[static_cast<std::size_t>(value)];
  if (storage.size() < static_cast<std::size_t>(bytes))
    storage.resize(static_cast<std::size_t>(bytes));
  return storage.data();
}

void Session::stage(const Feed& feed, const Tensor* tensor, const BatchRows& rows) {
  if (feed.value < 0 || tensor == nullptr) return;
  const auto place = static_cast<std::size_t>(feed.value);
  Shape& shape = infos_[place].shape;
  const std::int64_t count = rows.count();
  const std::int64_t width = elements_a_row(*tensor);
  const auto from_bytes = static_cast<std::int64_t>(size_of(tensor->dtype()));
  const auto to_bytes = static_cast<std::int64_t>(size_of(feed.dtype));
  shape[0] = count;
  if (!feed.ragged) {
    for (std::size_t axis = 1; axis < shape.rank(); ++axis) shape[axis] = tensor->shape()[axis];
    if (rows.order.empty() && tensor->dtype() == feed.dtype) {
      pointers_[place] = tensor->raw() + rows.begin * width * from_bytes;
      return;
    }
    std::byte* const out = buffer(feed.value, count * width * to_bytes);
    pointers_[place] = out;
    if (rows.order.empty()) {
      convert(tensor->dtype(), feed.dtype, tensor->raw() + rows.begin * width * from_bytes, out,
              count * width);
      return;
    }
    for (std::int64_t i = 0; i < count; ++i) {
      convert(tensor->dtype(), feed.dtype, tensor->raw() + rows.row(i) * width * from_bytes,
              out + i * width * to_bytes, width);
    }
    return;
  }

  const std::span<const std::int64_t> splits = tensor->row_splits();
  auto& lengths = lengths_[place];
  lengths.resize(static_cast<std::size_t>(count));
  std::int64_t longest = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto row = static_cast<std::size_t>(rows.row(i));
    lengths[static_cast<std::size_t>(i)] = splits[row + 1] - splits[row];
    longest = std::max(longest, splits[row + 1] - splits[row]);
  }
  const std::int64_t steps =
      std::max<std::int64_t>(1, (longest + kStepsRounding - 1) / kStepsRounding) * kStepsRounding;
  shape[1] = steps;
  for (std::size_t axis = 2; axis < shape.rank(); ++axis) shape[axis] = tensor->shape()[axis];
  std::byte* const out = buffer(feed.value, count * steps * width * to_bytes);
  pointers_[place] = out;
  std::byte* mask = nullptr;
  if (feed.ends >= 0) {
    const auto ends = static_cast<std::size_t>(feed.ends);
    infos_[ends].shape[0] = count;
    infos_[ends].shape[1] = steps;
    mask = buffer(feed.ends, count * steps);
    pointers_[ends] = mask;
  }
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t first = splits[static_cast<std::size_t>(rows.row(i))];
    const std::int64_t length = lengths[static_cast<std::size_t>(i)];
    std::byte* const row = out + i * steps * width * to_bytes;
    convert(tensor->dtype(), feed.dtype, tensor->raw() + first * width * from_bytes, row,
            length * width);
    std::memset(row + length * width * to_bytes, 0,
                static_cast<std::size_t>((steps - length) * width * to_bytes));
    if (mask == nullptr) continue;
    std::memset(mask + i * steps, 1, static_cast<std::size_t>(length));
    std::memset(mask + i * steps + length, 0, static_cast<std::size_t>(steps - length));
  }
}

void Session::prepare(const Bound& bound, const BatchRows& rows) {
  for (std::size_t i = 0; i < step_.x().size(); ++i) stage(step_.x()[i], bound.x[i], rows);
  for (std::size_t i = 0; i < step_.y().size(); ++i) {
    stage(step_.y()[i], bound.y[i], rows);
    stage(step_.weights()[i], bound.weight[i], rows);
  }
  program_ = step_.executor().program(infos_);
}

void Session::run(const RunState& state, const Followers& followers) {
  workspace_.run(*program_, pointers_, state, followers);
}

std::int64_t Session::prediction_row_bytes(std::size_t output) const {
  const ValueInfo& info =
      program_->output_infos()[static_cast<std::size_t>(step_.prediction(output))];
  auto bytes = static_cast<std::int64_t>(size_of(info.dtype));
  for (std::size_t axis = step_.ragged_source(output) ? 2 : 1; axis < info.shape.rank(); ++axis)
    bytes *= info.shape[axis];
  return bytes;
}

std::byte* Session::copy_prediction(std::size_t output, std::byte* out) const {
  const auto number = static_cast<std::size_t>(step_.prediction(output));
  const ValueInfo& info = program_->output_infos()[number];
  const auto element = static_cast<std::int64_t>(size_of(info.dtype));
  // As bytes, whatever the dtype: rows and columns of the matrix are counted in elements.
  const Matrix<const std::byte> matrix = workspace_.output<std::byte>(*program_, number);
  const std::int64_t stride = matrix.stride * element;
  const std::int64_t width = matrix.columns * element;
  const auto copy_rows = [&](std::int64_t first, std::int64_t count) {
    if (stride == width) {
      if (count > 0)
        std::memcpy(out, matrix.data + first * stride, static_cast<std::size_t>(count * width));
    } else {
      for (std::int64_t row = 0; row < count; ++row) {
        std::memcpy(out + row * width, matrix.data + (first + row) * stride,
                    static_cast<std::size_t>(width));
      }
    }
    out += count * width;
  };
  const auto& source = step_.ragged_source(output);
  if (!source) {
    copy_rows(0, matrix.rows);
    return out;
  }
  const auto& lengths = lengths_[static_cast<std::size_t>(step_.x()[*source].value)];
  const std::int64_t batch = program_->batch();
  const std::int64_t rows_a_row = batch == 0 ? 0 : matrix.rows / batch;
  const std::int64_t rows_a_step = rows_a_row == 0 ? 0 : rows_a_row / info.shape[1];
  if (rows_a_step == 0) {
    // One value a step: the matrix has the steps as columns.
    for (std::int64_t i = 0; i < batch; ++i) {
      const std::int64_t bytes = lengths[static_cast<std::size_t>(i)] * element;
      std::memcpy(out, matrix.data + i * stride, static_cast<std::size_t>(bytes));
      out += bytes;
    }
    return out;
  }
  for (std::int64_t i = 0; i < batch; ++i)
    copy_rows(i * rows_a_row, lengths[static_cast<std::size_t>(i)] * rows_a_step);
  return out;
}

}  // namespace braid
