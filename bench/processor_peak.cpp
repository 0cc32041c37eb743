#include "bench/processor_peak.hpp"

#include <algorithm>
#include <barrier>
#include <cstddef>
#include <thread>
#include <vector>

#include "bench/clock.hpp"

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif

namespace bench {
namespace {

using braid::kernels::Backend;

constexpr int kWindows = 100;

typedef float Vector4 __attribute__((vector_size(16)));
typedef float Vector8 __attribute__((vector_size(32)));
typedef float Vector16 __attribute__((vector_size(64)));

// Returns the operations.
template <class Vector>
__attribute__((always_inline)) inline double multiply_add_chains(std::int64_t rounds) {
  constexpr int kChains = 12;
  Vector sums[kChains];
#pragma GCC unroll 16
  for (int i = 0; i < kChains; ++i) sums[i] = Vector{} + static_cast<float>(i);
  const Vector factor = Vector{} + 0.999F;
  for (std::int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 16
    for (int i = 0; i < kChains; ++i) sums[i] = sums[i] * factor + factor;
  }
  volatile float sink = 0;
#pragma GCC unroll 16
  for (int i = 0; i < kChains; ++i) sink = sink + sums[i][0];
  return 2.0 * kChains * static_cast<double>(sizeof(Vector) / sizeof(float)) *
         static_cast<double>(rounds);
}

// Reads and writes every vector, as an optimizer does. Returns the bytes.
template <class Vector>
__attribute__((always_inline)) inline double go_over(float* values, std::int64_t count) {
  constexpr std::int64_t kLanes = sizeof(Vector) / sizeof(float);
  const Vector factor = Vector{} + 0.999F;
  for (std::int64_t i = 0; i + kLanes <= count; i += kLanes) {
    Vector& value = *reinterpret_cast<Vector*>(values + i);
    value = value * factor + factor;
  }
  return 2.0 * sizeof(float) * static_cast<double>(count);
}

struct Loops {
  double (*chains)(std::int64_t);
  double (*over)(float*, std::int64_t);
};

#if defined(__x86_64__)
__attribute__((target("avx512f,fma"))) double chains_of_16(std::int64_t n) {
  return multiply_add_chains<Vector16>(n);
}
__attribute__((target("avx512f,fma"))) double over_by_16(float* values, std::int64_t n) {
  return go_over<Vector16>(values, n);
}
__attribute__((target("avx2,fma"))) double chains_of_8(std::int64_t n) {
  return multiply_add_chains<Vector8>(n);
}
__attribute__((target("avx2,fma"))) double over_by_8(float* values, std::int64_t n) {
  return go_over<Vector8>(values, n);
}
#endif
double chains_of_4(std::int64_t n) { return multiply_add_chains<Vector4>(n); }
double over_by_4(float* values, std::int64_t n) { return go_over<Vector4>(values, n); }

Loops loops_of([[maybe_unused]] Backend backend) {
#if defined(__x86_64__)
  if (backend == Backend::avx512) return {chains_of_16, over_by_16};
  if (backend == Backend::avx2) return {chains_of_8, over_by_8};
#endif
  return {chains_of_4, over_by_4};
}

// Puts the calling thread on the number-th processor that it may use: windows are too short for the
// system to notice that two threads share one.
void stay_on_processor([[maybe_unused]] std::size_t number) {
#if defined(__linux__)
  cpu_set_t allowed;
  if (pthread_getaffinity_np(pthread_self(), sizeof(allowed), &allowed) != 0) return;
  for (std::size_t processor = 0; processor < CPU_SETSIZE; ++processor) {
    if (!CPU_ISSET(processor, &allowed) || number-- > 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(processor, &one);
    pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
    return;
  }
#endif
}

// Best amount a second of all threads together: a window lasts from the first that begins to the
// last that ends, so that no thread gains from running alone.
template <class Work>
double best_rate(int threads, const Work& work) {
  struct Turn {
    Clock::time_point begin, end;
    double amount = 0;
  };
  const auto count = static_cast<std::size_t>(threads);
  std::vector<Turn> turns(count);
  double best = 0;
  std::barrier gate(threads);
  const auto run = [&](std::size_t number) {
    stay_on_processor(number);
    for (int window = 0; window < kWindows; ++window) {
      gate.arrive_and_wait();
      Turn& mine = turns[number];
      mine.begin = Clock::now();
      mine.amount = work(number);
      mine.end = Clock::now();
      gate.arrive_and_wait();
      if (number != 0) continue;
      Turn all = turns[0];
      for (std::size_t i = 1; i < count; ++i) {
        all.begin = std::min(all.begin, turns[i].begin);
        all.end = std::max(all.end, turns[i].end);
        all.amount += turns[i].amount;
      }
      best =
          std::max(best, all.amount / std::chrono::duration<double>(all.end - all.begin).count());
    }
  };
  std::vector<std::thread> all_threads;
  for (std::size_t number = 0; number < count; ++number) all_threads.emplace_back(run, number);
  for (std::thread& thread : all_threads) thread.join();
  return best;
}

}  // namespace

double peak_operations_per_second(Backend backend, int threads) {
  constexpr std::int64_t kRounds = 200000;
  const Loops loops = loops_of(backend);
  return best_rate(threads, [&](std::size_t) { return loops.chains(kRounds); });
}

double peak_bytes_per_second(Backend backend, int threads, std::int64_t bytes) {
  constexpr double kBytesAWindow = 64e6;
  constexpr std::int64_t kAlignment = 16;  // floats: the widest vector
  const Loops loops = loops_of(backend);
  const std::int64_t share =
      std::max<std::int64_t>(bytes / threads / static_cast<std::int64_t>(sizeof(float)), 256) /
      kAlignment * kAlignment;
  struct alignas(64) Line {
    float values[kAlignment];
  };
  std::vector<std::vector<Line>> shares(
      static_cast<std::size_t>(threads),
      std::vector<Line>(static_cast<std::size_t>(share / kAlignment)));
  return best_rate(threads, [&](std::size_t number) {
    double gone = 0;
    while (gone < kBytesAWindow) gone += loops.over(shares[number].data()->values, share);
    return gone;
  });
}

}  // namespace bench
