#pragma once
#include "kernels/elementwise.hpp"
#include "kernels/elementwise_functions.hpp"
#include "kernels/simt/elements.hpp"

// A thread takes Width neighbouring elements.
namespace braid::kernels {
namespace {

template <int Width = 1, class Blocks>
__device__ inline void run_rows(const Blocks& blocks, const Affine& args) {
  for_elements<Width>(blocks, args.in.rows, args.in.columns, [&](auto n, auto c) {
    Floats<Width>::load(element(args.in, n, c))
        .each([&](float x) { return args.scale * x + args.shift; })
        .store(element(args.out, n, c));
  });
}

template <int Width = 1, class Blocks>
__device__ inline void run_rows(const Blocks& blocks, const Sum& args) {
  for_elements<Width>(blocks, args.out.rows, args.out.columns, [&](auto n, auto c) {
    auto sum = Floats<Width>::load(element(args.in[0], n, c));
    for (int k = 1; k < args.count; ++k) sum += Floats<Width>::load(element(args.in[k], n, c));
    sum.store(element(args.out, n, c));
  });
}

template <int Width = 1, class Blocks>
__device__ inline void run_rows(const Blocks& blocks, const ScaleRows& args) {
  for_elements<Width>(blocks, args.in.rows, args.in.columns, [&](auto n, auto c) {
    float factor = args.scale;
    if (args.scalar != nullptr) factor *= *args.scalar;
    if (args.row_factor.data != nullptr) factor *= args.row_factor.row(n)[0];
    Floats<Width>::load(element(args.in, n, c))
        .each([&](float x) { return x * factor; })
        .store(element(args.out, n, c));
  });
}

template <int Width = 1, class Blocks>
__device__ inline void run_rows(const Blocks& blocks, const Fill& args) {
  const float value = args.scalar != nullptr ? args.value * *args.scalar : args.value;
  for_elements<Width>(blocks, args.out.rows, args.out.columns, [&](auto n, auto c) {
    Floats<Width>{}.each([&](float) { return value; }).store(element(args.out, n, c));
  });
}

template <int Width = 1, class Blocks>
__device__ inline void run_rows(const Blocks& blocks, const PenaltyGradient& args) {
  const float scale = args.scale != nullptr ? *args.scale : 1.0F;
  for_elements<Width>(blocks, args.weight.rows, args.weight.columns, [&](auto n, auto c) {
    const auto slope = Floats<Width>::load(element(args.weight, n, c)).each([&](float w) {
      const float sign = w > 0 ? 1.0F : (w < 0 ? -1.0F : 0.0F);
      return scale * (args.l1 * sign + 2 * args.l2 * w);
    });
    float* const out = element(args.out, n, c);
    auto sum = args.accumulate ? Floats<Width>::load(out) : Floats<Width>{};
    sum += slope;
    sum.store(out);
  });
}

// Bytes: 16 at once where rows are aligned, else one.
template <class Piece = unsigned char, class Blocks>
__device__ inline void run_rows(const Blocks& blocks, const CopyRows& args) {
  for_elements<sizeof(Piece)>(blocks, args.in.rows, args.in.columns, [&](auto n, auto c) {
    if constexpr (sizeof(Piece) == 1) {
      *element(args.out, n, c) = *element(args.in, n, c);
    } else {
      st_vec(element(args.out, n, c), ld_vec<Piece>(element(args.in, n, c)));
    }
  });
}

template <class T, class Blocks>
__device__ inline void convert_to_float(const Blocks& blocks, const ToFloat& args) {
  const T* in = static_cast<const T*>(args.in);
  for_elements<1>(blocks, 1, args.count,
                  [&](auto, auto i) { args.out[i] = static_cast<float>(in[i]); });
}

template <class Blocks>
__device__ inline void run_rows(const Blocks& blocks, const ToFloat& args) {
  switch (args.type) {
    case ElementType::float32: return convert_to_float<float>(blocks, args);
    case ElementType::int32: return convert_to_float<std::int32_t>(blocks, args);
    case ElementType::int64: return convert_to_float<std::int64_t>(blocks, args);
    case ElementType::uint8: return convert_to_float<std::uint8_t>(blocks, args);
  }
}

template <class Blocks>
__device__ inline void run_rows(const Blocks& blocks, const FloatToIds& args) {
  for_elements<1>(blocks, args.in.rows, args.in.columns, [&](auto n, auto c) {
    *element(args.out, n, c) = id_of(*element(args.in, n, c));
  });
}

__device__ inline float term_of(float x, bool square, bool absolute) {
  return square ? x * x : (absolute ? fabsf(x) : x);
}

__device__ inline void add_term(LongSum& sum, float x, const SumAll& args) {
  if (args.square) {
    sum.add_product(x, x);
  } else {
    sum.add(args.absolute ? fabsf(x) : x);
  }
}
__device__ inline void give_sum(const SumAll& args, const LongSum& sum) {
  const float before = args.accumulate ? *args.out : 0.0F;
  *args.out = before + args.factor * sum.total();
}

// One block.
template <class Blocks>
__device__ inline void run_rows(const Blocks& /*alone*/, const SumAll& args) {
  LongSum sum{};
  const std::int64_t count = args.in.rows * args.in.columns;
  for (std::int64_t i = threadIdx.x; i < count; i += blockDim.x)
    add_term(sum, args.in.row(i / args.in.columns)[i % args.in.columns], args);
  sum = sum_of_block(sum);
  if (threadIdx.x == 0) give_sum(args, sum);
}

// The one division in double: what a user may count beyond the floats is told by it.
template <class Blocks>
__device__ inline void run_rows(const Blocks& blocks, const Quotient& args) {
  if (blocks.thread() != 0) return;
  const double divisor = args.divisor != nullptr ? static_cast<double>(*args.divisor) : 1.0;
  *args.out = static_cast<float>(divisor == 0 ? 0.0 : args.numerator / divisor);
}

}  // namespace
}  // namespace braid::kernels
