#include "engine/graph/activation_function.hpp"

#include <cmath>
#include <utility>
#include <vector>

#include "engine/core/error.hpp"
#include "engine/graph/apply_activation.hpp"
#include "engine/graph/ops/activation.hpp"

namespace braid {
namespace {

using kernels::Activation;
using kernels::ActivationKind;

// Keras's functions with their default parameters.
const std::vector<std::pair<std::string, Activation>>& functions() {
  static const std::vector<std::pair<std::string, Activation>> list{
      {"linear", {ActivationKind::linear}},
      {"relu", {ActivationKind::relu, 0, INFINITY, 0}},
      {"leaky_relu", {ActivationKind::leaky_relu, 0.2F}},
      {"relu6", {ActivationKind::relu6}},
      {"elu", {ActivationKind::elu, 1}},
      {"selu", {ActivationKind::selu}},
      {"celu", {ActivationKind::celu, 1}},
      {"gelu", {ActivationKind::gelu}},
      {"silu", {ActivationKind::silu}},
      {"swish", {ActivationKind::silu}},
      {"softplus", {ActivationKind::softplus}},
      {"softsign", {ActivationKind::softsign}},
      {"mish", {ActivationKind::mish}},
      {"tanh", {ActivationKind::tanh}},
      {"sigmoid", {ActivationKind::sigmoid}},
      {"hard_sigmoid", {ActivationKind::hard_sigmoid}},
      {"hard_silu", {ActivationKind::hard_silu}},
      {"hard_swish", {ActivationKind::hard_silu}},
      {"exponential", {ActivationKind::exponential}},
  };
  return list;
}

}  // namespace

ActivationFunction::ActivationFunction(std::string_view name) : name_(name) {
  std::vector<std::string> known{"softmax", "log_softmax"};
  for (const auto& [known_name, function] : functions()) known.push_back(known_name);
  for (const std::string& candidate : known) {
    if (candidate == name) return;
  }
  throw NameError("unknown activation \"" + name_ + "\"; known are " + quoted_list(known) + "." +
                  suggestion(name, known));
}

Activation elementwise(const ActivationFunction& function) {
  for (const auto& [name, kernel] : functions()) {
    if (name == function.name()) return kernel;
  }
  throw NameError("the activation \"" + function.name() + "\" does not act element by element");
}

Value apply_activation(Graph& graph, const ActivationFunction& function, Value in) {
  if (function.name() == "softmax") return ops::softmax(graph, in);
  if (function.name() == "log_softmax") return ops::log_softmax(graph, in);
  return ops::activation(graph, in, elementwise(function));
}

}  // namespace braid
