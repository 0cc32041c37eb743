#pragma once
#include <memory>
#include <string>
#include <utility>

#include "engine/graph/graph.hpp"
#include "tests/support/guarded_matrix.hpp"

namespace braid::testing {

// A weight with these numbers, on the device where they are.
inline VariablePointer variable_of(Tensor numbers, std::string name = {}) {
  auto variable = std::make_shared<Variable>();
  variable->name = std::move(name);
  variable->shape = numbers.shape();
  variable->value = std::move(numbers);
  return variable;
}

// With numbers between -1 and 1.
inline VariablePointer random_variable(const Shape& shape, Device device, std::string name = {}) {
  RandomNumbers random(5);
  Tensor numbers = Tensor::uninitialized(shape, DType::float32);
  for (std::int64_t i = 0; i < shape.elements(); ++i)
    numbers.data<float>()[i] = static_cast<float>(random.uniform(-1, 1));
  return variable_of(numbers.to(device), std::move(name));
}

}  // namespace braid::testing
