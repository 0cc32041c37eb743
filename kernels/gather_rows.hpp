#pragma once
#include <type_traits>

#include "kernels/gather.hpp"
#include "kernels/simt/elements.hpp"

// A thread takes one piece of a row (16 bytes, where rows can be copied so, or an element to
// convert), then the one all threads further on.
namespace braid::kernels {
namespace {

// The pieces that one thread takes, of rows from `row` on in the order of the epoch.
struct Stride {
  std::int64_t first;
  std::int64_t step;
  std::int64_t row;
};

template <class Blocks>
__device__ inline Stride stride_of(const Blocks& blocks, const GatherBatch& args) {
  return {blocks.number() * blockDim.x + blocks.thread(), blocks.count() * blockDim.x,
          args.cursor->row};
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
template <class From, class To>
__device__ inline void fill_rows(const GatherBatch& args, const GatheredColumn& column,
                                 std::int64_t width, const Stride& stride) {
  const auto* values = reinterpret_cast<const From*>(column.values);
  auto* out = reinterpret_cast<To*>(column.out);
  const std::int64_t per_row = column.steps * width;
  const std::int64_t begin = args.first * per_row;
  for (std::int64_t i = begin + stride.first; i < begin + args.rows * per_row; i += stride.step) {
    const std::int64_t n = quotient(i, per_row);
    const std::int64_t place = i - n * per_row;
    const SourceRow source = source_row(args, column, stride.row + n);
    To value{};
    if (place < source.length * width) {
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
  }
}

template <class To>
__device__ inline void convert_rows(const GatherBatch& args, const GatheredColumn& column,
                                    const Stride& stride) {
  switch (column.from) {
    case DType::float32: return fill_rows<float, To>(args, column, column.width, stride);
    case DType::int32: return fill_rows<std::int32_t, To>(args, column, column.width, stride);
    case DType::int64: return fill_rows<std::int64_t, To>(args, column, column.width, stride);
    case DType::uint8:
    case DType::bool_: return fill_rows<std::uint8_t, To>(args, column, column.width, stride);
  }
}

// Bytes of the largest piece that rows consist of; 0 where their elements are converted.
__device__ inline int unit_of(const GatheredColumn& column) {
  if (column.from != column.to) return 0;
  const auto bytes = static_cast<std::uint64_t>(column.width) * size_of(column.to);
  const std::uint64_t places = reinterpret_cast<std::uintptr_t>(column.values) |
                               reinterpret_cast<std::uintptr_t>(column.out) | bytes;
  if (places % 16 == 0) return 16;
  return places % 4 == 0 ? 4 : 1;
}

// Returns how many pieces there were.
__device__ inline std::int64_t gather_column(const GatherBatch& args, const GatheredColumn& column,
                                             const Stride& stride) {
  const int unit = unit_of(column);
  const std::int64_t bytes = column.width * static_cast<std::int64_t>(size_of(column.to));
  switch (unit) {
    case 16: fill_rows<uint4, uint4>(args, column, bytes / 16, stride); break;
    case 4: fill_rows<std::uint32_t, std::uint32_t>(args, column, bytes / 4, stride); break;
    case 1: fill_rows<std::uint8_t, std::uint8_t>(args, column, bytes, stride); break;
    default:
      if (column.to == DType::float32) {
        convert_rows<float>(args, column, stride);
      } else if (column.to == DType::int32) {
        convert_rows<std::int32_t>(args, column, stride);
      } else {
        convert_rows<std::uint8_t>(args, column, stride);
      }
  }
  const std::int64_t places = args.rows * column.steps;
  const std::int64_t pieces = places * (unit == 0 ? column.width : bytes / unit);
  if (column.mask == nullptr) return pieces;
  const std::int64_t begin = args.first * column.steps;
  for (std::int64_t i = begin + stride.first; i < begin + places; i += stride.step) {
    const std::int64_t n = quotient(i, column.steps);
    column.mask[i] = i - n * column.steps < source_row(args, column, stride.row + n).length ? 1 : 0;
  }
  return pieces;
}

// Columns of few pieces are for warps that those before have left without work: what they wait for
// comes at the same time.
template <class Blocks>
__device__ inline void run_rows(const Blocks& blocks, const GatherBatch& args) {
  const Stride all = stride_of(blocks, args);
  std::int64_t taken = 0;  // threads that have a piece
  SIMT_NO_UNROLL
  for (int i = 0; i < args.count; ++i) {
    const std::int64_t first = all.first - taken;
    const std::int64_t pieces = gather_column(
        args, args.columns[i], {first < 0 ? first + all.step : first, all.step, all.row});
    taken += (pieces + 31) / 32 * 32;
    if (taken >= all.step) taken = 0;
  }
}

}  // namespace
}  // namespace braid::kernels
