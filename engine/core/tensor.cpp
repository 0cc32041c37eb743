#include "engine/core/tensor.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "engine/core/device_access.hpp"
#include "engine/core/error.hpp"
#include "engine/core/memory.hpp"

namespace braid {
namespace {

// Done when it returns: launches in streams come in no order with it.
void copy_within(Device device, std::byte* to, const std::byte* from, std::size_t bytes) {
  if (device != Device::cpu()) await_streams_but(nullptr);
  const DeviceAccess& access = access_to(device);
  access.copy(to, from, bytes, nullptr);
  access.synchronize(nullptr);
}

std::size_t row_bytes(const Shape& shape, DType dtype) {
  std::size_t bytes = size_of(dtype);
  for (std::size_t axis = 1; axis < shape.rank(); ++axis)
    bytes *= static_cast<std::size_t>(shape[axis]);
  return bytes;
}

}  // namespace

Tensor::Tensor() : Tensor(zeros(Shape{0})) {}

Tensor Tensor::uninitialized(Shape shape, DType dtype, Device device) {
  bool empty = false;
  for (Dim dim : shape) {
    if (dim < 0)
      throw ShapeError("a tensor needs known axes; " + to_string(shape) + " was asked for");
    empty = empty || dim == 0;
  }
  auto most = std::numeric_limits<std::int64_t>::max() / static_cast<Dim>(size_of(dtype));
  for (Dim dim : shape) {
    if (!empty && (most /= dim) == 0)
      throw OutOfMemory("no machine holds a tensor of shape " + to_string(shape));
  }
  Tensor tensor{std::in_place};
  tensor.elements_ = shape.elements();
  tensor.shape_ = std::move(shape);
  tensor.dtype_ = dtype;
  tensor.device_ = device;
  tensor.storage_ = allocate_on(device, tensor.bytes(), "a tensor");
  tensor.data_ = tensor.storage_.get();
  return tensor;
}

Tensor Tensor::zeros(Shape shape, DType dtype) {
  Tensor tensor = uninitialized(std::move(shape), dtype);
  std::memset(tensor.data_, 0, tensor.bytes());
  return tensor;
}

template <class T>
Tensor Tensor::from(std::span<const T> values, Shape shape) {
  if (shape.elements() != static_cast<Dim>(values.size())) {
    throw ShapeError(
        "Tensor::from: shape " + to_string(shape) + " holds " +
        (shape.is_known() ? std::to_string(shape.elements()) : "an unknown number of") +
        " elements, but " + std::to_string(values.size()) + " values were given");
  }
  if constexpr (std::is_same_v<T, double>) {
    Tensor tensor = uninitialized(std::move(shape), DType::float32);
    std::transform(values.begin(), values.end(), tensor.data<float>(),
                   [](double value) { return static_cast<float>(value); });
    return tensor;
  } else {
    Tensor tensor = uninitialized(std::move(shape), DTypeOf<T>::value);
    if (!values.empty()) std::memcpy(tensor.data_, values.data(), values.size_bytes());
    return tensor;
  }
}

template Tensor Tensor::from(std::span<const float>, Shape);
template Tensor Tensor::from(std::span<const double>, Shape);
template Tensor Tensor::from(std::span<const std::int32_t>, Shape);
template Tensor Tensor::from(std::span<const std::int64_t>, Shape);
template Tensor Tensor::from(std::span<const std::uint8_t>, Shape);
template Tensor Tensor::from(std::span<const bool>, Shape);

template <>
Tensor Tensor::from(const std::vector<bool>& values, Shape shape) {
  const auto bytes = std::make_unique<bool[]>(values.size());
  std::copy(values.begin(), values.end(), bytes.get());
  return from(std::span<const bool>(bytes.get(), values.size()), std::move(shape));
}

Tensor Tensor::ragged(Tensor values, std::vector<std::int64_t> row_splits) {
  if (values.is_ragged() || values.shape().empty()) {
    throw ShapeError("Tensor::ragged: the values must be a tensor [total, ...], not " +
                     describe(values));
  }
  if (row_splits.empty() || row_splits.front() != 0 ||
      !std::is_sorted(row_splits.begin(), row_splits.end()) ||
      row_splits.back() != values.shape()[0]) {
    throw ShapeError("Tensor::ragged: row splits must start at 0, never fall and end at the " +
                     std::to_string(values.shape()[0]) + " values" +
                     (row_splits.empty() ? "; none were given"
                                         : "; they run from " + std::to_string(row_splits.front()) +
                                               " to " + std::to_string(row_splits.back())));
  }
  std::vector<Dim> dims{static_cast<Dim>(row_splits.size()) - 1, None};
  dims.insert(dims.end(), values.shape_.begin() + 1, values.shape_.end());
  values.shape_ = Shape(std::move(dims));
  values.row_splits_ = std::make_shared<const std::vector<std::int64_t>>(std::move(row_splits));
  return values;
}

Tensor Tensor::to(Device device) const {
  if (device == device_) return *this;
  if (device != Device::cpu() && device_ != Device::cpu()) return to(Device::cpu()).to(device);
  Tensor moved = *this;
  auto storage = allocate_on(device, bytes(), "a tensor");
  std::byte* const data = storage.get();
  moved.move_to(device, std::move(storage), data);
  return moved;
}

// One of the two devices is the host.
void Tensor::move_to(Device device, std::shared_ptr<std::byte[]> storage, std::byte* data) {
  await_streams_but(nullptr);
  if (device == Device::cpu()) {
    access_to(device_).download(data, data_, bytes(), nullptr);
  } else {
    access_to(device).upload(data, data_, bytes(), nullptr);
  }
  device_ = device;
  storage_ = std::move(storage);
  data_ = data;
}

void move_together(const std::vector<Tensor*>& tensors, Device device, const char* what) {
  constexpr std::size_t kAlignment = 256;
  const auto space_of = [&](const Tensor& tensor) {
    if (tensor.device() == device) return std::size_t{0};
    return (tensor.bytes() + kAlignment - 1) / kAlignment * kAlignment;
  };
  if (std::all_of(tensors.begin(), tensors.end(),
                  [&](const Tensor* tensor) { return tensor->device() == device; }))
    return;
  std::size_t bytes = 0;
  for (const Tensor* tensor : tensors) bytes += space_of(*tensor);
  const std::shared_ptr<std::byte[]> block = allocate_on(device, bytes, what);
  std::byte* next = block.get();
  for (Tensor* tensor : tensors) {
    const std::size_t space = space_of(*tensor);
    if (tensor->device() == device) continue;
    if (device != Device::cpu()) *tensor = tensor->to(Device::cpu());
    tensor->move_to(device, block, next);
    next += space;
  }
}

std::span<const std::int64_t> Tensor::row_splits() const {
  if (!is_ragged()) throw ShapeError("row_splits: " + describe(*this) + " is not ragged");
  return *row_splits_;
}

Tensor Tensor::values() const {
  if (!is_ragged()) throw ShapeError("values: " + describe(*this) + " is not ragged");
  Tensor flat = *this;
  std::vector<Dim> dims{row_splits_->back() - row_splits_->front()};
  dims.insert(dims.end(), shape_.begin() + 2, shape_.end());
  flat.shape_ = Shape(std::move(dims));
  flat.row_splits_ = nullptr;
  return flat;
}

std::int64_t Tensor::rows() const { return shape_.empty() ? 1 : shape_[0]; }

Tensor Tensor::slice(std::int64_t begin, std::int64_t end) const {
  if (shape_.empty() || begin < 0 || end < begin || end > rows()) {
    throw RangeError("slice: rows " + std::to_string(begin) + " .. " + std::to_string(end) +
                     " of " + describe(*this));
  }
  Tensor part = *this;
  part.shape_[0] = end - begin;
  if (is_ragged()) {
    const auto splits = row_splits();
    const std::int64_t first = splits[static_cast<std::size_t>(begin)];
    std::vector<std::int64_t> moved;
    for (std::int64_t row = begin; row <= end; ++row)
      moved.push_back(splits[static_cast<std::size_t>(row)] - first);
    const std::size_t step = row_bytes(values().shape_, dtype_);
    part.data_ += static_cast<std::size_t>(first) * step;
    part.elements_ = moved.back() * static_cast<std::int64_t>(step / size_of(dtype_));
    part.row_splits_ = std::make_shared<const std::vector<std::int64_t>>(std::move(moved));
    return part;
  }
  part.data_ += static_cast<std::size_t>(begin) * row_bytes(shape_, dtype_);
  part.elements_ = part.shape_.elements();
  return part;
}

Tensor Tensor::gather(std::span<const std::int64_t> indices) const {
  if (shape_.empty()) throw RangeError("gather: " + describe(*this) + " has no rows");
  if (device_ != Device::cpu()) return to(Device::cpu()).gather(indices).to(device_);
  for (std::int64_t index : indices) {
    if (index < 0 || index >= rows()) {
      throw RangeError("gather: row " + std::to_string(index) + " of " + describe(*this));
    }
  }
  if (is_ragged()) {
    const auto splits = row_splits();
    std::vector<std::int64_t> new_splits{0};
    for (std::int64_t index : indices) {
      const auto row = static_cast<std::size_t>(index);
      new_splits.push_back(new_splits.back() + splits[row + 1] - splits[row]);
    }
    const Tensor flat = values();
    Shape shape = flat.shape_;
    shape[0] = new_splits.back();
    Tensor picked = uninitialized(shape, dtype_);
    const std::size_t step = row_bytes(flat.shape_, dtype_);
    std::byte* target = picked.data_;
    for (std::int64_t index : indices) {
      const auto row = static_cast<std::size_t>(index);
      const std::size_t bytes = static_cast<std::size_t>(splits[row + 1] - splits[row]) * step;
      std::memcpy(target, data_ + static_cast<std::size_t>(splits[row]) * step, bytes);
      target += bytes;
    }
    return ragged(std::move(picked), std::move(new_splits));
  }
  Shape shape = shape_;
  shape[0] = static_cast<Dim>(indices.size());
  Tensor picked = uninitialized(shape, dtype_);
  const std::size_t step = row_bytes(shape_, dtype_);
  for (std::size_t i = 0; i < indices.size(); ++i) {
    std::memcpy(picked.data_ + i * step, data_ + static_cast<std::size_t>(indices[i]) * step, step);
  }
  return picked;
}

Tensor Tensor::reshape(Shape shape) const {
  const bool negative = std::any_of(shape.begin(), shape.end(), [](Dim dim) { return dim < 0; });
  if (is_ragged() || negative || shape.elements() != elements_) {
    throw ShapeError("reshape: " + describe(*this) + " does not fill " + to_string(shape));
  }
  Tensor other = *this;
  other.shape_ = std::move(shape);
  return other;
}

Tensor Tensor::clone() const {
  Tensor copy = *this;
  copy.storage_ = allocate_on(device_, bytes(), "a tensor");
  copy.data_ = copy.storage_.get();
  copy_within(device_, copy.data_, data_, bytes());
  return copy;
}

void Tensor::assign(const Tensor& other) {
  const auto does_not_fit = [&] {
    return "assign: " + describe(other) + " does not fit " + describe(*this);
  };
  if (other.dtype_ != dtype_) throw DTypeError(does_not_fit());
  if (other.shape_ != shape_) throw ShapeError(does_not_fit());
  // Tensors of one shape are ragged or not alike: None is an axis of ragged ones alone.
  if (is_ragged() && !std::ranges::equal(other.row_splits(), row_splits()))
    throw ShapeError(does_not_fit() + ": rows differ in length");
  const Tensor near = other.device_ == device_ ? other : other.to(Device::cpu());
  if (near.device_ == device_) {
    copy_within(device_, data_, near.data_, bytes());
  } else {
    if (device_ != Device::cpu()) await_streams_but(nullptr);
    access_to(device_).upload(data_, near.data_, bytes(), nullptr);
  }
}

Tensor copy_on_host(const Tensor& tensor) {
  return tensor.device() == Device::cpu() ? tensor.clone() : tensor.to(Device::cpu());
}

void Tensor::require_host(std::string_view call) const {
  if (device_ == Device::cpu()) return;
  throw DeviceError(std::string(call) + ": the elements of " + describe(*this) +
                    " are on device \"" + to_string(device_) +
                    "\"; to(Device::cpu()) brings them here");
}

void Tensor::require_dtype(DType wanted, std::string_view call) const {
  if (wanted != dtype_) {
    throw DTypeError(std::string(call) + "<" + std::string(name_of(wanted)) + ">: the tensor is " +
                     describe(*this) + "; nothing is converted here");
  }
}

std::string describe(const Tensor& tensor) {
  std::string text(name_of(tensor.dtype()));
  if (tensor.is_ragged()) text += " ragged";
  return text + " " + to_string(tensor.shape());
}

TensorDict::TensorDict(std::initializer_list<Item> items) {
  for (const Item& item : items) {
    if (contains(item.first)) throw NameError("the name \"" + item.first + "\" is given twice");
    items_.push_back(item);
  }
}

void TensorDict::set(std::string name, Tensor tensor) {
  for (Item& item : items_) {
    if (item.first == name) {
      item.second = std::move(tensor);
      return;
    }
  }
  items_.emplace_back(std::move(name), std::move(tensor));
}

const Tensor* TensorDict::find(std::string_view name) const {
  for (const Item& item : items_) {
    if (item.first == name) return &item.second;
  }
  return nullptr;
}

const Tensor& TensorDict::at(std::string_view name) const {
  if (const Tensor* tensor = find(name)) return *tensor;
  throw NameError("no tensor \"" + std::string(name) + "\"; known are " + quoted_list(names()) +
                  "." + suggestion(name, names()));
}

Tensor& TensorDict::at(std::string_view name) {
  return const_cast<Tensor&>(std::as_const(*this).at(name));
}

std::vector<std::string> TensorDict::names() const {
  std::vector<std::string> names;
  for (const Item& item : items_) names.push_back(item.first);
  return names;
}

}  // namespace braid
