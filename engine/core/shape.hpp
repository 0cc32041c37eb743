#pragma once
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include <braid/count.hpp>

namespace braid {

// One axis. None: unknown until a batch comes.
using Dim = std::int64_t;
inline constexpr Dim None = -1;

// The axes of a tensor. An Input's Shape leaves the batch axis out; Tensor::shape() has it.
class Shape {
 public:
  Shape() = default;
  // Of any integers: {rows, 5} with an unsigned `rows` narrows nothing.
  Shape(std::initializer_list<Count> dims) : dims_(dims.begin(), dims.end()) {}
  explicit Shape(std::vector<Dim> dims) : dims_(std::move(dims)) {}

  std::size_t rank() const { return dims_.size(); }
  std::size_t size() const { return dims_.size(); }
  bool empty() const { return dims_.empty(); }
  Dim operator[](std::size_t axis) const { return dims_[axis]; }
  Dim& operator[](std::size_t axis) { return dims_[axis]; }
  Dim front() const { return dims_.front(); }
  Dim back() const { return dims_.back(); }
  auto begin() const { return dims_.begin(); }
  auto end() const { return dims_.end(); }
  const std::vector<Dim>& dims() const { return dims_; }

  // No axis is None.
  bool is_known() const;
  // Product of all axes; None if one of them is None. The empty shape has one element.
  Dim elements() const;
  // This shape with `dim` put in front, or behind.
  Shape prepend(Dim dim) const;
  Shape append(Dim dim) const;
  // Axes first .. last - 1.
  Shape slice(std::size_t first, std::size_t last) const;

  bool operator==(const Shape&) const = default;

 private:
  std::vector<Dim> dims_;
};

// "[batch, 100]": the first axis, if None, is called batch, others "none".
std::string to_string(const Shape& shape);

}  // namespace braid
