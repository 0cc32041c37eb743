#pragma once
#include <memory>
#include <string>
#include <utility>

#include <braid/tensor.hpp>

#include "engine/graph/initializer.hpp"
#include "engine/graph/regularizer.hpp"

namespace braid {

// A weight of a layer. Its storage stays where it is from the building of the first model that
// holds it, so that plans may keep pointers.
struct Variable {
  std::string name;  // within its layer: "kernel"
  std::string
      path;  // within the model: "lstm/recurrent_kernel"; set when the model names its layers
  Shape shape;
  Initializer initializer;
  std::pair<Dim, Dim> ones{0, 0};  // elements first .. last - 1 start at 1 whatever the initializer
                                   // says (a forget gate's bias)
  Regularizer regularizer;
  bool trainable = true;  // false: a statistic, never touched by an optimizer
  bool initialized = false;
  Tensor value;  // float32, of `shape`
};

using VariablePointer = std::shared_ptr<Variable>;

}  // namespace braid
