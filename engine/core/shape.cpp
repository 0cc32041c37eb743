#include "engine/core/shape.hpp"

#include <algorithm>
#include <limits>

namespace braid {

bool Shape::is_known() const {
  return std::none_of(dims_.begin(), dims_.end(), [](Dim dim) { return dim == None; });
}

Dim Shape::elements() const {
  if (!is_known()) return None;
  if (std::find(dims_.begin(), dims_.end(), 0) != dims_.end()) return 0;
  Dim product = 1;
  for (Dim dim : dims_) {
    // More than can be counted is still too many.
    if (__builtin_mul_overflow(product, dim, &product)) return std::numeric_limits<Dim>::max();
  }
  return product;
}

Shape Shape::prepend(Dim dim) const {
  std::vector<Dim> dims{dim};
  dims.insert(dims.end(), dims_.begin(), dims_.end());
  return Shape(std::move(dims));
}

Shape Shape::append(Dim dim) const {
  std::vector<Dim> dims = dims_;
  dims.push_back(dim);
  return Shape(std::move(dims));
}

Shape Shape::slice(std::size_t first, std::size_t last) const {
  return Shape(std::vector<Dim>(dims_.begin() + static_cast<std::ptrdiff_t>(first),
                                dims_.begin() + static_cast<std::ptrdiff_t>(last)));
}

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
    if (axis > 0) text += ", ";
    if (shape[axis] != None) {
      text += std::to_string(shape[axis]);
    } else {
      text += axis == 0 ? "batch" : "none";
    }
  }
  return text + "]";
}

}  // namespace braid
