#pragma once
#include <cstdint>

namespace braid::kernels {

// Cores that may work beside the one that a kernel runs on.
struct OtherCores {
  std::int64_t count = 0;
  // Calls work(context, piece, core) for pieces 0 .. pieces - 1, in any order, here and on cores
  // that are free, and returns when all are done.
  void (*run)(std::int64_t pieces, void (*work)(const void* context, std::int64_t piece, int core),
              const void* context) = nullptr;
};

}  // namespace braid::kernels
