#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include <braid/shape.hpp>

#include "tests/support/guarded_matrix.hpp"

namespace braid::testing {

// Float64 numbers under a shape, row-major: what references compute with.
struct Array {
  Shape shape;
  std::vector<double> values;

  Array() = default;
  explicit Array(Shape axes, double fill = 0)
      : shape(std::move(axes)), values(static_cast<std::size_t>(shape.elements()), fill) {}
  Array(Shape axes, std::vector<double> numbers)
      : shape(std::move(axes)), values(std::move(numbers)) {}

  std::int64_t elements() const { return static_cast<std::int64_t>(values.size()); }
  // The array as a matrix: all axes but the last are rows.
  std::int64_t columns() const { return shape.empty() ? 1 : shape.back(); }
  std::int64_t rows() const { return columns() == 0 ? 0 : elements() / columns(); }
  double& operator()(std::int64_t row, std::int64_t column) {
    return values[static_cast<std::size_t>(row * columns() + column)];
  }
  double operator()(std::int64_t row, std::int64_t column) const {
    return values[static_cast<std::size_t>(row * columns() + column)];
  }
  double& operator[](std::int64_t element) { return values[static_cast<std::size_t>(element)]; }
  double operator[](std::int64_t element) const {
    return values[static_cast<std::size_t>(element)];
  }

  // Entry `index` of axis 0 alone, as an axis of 1.
  Array row(std::int64_t index) const {
    Array one(shape);
    one.shape[0] = 1;
    const std::int64_t length = one.shape.elements();
    one.values.assign(values.begin() + index * length, values.begin() + (index + 1) * length);
    return one;
  }
  Array times(double factor) const {
    Array product = *this;
    for (double& value : product.values) value *= factor;
    return product;
  }
};

using Arrays = std::vector<Array>;

// A batch of up to 40 rows of up to five entries along each of the other axes.
inline Shape random_shape(std::size_t rank, RandomNumbers& random) {
  Shape shape{1 + random.below(40)};
  while (shape.rank() < rank) shape = shape.append(1 + random.below(5));
  return shape;
}
inline std::vector<Shape> random_shapes(std::size_t count, RandomNumbers& random) {
  std::vector<Shape> shapes;
  while (shapes.size() < count) shapes.push_back(random_shape(2 + shapes.size() % 3, random));
  return shapes;
}
// Shapes that somebody thought of, and some that nobody did.
inline std::vector<Shape> and_random(std::vector<Shape> shapes, std::size_t count,
                                     RandomNumbers& random) {
  for (const Shape& shape : random_shapes(count, random)) shapes.push_back(shape);
  return shapes;
}

// Numbers that float32 holds exactly.
inline Array random_array(Shape shape, RandomNumbers& random, double low = -1, double high = 1) {
  const std::int64_t count = shape.elements();
  return {std::move(shape), random.floats(count, low, high)};
}

// Integers 0 .. limit - 1.
inline Array random_ids(Shape shape, std::int64_t limit, RandomNumbers& random) {
  Array ids(std::move(shape));
  for (double& id : ids.values) id = static_cast<double>(random.below(limit));
  return ids;
}

// Every pattern of `steps` valid and masked steps, one a row.
inline Array all_masks(std::int64_t steps) {
  Array masks(Shape{std::int64_t{1} << steps, steps});
  for (std::int64_t b = 0; b < masks.shape[0]; ++b) {
    for (std::int64_t t = 0; t < steps; ++t) masks(b, t) = static_cast<double>((b >> t) & 1);
  }
  return masks;
}

// Rows from all valid to all masked.
inline Array random_masks(std::int64_t rows, std::int64_t steps, RandomNumbers& random) {
  Array masks(Shape{rows, steps});
  for (std::int64_t b = 0; b < rows; ++b) {
    const double share = random.uniform(-0.2, 1.2);
    for (std::int64_t t = 0; t < steps; ++t) masks(b, t) = random.uniform(0, 1) < share ? 1 : 0;
  }
  return masks;
}

}  // namespace braid::testing
