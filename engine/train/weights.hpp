#pragma once
#include "engine/train/functional.hpp"

namespace braid {

// Copies of all weights, by path.
TensorDict get_weights(const Functional& model);
// Sets all weights by path. NameError for a missing or unknown one, ShapeError, DTypeError: then
// nothing has changed.
void set_weights(Functional& model, const TensorDict& weights);

}  // namespace braid
