#pragma once
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <braid/device.hpp>
#include <braid/dtype.hpp>
#include <braid/shape.hpp>

namespace braid {

// An n-dimensional array, row-major, on a device. Copies share their storage; clone() does not. A
// ragged tensor holds rows of different length one after another: values [total, ...] and
// row_splits [rows + 1], no padding.
class Tensor {
 public:
  // No elements, float32, shape [0].
  Tensor();

  // Copies host data. float, double (becomes float32), int32, int64, uint8 and bool elements.
  // Throws ShapeError if shape does not hold as many elements as there are values.
  template <class T>
  static Tensor from(std::span<const T> values, Shape shape);
  template <class T, std::size_t extent>
  static Tensor from(std::span<T, extent> values, Shape shape);
  template <class T>
  static Tensor from(const std::vector<T>& values, Shape shape);
  template <class T>
  static Tensor from(std::initializer_list<T> values, Shape shape);

  static Tensor zeros(Shape shape, DType dtype = DType::float32);
  // Storage whose content is not yet defined; for readers that fill it at once.
  static Tensor uninitialized(Shape shape, DType dtype, Device device = Device::cpu());

  // Rows of ids (a vector) or of feature vectors (values [total, features]); row r is values
  // row_splits[r] .. row_splits[r + 1] - 1. Throws ShapeError unless the splits start at 0, never
  // fall and end at the number of values.
  template <class T>
  static Tensor ragged(const std::vector<T>& values, std::vector<std::int64_t> row_splits);
  static Tensor ragged(Tensor values, std::vector<std::int64_t> row_splits);

  // Ragged: [rows, None, features...]. Else the full shape.
  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  Device device() const { return device_; }
  // The tensor itself where it is there already, else a copy. DeviceError, OutOfMemory.
  Tensor to(Device device) const;

  bool is_ragged() const { return row_splits_ != nullptr; }
  // Only of ragged tensors: rows + 1 ends, and the values without the row structure [total,
  // features...].
  std::span<const std::int64_t> row_splits() const;
  Tensor values() const;

  // Axis 0; 1 for a scalar.
  std::int64_t rows() const;
  // Elements in storage (all rows of a ragged tensor together).
  std::int64_t elements() const { return elements_; }
  std::size_t bytes() const { return static_cast<std::size_t>(elements_) * size_of(dtype_); }

  // Copy of the elements, from any device; T must be the dtype (DTypeError), as nothing is
  // converted.
  template <class T>
  std::vector<T> to_vector() const;
  // The elements in place, DeviceError if they are not on the host; DTypeError if T is not the
  // dtype. Writing to shared storage
  // changes every copy.
  template <class T>
  const T* data() const;
  template <class T>
  T* data();
  // The memory itself, wherever it is.
  const std::byte* raw() const { return data_; }
  std::byte* raw() { return data_; }

  // Rows begin .. end - 1, sharing the storage. RangeError outside 0 .. rows().
  Tensor slice(std::int64_t begin, std::int64_t end) const;
  // Rows in the order of `indices`, copied; on the tensor's device. RangeError for one outside
  // 0 .. rows() - 1, and of a tensor without axes.
  Tensor gather(std::span<const std::int64_t> indices) const;
  // The same elements under another shape, sharing the storage. ShapeError of ragged tensors, for
  // an axis below 0 (None is not worked out), and where the shape holds another number of elements.
  Tensor reshape(Shape shape) const;
  Tensor clone() const;
  // Overwrites the elements in place with those of a tensor of this dtype, shape and, where ragged,
  // of these row splits, on any device. DTypeError, ShapeError, and then nothing has changed.
  void assign(const Tensor& other);

 private:
  friend void move_together(const std::vector<Tensor*>&, Device, const char*);
  explicit Tensor(std::in_place_t) {}
  void move_to(Device device, std::shared_ptr<std::byte[]> storage, std::byte* data);
  void require_host(std::string_view call) const;
  void require_dtype(DType wanted, std::string_view call) const;

  Shape shape_;
  DType dtype_ = DType::float32;
  std::int64_t elements_ = 0;
  Device device_ = Device::cpu();
  std::shared_ptr<std::byte[]> storage_;
  std::byte* data_ = nullptr;
  std::shared_ptr<const std::vector<std::int64_t>> row_splits_;
};

// The tensors on a device, side by side in one block of its memory, each from a multiple of 256
// bytes on; those that are there already stay where they are. OutOfMemory with what they are.
void move_together(const std::vector<Tensor*>& tensors, Device device, const char* what);

// A copy of its own on the host, wherever the tensor is.
Tensor copy_on_host(const Tensor& tensor);

// "float32 [32, 100]".
std::string describe(const Tensor& tensor);

// Named tensors in insertion order.
class TensorDict {
 public:
  using Item = std::pair<std::string, Tensor>;

  TensorDict() = default;
  // Throws NameError if a name is given twice.
  TensorDict(std::initializer_list<Item> items);

  // Adds the tensor, or replaces the one of that name in its place.
  void set(std::string name, Tensor tensor);
  // Throws NameError with the known names and the nearest one.
  const Tensor& at(std::string_view name) const;
  Tensor& at(std::string_view name);
  const Tensor& operator[](std::string_view name) const { return at(name); }
  Tensor& operator[](std::string_view name) { return at(name); }
  bool contains(std::string_view name) const { return find(name) != nullptr; }
  const Tensor* find(std::string_view name) const;
  std::vector<std::string> names() const;

  std::size_t size() const { return items_.size(); }
  bool empty() const { return items_.empty(); }
  auto begin() const { return items_.begin(); }
  auto end() const { return items_.end(); }

 private:
  std::vector<Item> items_;
};

// Implementation of the templates: they are defined for the element types listed at Tensor::from.
extern template Tensor Tensor::from(std::span<const float>, Shape);
extern template Tensor Tensor::from(std::span<const double>, Shape);
extern template Tensor Tensor::from(std::span<const std::int32_t>, Shape);
extern template Tensor Tensor::from(std::span<const std::int64_t>, Shape);
extern template Tensor Tensor::from(std::span<const std::uint8_t>, Shape);
extern template Tensor Tensor::from(std::span<const bool>, Shape);

template <class T, std::size_t extent>
Tensor Tensor::from(std::span<T, extent> values, Shape shape) {
  return from(std::span<const std::remove_const_t<T>>(values), std::move(shape));
}

template <class T>
Tensor Tensor::from(const std::vector<T>& values, Shape shape) {
  return from(std::span<const T>(values), std::move(shape));
}
template <>
Tensor Tensor::from(const std::vector<bool>& values, Shape shape);

template <class T>
Tensor Tensor::from(std::initializer_list<T> values, Shape shape) {
  return from(std::span<const T>(values.begin(), values.size()), std::move(shape));
}

template <class T>
Tensor Tensor::ragged(const std::vector<T>& values, std::vector<std::int64_t> row_splits) {
  return ragged(from(values, Shape{static_cast<Dim>(values.size())}), std::move(row_splits));
}

template <class T>
const T* Tensor::data() const {
  require_dtype(DTypeOf<T>::value, "data");
  require_host("data");
  return reinterpret_cast<const T*>(data_);
}
template <class T>
T* Tensor::data() {
  require_dtype(DTypeOf<T>::value, "data");
  require_host("data");
  return reinterpret_cast<T*>(data_);
}

template <class T>
std::vector<T> Tensor::to_vector() const {
  require_dtype(DTypeOf<T>::value, "to_vector");
  if (device_ != Device::cpu()) return to(Device::cpu()).to_vector<T>();
  const T* first = reinterpret_cast<const T*>(data_);
  return std::vector<T>(first, first + elements_);
}

}  // namespace braid
