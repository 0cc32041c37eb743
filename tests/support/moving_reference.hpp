#pragma once
#include <vector>

#include "tests/support/array.hpp"

// Ops that move elements, in plain loops over indices.
namespace braid::testing {

// Elements before an axis, along it, and behind it.
struct AxisSplit {
  std::int64_t outer;
  std::int64_t count;
  std::int64_t inner;
};

inline AxisSplit split_at(const Shape& shape, std::size_t axis) {
  return {shape.slice(0, axis).elements(), shape[axis],
          shape.slice(axis + 1, shape.rank()).elements()};
}

inline Array sliced(const Array& in, std::size_t axis, std::int64_t first, std::int64_t count) {
  Shape shape = in.shape;
  shape[axis] = count;
  Array out(shape);
  const AxisSplit from = split_at(in.shape, axis);
  for (std::int64_t o = 0; o < from.outer; ++o) {
    for (std::int64_t c = 0; c < count; ++c) {
      for (std::int64_t i = 0; i < from.inner; ++i) {
        out[(o * count + c) * from.inner + i] = in[(o * from.count + first + c) * from.inner + i];
      }
    }
  }
  return out;
}

inline Array joined(const Arrays& parts, std::size_t axis) {
  Shape shape = parts[0].shape;
  for (std::size_t p = 1; p < parts.size(); ++p) shape[axis] += parts[p].shape[axis];
  Array out(shape);
  std::int64_t first = 0;
  for (const Array& part : parts) {
    const AxisSplit from = split_at(part.shape, axis);
    for (std::int64_t o = 0; o < from.outer; ++o) {
      for (std::int64_t c = 0; c < from.count; ++c) {
        for (std::int64_t i = 0; i < from.inner; ++i) {
          out[(o * shape[axis] + first + c) * from.inner + i] =
              part[(o * from.count + c) * from.inner + i];
        }
      }
    }
    first += from.count;
  }
  return out;
}

// `target` leaves the batch out and may hold one None.
inline Array reshaped(const Array& in, Shape target) {
  std::int64_t known = 1;
  for (const Dim dim : target) known *= dim == None ? 1 : dim;
  const std::int64_t row = in.shape.slice(1, in.shape.rank()).elements();
  for (std::size_t axis = 0; axis < target.rank(); ++axis) {
    if (target[axis] == None) target[axis] = row / known;
  }
  return {target.prepend(in.shape[0]), in.values};
}

// [B, d1, d2, ..., dn] -> [B, d2, ..., dn, d1].
inline Array first_axis_moved_last(const Array& in) {
  const AxisSplit from = split_at(in.shape, 1);
  Array out(in.shape.slice(2, in.shape.rank()).prepend(in.shape[0]).append(in.shape[1]));
  for (std::int64_t b = 0; b < from.outer; ++b) {
    for (std::int64_t c = 0; c < from.count; ++c) {
      for (std::int64_t i = 0; i < from.inner; ++i) {
        out[(b * from.inner + i) * from.count + c] = in[(b * from.count + c) * from.inner + i];
      }
    }
  }
  return out;
}

}  // namespace braid::testing
