#pragma once
#include <cstdint>

namespace braid::kernels {

// For how many multiprocessors launches are cut: those of an H100. GPUs that have others are given
// as many blocks, so that sums have the same order on all of them.
constexpr std::int64_t kMultiprocessors = 132;

}  // namespace braid::kernels
