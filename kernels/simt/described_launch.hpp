#pragma once
#include <string>
#include <string_view>

#include "kernels/simt/shape.hpp"

namespace braid::simt {

// `kernel affine_kernel, grid (2, 1, 1), block (256, 1, 1), shared memory 0`, for messages.
inline std::string described_launch(std::string_view kernel, const LaunchShape& shape) {
  const auto text_of = [](const Extent& extent) {
    return "(" + std::to_string(extent.x) + ", " + std::to_string(extent.y) + ", " +
           std::to_string(extent.z) + ")";
  };
  return "kernel " + std::string(kernel) + ", grid " + text_of(shape.grid) + ", block " +
         text_of(shape.block) + ", shared memory " + std::to_string(shape.shared);
}

}  // namespace braid::simt
