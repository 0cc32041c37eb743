#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "kernels/elementwise.hpp"
#include "tests/support/guarded_matrix.hpp"

// Operands of the kernels that broadcast, in guarded memory.
namespace braid::testing {

using kernels::kMaxAxes;

using Axes = std::array<std::int64_t, kMaxAxes>;
using Repeats = std::array<bool, kMaxAxes>;

// Calls body(at) for every place of the extent, in index order.
template <class Body>
void for_places(const Axes& extent, const Body& body) {
  std::int64_t count = 1;
  for (const std::int64_t length : extent) count *= length;
  for (std::int64_t number = 0; number < count; ++number) {
    Axes at{};
    std::int64_t rest = number;
    for (std::size_t axis = kMaxAxes; axis-- > 0;) {
      at[axis] = rest % extent[axis];
      rest /= extent[axis];
    }
    body(at);
  }
}

// An operand that is repeated along some axes, with gaps between its innermost rows.
template <class T>
class Operand {
 public:
  Operand(const Axes& extent, const Repeats& repeats, std::int64_t gap) {
    for (std::size_t axis = 0; axis < kMaxAxes; ++axis)
      own_[axis] = repeats[axis] ? 1 : extent[axis];
    std::int64_t rows = 1;
    for (std::size_t axis = 0; axis + 1 < kMaxAxes; ++axis) rows *= own_[axis];
    memory_ = GuardedMatrix<T>(rows, own_.back(), gap);
    std::int64_t stride = own_.back() + gap;
    strided_.data = memory_.data();
    for (std::size_t axis = kMaxAxes - 1; axis-- > 0; stride *= own_[axis])
      strided_.stride[axis] = repeats[axis] ? 0 : stride;
    strided_.stride[kMaxAxes - 1] = repeats.back() ? 0 : 1;
  }
  Operand(const Operand&) = delete;
  Operand& operator=(const Operand&) = delete;

  const Axes& own() const { return own_; }
  const kernels::Strided<T>& strided() const { return strided_; }
  GuardedMatrix<T>& memory() { return memory_; }
  T& at(const Axes& place) {
    T* element = strided_.data;
    for (std::size_t axis = 0; axis < kMaxAxes; ++axis)
      element += place[axis] * strided_.stride[axis];
    return *element;
  }

 private:
  Axes own_{};
  GuardedMatrix<T> memory_;
  kernels::Strided<T> strided_;
};

template <class T>
kernels::Strided<const T> read_only(const kernels::Strided<T>& operand) {
  kernels::Strided<const T> read;
  read.data = operand.data;
  for (int axis = 0; axis < kMaxAxes; ++axis) read.stride[axis] = operand.stride[axis];
  return read;
}

}  // namespace braid::testing
