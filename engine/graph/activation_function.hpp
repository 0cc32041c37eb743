#pragma once
#include <string>
#include <string_view>

namespace braid {

// An activation function by its Keras name: "relu", "tanh", "sigmoid", "softmax", "gelu", "linear",
// ... NameError for an unknown name.
class ActivationFunction {
 public:
  ActivationFunction() = default;
  ActivationFunction(const char* name) : ActivationFunction(std::string_view(name)) {}
  ActivationFunction(const std::string& name) : ActivationFunction(std::string_view(name)) {}
  ActivationFunction(std::string_view name);

  const std::string& name() const { return name_; }
  bool operator==(const ActivationFunction&) const = default;

 private:
  std::string name_ = "linear";
};

}  // namespace braid
