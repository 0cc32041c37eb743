#pragma once
#include "engine/graph/activation_function.hpp"
#include "engine/graph/graph.hpp"
#include "kernels/activation.hpp"

namespace braid {

// The kernel's function; NameError for softmax and its logarithm, which look at a whole axis.
kernels::Activation elementwise(const ActivationFunction& function);

// Emits the activation, over the last axis where it looks at one.
Value apply_activation(Graph& graph, const ActivationFunction& function, Value in);

}  // namespace braid
