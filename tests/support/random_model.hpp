#pragma once
#include <cstdint>

#include "tests/support/sample_models.hpp"

namespace braid::testing {

// A compiled functional model drawn by the seed, with rows for it: one to four inputs (numbers,
// sequences of vectors with steps of zeros, ids with padding anywhere, or ragged ones), layers of
// every kind between them, some called twice, and one to three outputs with a loss each. The same
// seed gives the same model, weights and rows. It lives on the default device of the moment.
Sample random_model(std::uint64_t seed);

}  // namespace braid::testing
