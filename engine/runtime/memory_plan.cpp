#include "engine/runtime/memory_plan.hpp"

#include <algorithm>
#include <numeric>

namespace braid {

MemoryPlan plan_memory(const std::vector<MemoryRequest>& requests) {
  std::vector<std::size_t> by_size(requests.size());
  std::iota(by_size.begin(), by_size.end(), std::size_t{0});
  std::stable_sort(by_size.begin(), by_size.end(), [&](std::size_t a, std::size_t b) {
    return requests[a].bytes > requests[b].bytes;
  });

  MemoryPlan plan;
  plan.offsets.assign(requests.size(), 0);
  std::vector<std::size_t> placed;  // in the order of their offsets
  for (std::size_t request : by_size) {
    const MemoryRequest& wanted = requests[request];
    const std::int64_t bytes =
        (wanted.bytes + kMemoryAlignment - 1) / kMemoryAlignment * kMemoryAlignment;
    std::int64_t offset = 0;
    for (std::size_t other : placed) {
      const MemoryRequest& neighbour = requests[other];
      if (neighbour.last < wanted.first || wanted.last < neighbour.first) continue;
      const std::int64_t begin = plan.offsets[other];
      if (offset + bytes <= begin) break;
      const std::int64_t end =
          begin + (neighbour.bytes + kMemoryAlignment - 1) / kMemoryAlignment * kMemoryAlignment;
      offset = std::max(offset, end);
    }
    plan.offsets[request] = offset;
    plan.bytes = std::max(plan.bytes, offset + bytes);
    const auto place = std::upper_bound(
        placed.begin(), placed.end(), offset,
        [&](std::int64_t value, std::size_t other) { return value < plan.offsets[other]; });
    placed.insert(place, request);
  }
  return plan;
}

}  // namespace braid
