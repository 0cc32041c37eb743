#pragma once
#include "engine/core/random.hpp"
#include "kernels/dropout.hpp"
#include "kernels/simt/elements.hpp"

// A thread takes one element and draws the four numbers that it shares with its neighbours.
namespace braid::kernels {
namespace {

template <class Blocks>
__device__ inline void run_rows(const Dropout& args) {
  const std::uint64_t seed = args.state->seed ^ args.salt;
  const std::uint64_t step = args.state->step;
  const float keep = 1.0F - args.rate;
  const float scale = keep > 0 ? 1.0F / keep : 0.0F;
  for_elements<1, Blocks>(args.in.rows, args.in.columns, [&](std::int64_t n, std::int64_t c) {
    const auto element = static_cast<std::uint64_t>((args.first_row + n) * args.in.columns + c);
    const float uniform = uniform_from(philox(seed, step, element / 4)[element % 4]);
    args.out.row(n)[c] = uniform < args.rate ? 0.0F : args.in.row(n)[c] * scale;
  });
}

}  // namespace
}  // namespace braid::kernels
