#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/shuffle.hpp"

namespace braid {

// How the rows of an epoch are shuffled; absent: they come as they lie. Host and devices work out
// the same order of it, each for itself.
using Shuffle = std::optional<kernels::ShuffleRows>;

// Whether both give one order.
bool same(const Shuffle& a, const Shuffle& b);

// The order on the host, worked out on all cores; empty without a shuffle.
void write_order(const Shuffle& shuffle, std::vector<std::int64_t>& order);

}  // namespace braid
