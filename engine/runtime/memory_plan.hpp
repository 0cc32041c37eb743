#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace braid {

// A block of memory that must keep its content from time `first` to time `last`, both included.
struct MemoryRequest {
  std::int64_t bytes = 0;
  int first = 0;
  int last = 0;
};

struct MemoryPlan {
  std::vector<std::int64_t> offsets;  // one a request, each a multiple of kMemoryAlignment
  std::int64_t bytes = 0;             // of the arena
};

inline constexpr std::int64_t kMemoryAlignment = 64;

// Gives every block a place in one arena so that blocks alive at the same time do not overlap: the
// largest first, each at the lowest place that is free during its whole life. A pure function.
MemoryPlan plan_memory(const std::vector<MemoryRequest>& requests);

}  // namespace braid
