#pragma once
#include <algorithm>

#include "kernels/lstm_mask.hpp"

// Where the LSTM kernels keep what they need. Steps are packed: step s of a call holds the s-th
// valid position of every row that has so many, rows with more valid steps first, so that the rows
// of a step are a prefix of the tile and tokens of a step lie side by side. A token is one (row,
// valid step).
namespace braid::kernels {
namespace {

// Per row and step of the tile: the four gates, c and tanh c (activation of c), whatever the mask;
// tokens fill the space of a call from its front.
constexpr std::int64_t kSavedPerUnit = 6;

// Whole steps are multiplied with the kernel at once until they have this many tokens: their
// numbers stay in the second-level cache.
constexpr std::int64_t kTokenBlock = 128;
// Where several cores have a row in hand (lstm_together.hpp).
constexpr std::int64_t kTokensTogether = 240;
inline std::int64_t lstm_block_tokens(const LstmShape& shape) {
  return std::max(kTokenBlock + shape.rows, kTokensTogether);
}

inline std::int64_t lstm_saved_floats(const LstmShape& shape) {
  return shape.steps * shape.units * kSavedPerUnit;
}

// Panels (kernels/panels.hpp) of a kernel [inputs, 4H] or of its transpose: each side filled up to
// the widest panel.
inline std::int64_t lstm_panel_floats(std::int64_t inputs, std::int64_t units) {
  const auto filled = [](std::int64_t columns) { return (columns + 63) / 64 * 64; };
  return filled(inputs) * filled(4 * units);
}

struct LstmScratch {
  std::int64_t order = 0;   // [B] int32: rows by falling number of valid steps
  std::int64_t counts = 0;  // [B] int32: valid steps of each, in that order
  std::int64_t positions =
      0;                    // [B * T] int32: t of the s-th valid step of the i-th row, [i * T + s]
  std::int64_t starts = 0;  // [T + 1] int32: first token of each packed step
  std::int64_t block = 0;   // [block, E] inputs, or their gradients, of a block of tokens
  std::int64_t kernel = 0;  // panels of the kernel, going back of its transpose
  std::int64_t recurrent = 0;  // panels of the recurrent kernel, likewise
  std::int64_t gates = 0;  // [block, 4H] pre-activations going forward, their gradients going back
  std::int64_t h = 0;      // [B + 1, H]: a row that is alone goes to and fro between two
  std::int64_t c = 0;      // [B, H]
  std::int64_t previous = 0;  // [block, H] h before each token (backward)
  std::int64_t sequence = 0;  // [B * T, H] packed gradients of the outputs (backward)
  std::int64_t bytes = 0;
};

// Of the gradients of all inputs [B * T, E], where only those of a table are wanted.
inline std::int64_t lstm_input_bytes(const LstmShape& shape) {
  return (4 * shape.rows * shape.steps * shape.features + 63) / 64 * 64;
}

inline LstmScratch lstm_scratch_layout(const LstmShape& shape, bool backward) {
  LstmScratch layout;
  const auto take = [&](std::int64_t elements) {
    const std::int64_t offset = layout.bytes;
    layout.bytes += (4 * elements + 63) / 64 * 64;
    return offset;
  };
  const std::int64_t tokens = shape.rows * shape.steps;
  const std::int64_t block = lstm_block_tokens(shape);
  layout.order = take(shape.rows);
  layout.counts = take(shape.rows);
  layout.positions = take(tokens);
  layout.starts = take(shape.steps + 2);
  layout.block = take(block * shape.features);
  layout.kernel = take(lstm_panel_floats(shape.features, shape.units));
  layout.recurrent = take(lstm_panel_floats(shape.units, shape.units));
  layout.gates = take(block * 4 * shape.units);
  layout.h = take((shape.rows + 1) * shape.units);
  layout.c = take(shape.rows * shape.units);
  if (backward) {
    layout.previous = take(block * shape.units);
    layout.sequence = take(tokens * shape.units);
  }
  return layout;
}

// The packing of one call.
struct LstmPacking {
  std::int32_t* order;
  std::int32_t* counts;
  std::int32_t* positions;
  std::int32_t* starts;
  std::int64_t steps;  // packed: the most valid steps of a row
  std::int64_t active(std::int64_t s) const { return starts[s + 1] - starts[s]; }
  std::int64_t tokens() const { return starts[steps]; }
};

inline LstmPacking pack_lstm(const LstmShape& shape, const LstmMask& mask, bool go_backwards,
                             std::byte* scratch, const LstmScratch& layout) {
  LstmPacking packing{reinterpret_cast<std::int32_t*>(scratch + layout.order),
                      reinterpret_cast<std::int32_t*>(scratch + layout.counts),
                      reinterpret_cast<std::int32_t*>(scratch + layout.positions),
                      reinterpret_cast<std::int32_t*>(scratch + layout.starts), 0};
  // Counting sort by the number of valid steps, most first, stable. starts serves as the table of
  // counts.
  const std::int64_t kinds = shape.steps + 1;
  for (std::int64_t i = 0; i <= kinds; ++i) packing.starts[i] = 0;
  const auto count_of = [&](std::int64_t b) {
    std::int32_t count = 0;
    for (std::int64_t t = 0; t < shape.steps; ++t) count += mask.is_valid(b, t) ? 1 : 0;
    return count;
  };
  for (std::int64_t b = 0; b < shape.rows; ++b) ++packing.starts[shape.steps - count_of(b) + 1];
  for (std::int64_t i = 1; i <= kinds; ++i) packing.starts[i] += packing.starts[i - 1];
  for (std::int64_t b = 0; b < shape.rows; ++b) {
    const std::int32_t count = count_of(b);
    const std::int32_t place = packing.starts[shape.steps - count]++;
    packing.order[place] = static_cast<std::int32_t>(b);
    packing.counts[place] = count;
  }
  for (std::int64_t i = 0; i < shape.rows; ++i) {
    std::int32_t* positions = packing.positions + i * shape.steps;
    for (std::int64_t k = 0; k < shape.steps; ++k) {
      const std::int64_t t = go_backwards ? shape.steps - 1 - k : k;
      if (mask.is_valid(packing.order[i], t)) *positions++ = static_cast<std::int32_t>(t);
    }
  }
  packing.steps = shape.rows == 0 ? 0 : packing.counts[0];
  std::int32_t token = 0;
  std::int64_t active = shape.rows;
  for (std::int64_t s = 0; s < packing.steps; ++s) {
    while (active > 0 && packing.counts[active - 1] <= s) --active;
    packing.starts[s] = token;
    token += static_cast<std::int32_t>(active);
  }
  packing.starts[packing.steps] = token;
  return packing;
}

// Calls body(token, i, b, t) for every token of the steps `first` to `last`, step by step.
template <class Body>
inline void for_tokens(const LstmShape& shape, const LstmPacking& packing, std::int64_t first,
                       std::int64_t last, const Body& body) {
  for (std::int64_t s = first; s < last; ++s) {
    for (std::int64_t i = 0; i < packing.active(s); ++i) {
      body(packing.starts[s] + i, i, static_cast<std::int64_t>(packing.order[i]),
           static_cast<std::int64_t>(packing.positions[i * shape.steps + s]));
    }
  }
}

}  // namespace
}  // namespace braid::kernels
