#pragma once
#include <cstdint>
#include <type_traits>

#include "kernels/other_cores.hpp"

namespace braid {

namespace detail {

using PieceBody = void (*)(const void* context, std::int64_t piece, int worker);
void run_pieces(std::int64_t count, PieceBody body, const void* context);

}  // namespace detail

// Cores that parallel_for may use; BRAID_THREADS limits them. Results never depend on it.
int thread_count();

// Runs body(piece, worker) for pieces 0 .. count - 1 on the processor's cores, in any order, and
// returns when all are done. `worker` is below thread_count() and differs between pieces that run
// at the same time. An exception of a body is thrown here. A single piece runs on the calling
// thread, at once.
template <class Body>
void parallel_for(std::int64_t count, const Body& body) {
  if (count == 1) {
    body(std::int64_t{0}, 0);
    return;
  }
  detail::run_pieces(
      count,
      [](const void* context, std::int64_t piece, int worker) {
        (*static_cast<const std::remove_reference_t<Body>*>(context))(piece, worker);
      },
      &body);
}

// For a kernel that runs outside of parallel_for, or in its single piece.
inline kernels::OtherCores other_cores() {
  return {.count = thread_count() - 1, .run = detail::run_pieces};
}

}  // namespace braid
