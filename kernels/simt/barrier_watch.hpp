#pragma once
#include <cstdint>
#include <functional>
#include <string_view>

// For tests that ask what a kernel has asked for by the time it comes to a barrier: while they
// watch, copies by cp_async arrive at once.
namespace braid::simt {

// Told when all threads of a block have come to its barrier and none has gone on: which kernel, and
// how many barriers the block has passed before.
using BarrierWatch = std::function<void(std::string_view kernel, std::int64_t passed)>;
// Of all launches from now on; an empty one ends it.
void watch_barriers(BarrierWatch watch);

}  // namespace braid::simt
