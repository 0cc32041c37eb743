#pragma once
#include "engine/core/random.hpp"
#include "kernels/dropout.hpp"
#include "kernels/simt/elements.hpp"

// A thread draws four numbers, and takes the four elements that they decide over: neighbours in a
// row, at once where Width is 4, else one by one, also across the ends of rows.
namespace braid::kernels {
namespace {

// How many groups of elements share their numbers, the first of which is element `first` of all.
constexpr std::int64_t groups_of_elements(std::int64_t first, std::int64_t count) {
  return (first % 4 + count + 3) / 4;
}

// Dropout of rows whose first element is element `first` of all.
template <int Width = 1, class Blocks>
__device__ inline void drop_elements(const Blocks& blocks, const Dropout& args,
                                     std::int64_t first) {
  const std::uint64_t seed = args.state->seed ^ args.salt;
  const std::uint64_t step = args.state->step;
  const float keep = 1.0F - args.rate;
  const float scale = keep > 0 ? 1.0F / keep : 0.0F;
  const auto result_of = [&](float x, std::uint32_t bits) {
    return uniform_from(bits) < args.rate ? 0.0F : x * scale;
  };
  const std::int64_t columns = args.in.columns;
  if constexpr (Width == 4) {
    for_elements<4>(blocks, args.in.rows, columns, [&](auto n, auto c) {
      const float4 x = Floats<4>::load(element(args.in, n, c)).value;
      const auto number = static_cast<std::uint64_t>(first + n * columns + c);
      const auto bits = philox(seed, step, number / 4);
      Floats<4>{{result_of(x.x, bits[0]), result_of(x.y, bits[1]), result_of(x.z, bits[2]),
                 result_of(x.w, bits[3])}}
          .store(element(args.out, n, c));
    });
  } else {
    const std::int64_t groups = groups_of_elements(first, args.in.rows * columns);
    for_elements<1>(blocks, 1, groups, [&](auto, auto group) {
      const auto bits = philox(seed, step, static_cast<std::uint64_t>(first / 4 + group));
      // The place of the first of them; the first group may begin before the first element.
      const std::int64_t begin = 4 * group - first % 4;
      std::int64_t n = begin < columns || args.in.rows == 1 ? 0 : quotient(begin, columns);
      std::int64_t c = begin - n * columns;
      const float* from[4];
      float* to[4];
      SIMT_UNROLL
      for (int k = 0; k < 4; ++k) {
        const bool is_there = c >= 0 && n < args.in.rows;
        from[k] = is_there ? element(args.in, n, c) : nullptr;
        to[k] = is_there ? element(args.out, n, c) : nullptr;
        if (++c == columns) {
          c = 0;
          ++n;
        }
      }
      float x[4];
      SIMT_UNROLL
      for (int k = 0; k < 4; ++k) x[k] = from[k] != nullptr ? *from[k] : 0.0F;
      SIMT_UNROLL
      for (int k = 0; k < 4; ++k) {
        if (to[k] != nullptr) *to[k] = result_of(x[k], bits[static_cast<std::size_t>(k)]);
      }
    });
  }
}

template <class Blocks>
__device__ inline void run_rows(const Blocks& blocks, const Dropout& args) {
  drop_elements(blocks, args, args.first_row * args.in.columns);
}

}  // namespace
}  // namespace braid::kernels
