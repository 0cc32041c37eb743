#include "engine/train/session.hpp"

#include <algorithm>
#include <cstring>

#include "engine/core/error.hpp"

namespace braid {
namespace {

// Steps of padded batches are rounded up, so that batches of similar length share a program.
constexpr std::int64_t kStepsRounding = 8;

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

void Session::measure(const Feed& feed, const Tensor& tensor, const BatchRows& rows) {
  const auto place = static_cast<std::size_t>(feed.value);
  Shape& shape = infos_[place].shape;
  const std::int64_t count = rows.count();
  shape[0] = count;
  const std::size_t known = feed.ragged ? 2 : 1;
  for (std::size_t axis = known; axis < shape.rank(); ++axis) shape[axis] = tensor.shape()[axis];
  if (!feed.ragged) return;
  const std::span<const std::int64_t> splits = tensor.row_splits();
  auto& lengths = lengths_[place];
  lengths.resize(static_cast<std::size_t>(count));
  std::int64_t longest = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto row = static_cast<std::size_t>(rows.row(i));
    lengths[static_cast<std::size_t>(i)] = splits[row + 1] - splits[row];
    longest = std::max(longest, splits[row + 1] - splits[row]);
  }
  shape[1] =
      std::max<std::int64_t>(1, (longest + kStepsRounding - 1) / kStepsRounding) * kStepsRounding;
  if (feed.ends < 0) return;
  Shape& ends = infos_[static_cast<std::size_t>(feed.ends)].shape;
  ends[0] = count;
  ends[1] = shape[1];
}

void Session::stage(const Feed& feed, const Tensor& tensor, const BatchRows& rows) {
  const auto place = static_cast<std::size_t>(feed.value);
  kernels::GatheredColumn column = column_of(feed, tensor);
  if (!feed.ragged && rows.order.empty() && column.from == column.to) {
    const auto size = static_cast<std::int64_t>(size_of(column.from));
    pointers_[place] = column.values + rows.begin * column.width * size;
    return;
  }
  if (feed.ragged) column.steps = infos_[place].shape[1];
  const auto size = static_cast<std::int64_t>(size_of(column.to));
  column.out = buffer(feed.value, rows.count() * column.steps * column.width * size);
  pointers_[place] = column.out;
  if (feed.ends >= 0) {
    std::byte* const mask = buffer(feed.ends, rows.count() * column.steps);
    pointers_[static_cast<std::size_t>(feed.ends)] = mask;
    column.mask = reinterpret_cast<std::uint8_t*>(mask);
  }
  gathered_.push_back(column);
}

void Session::stage_for_device(const Feed& feed, const Tensor& tensor,
                               const std::vector<std::byte*>& places) {
  const auto place = static_cast<std::size_t>(feed.value);
  kernels::GatheredColumn column = column_of(feed, tensor);
  column.out = places[place];
  if (feed.ragged) column.steps = infos_[place].shape[1];
  if (feed.ends >= 0)
    column.mask = reinterpret_cast<std::uint8_t*>(places[static_cast<std::size_t>(feed.ends)]);
  if (column.out == nullptr) column.width = 0;  // the mask alone, if anything, is wanted
  if (column.out != nullptr || column.mask != nullptr) gathered_.push_back(column);
}

void Session::prepare(const Bound& bound, const BatchRows& rows) {
  program_ = plan(bound, rows);
  gathered_.clear();
  if (workspace_.device() == Device::cpu()) {
    workspace_.reserve(*program_);
    step_.for_feeds(bound,
                    [&](const Feed& feed, const Tensor& tensor) { stage(feed, tensor, rows); });
  } else {
    const std::vector<std::byte*>& places = workspace_.stage(*program_);
    std::copy(places.begin(), places.end(), pointers_.begin());
    step_.for_feeds(bound, [&](const Feed& feed, const Tensor& tensor) {
      stage_for_device(feed, tensor, places);
    });
  }
  gather_here(gathered_, rows);
}

std::shared_ptr<const Program> Session::plan(const Bound& bound, const BatchRows& rows) {
  step_.for_feeds(bound,
                  [&](const Feed& feed, const Tensor& tensor) { measure(feed, tensor, rows); });
  return step_.executor().program(infos_);
}

std::shared_ptr<const Program> Session::reserve_largest(const Bound& bound, std::int64_t rows) {
  step_.for_feeds(bound, [&](const Feed& feed, const Tensor& tensor) {
    measure(feed, tensor, {0, bound.rows});
    infos_[static_cast<std::size_t>(feed.value)].shape[0] = rows;
    if (feed.ends >= 0) infos_[static_cast<std::size_t>(feed.ends)].shape[0] = rows;
  });
  std::shared_ptr<const Program> program = step_.executor().program(infos_);
  workspace_.reserve(*program);
  return program;
}

void Session::run_steps(std::shared_ptr<const Program> program, const Steps& steps) {
  program_ = std::move(program);
  workspace_.run_steps(*program_, steps);
}

void Session::run(const RunState& state, const Followers& followers) {
  workspace_.run(*program_, pointers_, state, followers);
}

void Session::copy_predictions(std::vector<std::byte*>& ends) const {
  std::vector<int> predictions;
  predictions.reserve(ends.size());
  for (std::size_t i = 0; i < ends.size(); ++i) predictions.push_back(step_.prediction(i));
  read_together<std::byte>(predictions, [&](std::size_t i, const Matrix<const std::byte>& matrix) {
    ends[i] = copy_prediction(i, matrix, ends[i]);
  });
}

std::byte* Session::copy_prediction(std::size_t output, const Matrix<const std::byte>& matrix,
                                    std::byte* out) const {
  const auto number = static_cast<std::size_t>(step_.prediction(output));
  const ValueInfo& info = program_->output_infos()[number];
  const auto element = static_cast<std::int64_t>(size_of(info.dtype));
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
