#pragma once
#include <optional>
#include <string>

#include "engine/train/step_graph.hpp"

namespace braid {

// Looks at every value of bound data before anything is run: ids, labels and integers outside their
// limits (RangeError with input, row, column, value, limit), ragged rows that must have the same
// lengths as others (ShapeError).
void check_values(const std::string& call, const StepGraph& step, const Objective* objective,
                  const Functional& model, const Bound& bound);

// NaN and infinity in inputs, targets and weights: NumericError with the row of the user's data.
void check_finite(const std::string& call, const StepGraph& step, const Bound& bound);

}  // namespace braid
