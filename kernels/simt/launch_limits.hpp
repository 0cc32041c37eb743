#pragma once
#include <string_view>

#include "kernels/simt/shape.hpp"

namespace braid::simt {

// DeviceError for a launch that no device could carry out.
void refuse_impossible(std::string_view kernel, const LaunchShape& shape, bool cooperative);

}  // namespace braid::simt
