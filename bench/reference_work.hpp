#pragma once
#include <cstdint>
#include <vector>

#include "bench/reference_models.hpp"

// Operations and bytes that no way to compute the steps of Dense layers can avoid.
namespace bench {

// Adam reads a weight, its two moments and its gradient, and writes the first three.
constexpr double kUpdateBytes = 28;
constexpr double kFloatBytes = 4;

struct DenseSize {
  std::int64_t inputs;
  std::int64_t outputs;
  bool needs_input_gradient;  // not of the first layer
};

inline double dense_parameters(const std::vector<DenseSize>& layers) {
  double sum = 0;
  for (const DenseSize& layer : layers)
    sum += static_cast<double>((layer.inputs + 1) * layer.outputs);
  return sum;
}

// A product of a row takes 2 (inputs)(outputs) operations; its gradients the same to the weights,
// and to the inputs.
inline Work dense_training(const std::vector<DenseSize>& layers, std::int64_t rows) {
  Work work;
  for (const DenseSize& layer : layers) {
    work.operations += (layer.needs_input_gradient ? 6.0 : 4.0) *
                       static_cast<double>(rows * layer.inputs * layer.outputs);
  }
  work.bytes = kUpdateBytes * dense_parameters(layers);
  return work;
}

inline Work dense_prediction(const std::vector<DenseSize>& layers, std::int64_t rows) {
  Work work;
  for (const DenseSize& layer : layers)
    work.operations += 2.0 * static_cast<double>(rows * layer.inputs * layer.outputs);
  work.bytes = kFloatBytes * dense_parameters(layers);
  return work;
}

inline double bytes_of(const braid::TensorDict& tensors) {
  double sum = 0;
  for (const auto& [name, tensor] : tensors) sum += static_cast<double>(tensor.bytes());
  return sum;
}

}  // namespace bench
