#pragma once
#include <algorithm>
#include <braid/braid.hpp>
#include <cstdint>
#include <utility>
#include <vector>

// Made-up numbers, and labels that can be learned from them.
namespace bench {

inline braid::Tensor random_floats(braid::Random& random, braid::Shape shape) {
  std::vector<float> values(static_cast<std::size_t>(shape.elements()));
  for (float& value : values) value = static_cast<float>(random.normal());
  return braid::Tensor::from(values, std::move(shape));
}

// Small ones: they are inputs as they are.
inline braid::Tensor random_bytes(braid::Random& random, braid::Shape shape) {
  std::vector<std::uint8_t> values(static_cast<std::size_t>(shape.elements()));
  for (std::uint8_t& value : values) value = static_cast<std::uint8_t>(random.below(4));
  return braid::Tensor::from(values, std::move(shape));
}

// A million random numbers and their repetitions, which begin at another place in every row.
inline braid::Tensor repeated_floats(braid::Random& random, braid::Shape shape) {
  constexpr std::int64_t kOwn = 1000003;  // a prime
  braid::Tensor all = braid::Tensor::uninitialized(std::move(shape), braid::DType::float32);
  auto* const values = all.data<float>();
  const std::int64_t own = std::min(kOwn, all.elements());
  for (std::int64_t i = 0; i < own; ++i) values[i] = static_cast<float>(random.normal());
  for (std::int64_t i = own; i < all.elements(); ++i) values[i] = values[i - own];
  return all;
}

// 1 where the first numbers of a row are large, with a tenth of the labels turned round: something
// to learn, of which something always remains.
inline braid::Tensor labels_of(braid::Random& random, const braid::Tensor& features) {
  const std::int64_t width = features.elements() / features.rows();
  std::vector<float> labels;
  for (std::int64_t row = 0; row < features.rows(); ++row) {
    const float* numbers = features.data<float>() + row * width;
    const bool large = numbers[0] + numbers[1] - numbers[2] > 0;
    labels.push_back(large != (random.uniform() < 0.1F) ? 1.0F : 0.0F);
  }
  return braid::Tensor::from(labels, {features.rows(), 1});
}

// One of ten classes a row, as ten numbers: the largest of the first ten, or in a tenth of the rows
// any.
template <class Number>
braid::Tensor classes_of(braid::Random& random, const braid::Tensor& features) {
  constexpr std::int64_t kClasses = 10;
  const std::int64_t width = features.elements() / features.rows();
  std::vector<float> classes(static_cast<std::size_t>(features.rows() * kClasses), 0.0F);
  for (std::int64_t row = 0; row < features.rows(); ++row) {
    const Number* numbers = features.data<Number>() + row * width;
    auto kind = std::max_element(numbers, numbers + kClasses) - numbers;
    if (random.uniform() < 0.1F) kind = static_cast<std::int64_t>(random.below(kClasses));
    classes[static_cast<std::size_t>(row * kClasses + kind)] = 1;
  }
  return braid::Tensor::from(classes, {features.rows(), kClasses});
}

}  // namespace bench
