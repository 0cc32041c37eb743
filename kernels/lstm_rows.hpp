#pragma once
#include <cstring>

#include "kernels/lstm_cell.hpp"
#include "kernels/lstm_layout.hpp"

// What both passes of the LSTM do with rows of inputs and states.
namespace braid::kernels {
namespace {

// What the forward pass keeps of a token, by blocks of all tokens.
struct Saved {
  float* gates = nullptr;  // [tokens, 4H]: i, f, g, o, or their pre-activations (see CellForward)
  float* c = nullptr;      // [tokens, H]
  float* activated = nullptr;  // [tokens, H]: activation(c)
};

inline Saved saved_blocks(float* saved, const LstmShape& shape) {
  if (saved == nullptr) return {};
  const std::int64_t block = shape.rows * shape.steps * shape.units;
  return {saved, saved + 4 * block, saved + 5 * block};
}

// Rows are short: vectors, as a call of memcpy with an unknown size becomes a slow string move.
inline void copy_row(float* to, const float* from, std::int64_t count) {
  if (from != nullptr) {
    for_vectors(count, [&](const auto& read, const auto& write, std::int64_t u) {
      write(to + u, read(from + u));
    });
  } else {
    std::memset(to, 0, static_cast<std::size_t>(count) * sizeof(float));
  }
}

inline void add_row(float* to, const float* from, std::int64_t count) {
#pragma GCC ivdep
  for (std::int64_t u = 0; u < count; ++u) to[u] += from[u];
}

// The row of a state that may be absent.
inline const float* row_or_null(Matrix<const float> states, std::int64_t b) {
  return states ? states.row(b) : nullptr;
}

// Inputs of the tokens of steps `first` to `last`, in the order of the tokens.
template <class Arguments>
Matrix<const float> gather_inputs(const Arguments& args, const LstmPacking& packing,
                                  std::int64_t first, std::int64_t last, float* out) {
  const LstmShape& shape = args.shape;
  const std::int64_t start = packing.starts[first];
  if (shape.rows == 1 && args.in && last > first) {  // they may lie side by side already
    const std::int64_t t = packing.positions[first];
    if (packing.positions[last - 1] - t == last - 1 - first)
      return {args.in.row(t), last - first, shape.features, args.in.stride};
  }
  for_tokens(shape, packing, first, last,
             [&](std::int64_t token, std::int64_t, std::int64_t b, std::int64_t t) {
               const float* source =
                   args.in ? args.in.row(b * shape.steps + t) : args.table.row(args.ids.row(b)[t]);
               copy_row(out + (token - start) * shape.features, source, shape.features);
             });
  return {out, packing.starts[last] - start, shape.features, shape.features};
}

}  // namespace
}  // namespace braid::kernels
