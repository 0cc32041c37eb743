#pragma once
#include <cstdint>

namespace braid::kernels {

// For how many multiprocessors launches are cut: those of an H100. Other GPUs run the same ones, to
// the same bits.
constexpr std::int64_t kMultiprocessors = 132;

}  // namespace braid::kernels
