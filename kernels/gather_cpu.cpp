#include "kernels/gather.hpp"

#include <algorithm>
#include <cstring>

namespace braid::kernels {
namespace BRAID_CPU {
namespace {

using Convert = void (*)(const std::byte* from, std::byte* to, std::int64_t count);

template <class From, class To>
void convert_elements(const std::byte* from, std::byte* to, std::int64_t count) {
  const auto* source = reinterpret_cast<const From*>(from);
  auto* target = reinterpret_cast<To*>(to);
  for (std::int64_t i = 0; i < count; ++i) target[i] = static_cast<To>(source[i]);
}

template <class Element>
void copy_elements(const std::byte* from, std::byte* to, std::int64_t count) {
  if (count > 0) std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(Element));
}

template <class To>
Convert converter_to(DType from) {
  switch (from) {
    case DType::float32: return convert_elements<float, To>;
    case DType::int32: return convert_elements<std::int32_t, To>;
    case DType::int64: return convert_elements<std::int64_t, To>;
    case DType::uint8:
    case DType::bool_: break;
  }
  return convert_elements<std::uint8_t, To>;
}

Convert converter(DType from, DType to) {
  if (from == to) return size_of(from) == 4 ? copy_elements<float> : copy_elements<std::uint8_t>;
  if (to == DType::float32) return converter_to<float>(from);
  return to == DType::int32 ? converter_to<std::int32_t>(from) : converter_to<std::uint8_t>(from);
}

struct Source {
  const std::byte* values;
  std::int64_t length;  // steps of a ragged row
};

// Asks for the first bytes of a row that is wanted soon: rows in a shuffled order come from
// anywhere, and a core would wait for each. What follows in a long row it asks for by itself.
void ask_for(const std::byte* row, std::int64_t bytes) {
  constexpr std::int64_t kLine = 64;
  constexpr std::int64_t kMostLines = 16;
  for (std::int64_t at = 0; at < std::min(bytes, kMostLines * kLine); at += kLine)
    __builtin_prefetch(row + at);
}

void gather(const GatherBatch& args, const GatheredColumn& column) {
  const Convert convert = converter(column.from, column.to);
  const auto from_size = static_cast<std::int64_t>(size_of(column.from));
  const auto to_size = static_cast<std::int64_t>(size_of(column.to));
  const std::int64_t first = args.cursor->row;
  if (args.order == nullptr && column.splits == nullptr) {
    convert(column.values + (first + args.first) * column.width * from_size,
            column.out + args.first * column.width * to_size, args.rows * column.width);
    return;
  }
  const std::int64_t row_bytes = column.steps * column.width * to_size;
  const std::int64_t end = args.first + args.rows;
  const auto source_of = [&](std::int64_t n) {
    const std::int64_t row = args.order == nullptr ? first + n : args.order[first + n];
    const std::int64_t start = column.splits == nullptr ? row : column.splits[row];
    const std::int64_t length = column.splits == nullptr ? 1 : column.splits[row + 1] - start;
    return Source{column.values + start * column.width * from_size, length};
  };
  constexpr std::int64_t kAhead = 4;
  for (std::int64_t n = args.first; n < end; ++n) {
    if (n + kAhead < end) {
      const Source soon = source_of(n + kAhead);
      ask_for(soon.values, soon.length * column.width * from_size);
    }
    const auto [values, length] = source_of(n);
    const std::int64_t filled = length * column.width;
    std::byte* const out = column.out + n * row_bytes;
    convert(values, out, filled);
    if (column.splits == nullptr) continue;
    const auto behind = static_cast<std::size_t>(row_bytes - filled * to_size);
    if (behind > 0) std::memset(out + filled * to_size, 0, behind);
    if (column.mask == nullptr) continue;
    std::uint8_t* const mask = column.mask + n * column.steps;
    std::memset(mask, 1, static_cast<std::size_t>(length));
    std::memset(mask + length, 0, static_cast<std::size_t>(column.steps - length));
  }
}

}  // namespace

void run(const GatherBatch& args) {
  for (int i = 0; i < args.count; ++i) gather(args, args.columns[i]);
}

}  // namespace BRAID_CPU
}  // namespace braid::kernels
