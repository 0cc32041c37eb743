#include "engine/runtime/parallel.hpp"

#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>

#include "engine/core/environment.hpp"

namespace braid {
namespace {

int wanted_threads() {
  if (const auto wish = environment_number("BRAID_THREADS", 1, 1024))
    return static_cast<int>(*wish);
  return std::max(1, tbb::this_task_arena::max_concurrency());
}

// An arena of its own numbers its workers from 0, whatever pool of threads the application runs.
tbb::task_arena& workers() {
  static tbb::task_arena arena(thread_count());
  return arena;
}

}  // namespace

int thread_count() {
  static const int threads = wanted_threads();
  return threads;
}

namespace detail {

void run_pieces(std::int64_t count, PieceBody body, const void* context) {
  if (thread_count() == 1) {
    for (std::int64_t piece = 0; piece < count; ++piece) body(context, piece, 0);
    return;
  }
  workers().execute([&] {
    tbb::parallel_for(
        std::int64_t{0}, count,
        [&](std::int64_t piece) {
          body(context, piece, tbb::this_task_arena::current_thread_index());
        },
        tbb::simple_partitioner());
  });
}

}  // namespace detail
}  // namespace braid
