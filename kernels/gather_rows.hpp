#pragma once
#include <type_traits>

#include "kernels/gather.hpp"
#include "kernels/simt/elements.hpp"

// A thread takes one piece of a row (16 bytes, where rows can be copied so, or an element to
// convert), then the one all threads further on.
namespace braid::kernels {
namespace {

// The pieces that one thread takes, of rows from `row` on in the order of the epoch.
template <class Index>
struct Stride {
  Index first;
  Index step;
  std::int64_t row;
};

template <class Blocks>
__device__ inline auto stride_of(const Blocks& blocks, const GatherBatch& args) {
  using Index = IndexOf<Blocks>;
  return Stride<Index>{static_cast<Index>(blocks.number() * blockDim.x + blocks.thread()),
                       static_cast<Index>(blocks.count() * blockDim.x),
                       args.cursor->row + args.first};
}

struct SourceRow {
  std::int64_t start;   // counted in rows of the values
  std::int64_t length;  // likewise
};
__device__ inline SourceRow source_row(const GatherBatch& args, const GatheredColumn& column,
                                       std::int64_t place) {
  const std::int64_t row = args.order == nullptr ? place : args.order[place];
  if (column.splits == nullptr) return {row, 1};
  const std::int64_t start = column.splits[row];
  return {start, column.splits[row + 1] - start};
}

// From and To are elements, or both the same piece of several; `width` counts them.
template <class From, class To, class Index>
__device__ inline void fill_rows(const GatherBatch& args, const GatheredColumn& column, Index width,
                                 const Stride<Index>& stride) {
  const auto* values = reinterpret_cast<const From*>(column.values);
  const Index per_row = static_cast<Index>(column.steps) * width;
  const Index count = static_cast<Index>(args.rows) * per_row;
  auto* const out = reinterpret_cast<To*>(column.out) + args.first * per_row;
  const auto take = [&](Index i) {
    const Index n = quotient(i, per_row);
    const Index place = i - n * per_row;
    const SourceRow source = source_row(args, column, stride.row + n);
    To value{};
    if (static_cast<std::int64_t>(place) < source.length * width) {
      const From* from = values + source.start * width + place;
      if constexpr (std::is_same_v<From, uint4>) {
        value = ld_vec<uint4>(from);
      } else {
        value = static_cast<To>(*from);
      }
    }
    if constexpr (std::is_same_v<To, uint4>) {
      st_vec(out + i, value);
    } else {
      out[i] = value;
    }
  };
  for_strided(stride.first, count, stride.step, take);
}

template <class To, class Index>
__device__ inline void convert_rows(const GatherBatch& args, const GatheredColumn& column,
                                    const Stride<Index>& stride) {
  const auto width = static_cast<Index>(column.width);
  switch (column.from) {
    case DType::float32: return fill_rows<float, To>(args, column, width, stride);
    case DType::int32: return fill_rows<std::int32_t, To>(args, column, width, stride);
    case DType::int64: return fill_rows<std::int64_t, To>(args, column, width, stride);
    case DType::uint8:
    case DType::bool_: return fill_rows<std::uint8_t, To>(args, column, width, stride);
  }
}

// The largest piece that rows consist of has 2 to so many bytes; or their elements are converted.
constexpr int kConverted = -1;
__device__ inline int exponent_of_piece(const GatheredColumn& column) {
  if (column.from != column.to) return kConverted;
  const auto bytes = static_cast<std::uint64_t>(column.width) * size_of(column.to);
  const auto places = static_cast<unsigned>(reinterpret_cast<std::uintptr_t>(column.values) |
                                            reinterpret_cast<std::uintptr_t>(column.out) | bytes);
  if (places % 16 == 0) return 4;
  return places % 4 == 0 ? 2 : 0;
}

// Returns how many pieces there were.
template <class Index>
__device__ inline Index gather_column(const GatherBatch& args, const GatheredColumn& column,
                                      const Stride<Index>& stride) {
  const int exponent = exponent_of_piece(column);
  const auto steps = static_cast<Index>(column.steps);
  const Index bytes = static_cast<Index>(column.width) * static_cast<Index>(size_of(column.to));
  switch (exponent) {
    case 4: fill_rows<uint4, uint4>(args, column, bytes / 16, stride); break;
    case 2: fill_rows<std::uint32_t, std::uint32_t>(args, column, bytes / 4, stride); break;
    case 0: fill_rows<std::uint8_t, std::uint8_t>(args, column, bytes, stride); break;
    default:
      if (column.to == DType::float32) {
        convert_rows<float>(args, column, stride);
      } else if (column.to == DType::int32) {
        convert_rows<std::int32_t>(args, column, stride);
      } else {
        convert_rows<std::uint8_t>(args, column, stride);
      }
  }
  const Index places = static_cast<Index>(args.rows) * steps;
  const Index pieces =
      places * (exponent == kConverted ? static_cast<Index>(column.width) : bytes >> exponent);
  if (column.mask == nullptr) return pieces;
  std::uint8_t* const mask = column.mask + args.first * steps;
  for_strided(stride.first, places, stride.step, [&](Index i) {
    const Index n = quotient(i, steps);
    const auto step = static_cast<std::int64_t>(i - n * steps);
    mask[i] = step < source_row(args, column, stride.row + n).length ? 1 : 0;
  });
  return pieces;
}

// Columns of few pieces are for warps that those before have left without work: what they wait for
// comes at the same time.
template <class Blocks>
__device__ inline void run_rows(const Blocks& blocks, const GatherBatch& args) {
  using Index = IndexOf<Blocks>;
  const Stride<Index> all = stride_of(blocks, args);
  Index taken = 0;  // threads that have a piece
  SIMT_NO_UNROLL
  for (int i = 0; i < args.count; ++i) {
    const Index first = all.first < taken ? all.first + all.step - taken : all.first - taken;
    const Stride<Index> own{first, all.step, all.row};
    taken += (gather_column(args, args.columns[i], own) + 31) / 32 * 32;
    if (taken >= all.step) taken = 0;
  }
}

}  // namespace
}  // namespace braid::kernels
