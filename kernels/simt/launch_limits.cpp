#include "kernels/simt/launch_limits.hpp"

#include <algorithm>

#include "engine/core/error.hpp"
#include "kernels/simt/emulated_gpu.hpp"
#include "kernels/simt/state.hpp"

namespace braid::simt {
namespace {

// A bad shape in words; empty if there is nothing to say against it.
std::string objection(const LaunchShape& shape, bool cooperative) {
  constexpr std::int64_t kMost = 65535;
  const Extent& grid = shape.grid;
  const Extent& block = shape.block;
  if (grid.x < 1 || grid.y < 1 || grid.z < 1) return "a grid has at least one block";
  if (grid.x > 0x7FFFFFFF || grid.y > kMost || grid.z > kMost) {
    return "a grid has at most (2147483647, 65535, 65535) blocks";
  }
  if (block.x < 1 || block.y < 1 || block.z < 1) return "a block has at least one warp";
  if (block.x > kMaxThreads || block.y > kMaxThreads || block.z > 64 ||
      block.count() > kMaxThreads) {
    return "a block has at most " + std::to_string(kMaxThreads) + " threads, 64 along z";
  }
  if (block.count() % kWarpLanes != 0) return "the threads of a block are whole warps of 32";
  const std::size_t most = emulated_gpu().shared_of_block;
  if (shape.shared < 0 || shape.shared > static_cast<std::int64_t>(most)) {
    return "a block has at most " + std::to_string(most) + " bytes of shared memory";
  }
  if (cooperative) {
    const std::int64_t held = blocks_held(shape);
    if (grid.x > held || grid.count() > held) {
      return "a cooperative launch runs all blocks at once, and the device holds " +
             std::to_string(held) + " of these";
    }
  }
  return "";
}

}  // namespace

std::int64_t blocks_held(const LaunchShape& shape) {
  const EmulatedGpu& gpu = emulated_gpu();
  const auto bytes = static_cast<std::int64_t>(gpu.reserved_for_block) + shape.shared;
  std::int64_t fit = std::min<std::int64_t>(gpu.blocks_of_multiprocessor,
                                            gpu.threads_of_multiprocessor / shape.block.count());
  if (bytes > 0)
    fit = std::min(fit, static_cast<std::int64_t>(gpu.shared_of_multiprocessor) / bytes);
  return fit * gpu.multiprocessors;
}

void refuse_impossible(std::string_view kernel, const LaunchShape& shape, bool cooperative) {
  const std::string refused = objection(shape, cooperative);
  if (!refused.empty()) throw DeviceError(described(kernel, shape) + ": " + refused);
}

}  // namespace braid::simt
