#pragma once
#include "kernels/dense_few_places.hpp"
#include "kernels/simt/elements.hpp"

// Products of a block's rows, by that block, whose operands are held in shared memory: all of the
// depth, or one part of it after the other. There is little to compute, and what takes time is
// waiting for memory: a thread asks for many numbers at once. Each sum is one chain in the order of
// the depth, with the bits of tiles.
namespace braid::kernels {
namespace {

// Where held operands lie, and what a thread computes: four columns of one row or of four.
class HeldProduct {
 public:
  static constexpr int kFloats = 12288;
  static constexpr int kRowsOfMany = 4;

  // `along`: elements that lie side by side in memory belong to one row of a, or to one column of
  // b. What does not fit has no places.
  __device__ HeldProduct(const DenseProduct& args, bool a_along_depth, bool b_along_depth)
      : a_along(a_along_depth), b_along(b_along_depth) {
    if (args.rows == 0 || args.rows > kFloats || args.depth > kFloats ||
        args.columns > kDenseThreads)
      return;
    rows = static_cast<int>(args.rows);
    columns = static_cast<int>(args.columns);
    all_places = static_cast<int>(args.depth);
    groups = (columns + 3) / 4;
    takes_many = rows * groups > 2 * kDenseThreads;
    // Fours of columns, with a gap where they are written one by one.
    b_place = 4 * groups + (b_along ? 4 : 0);
    const int most = kFloats / (4 * ((rows + 3) / 4) + b_place) - (a_along ? 7 : 0);
    if (all_places <= most) {
      places = all_places;
    } else if (most >= kShortest &&
               (rows + kRowsOfMany - 1) / kRowsOfMany * groups <= kDenseThreads) {
      takes_many = true;  // and all results are computed side by side: nothing is copied twice
      const int parts = (all_places + most / 4 * 4 - 1) / (most / 4 * 4);
      places = ((all_places + parts - 1) / parts + 3) / 4 * 4;
    }
    // Rows that lie along the depth are an odd number of fours apart, which spreads them over all
    // banks.
    a_line = a_along ? 4 * ((places + 3) / 4 | 1) : 4 * ((rows + 3) / 4);
  }
  __device__ bool fits() const { return places > 0; }

  bool a_along;
  bool b_along;
  bool takes_many = false;
  int rows = 0;
  int columns = 0;
  int groups = 0;  // of four columns
  int all_places = 0;
  int places = 0;   // of the depth that are held at once
  int b_place = 0;  // from one place of b to the next
  int a_line = 0;   // from one row of a to the next, or from one place

 private:
  static constexpr int kShortest = 16;  // part of a depth that is worth a copy
};

// Copies lines of `length` elements that lie line_step apart.
template <int kWidth>
__device__ inline void hold_lines(const float* from, int line_step, int lines, int length,
                                  float* to, int to_line, int to_place) {
  constexpr int kAtOnce = 8;
  const int pieces = length / kWidth;
  const ThreadLines threads(static_cast<unsigned>(min(pieces, kDenseThreads)));
  const auto lines_at_once = static_cast<int>(threads.lines);
  const auto first = static_cast<int>(threads.line);
  if (first >= lines_at_once) return;
  SIMT_NO_UNROLL
  for (int piece = static_cast<int>(threads.place); piece < pieces; piece += kDenseThreads) {
    const float* source = from + (first * line_step + piece * kWidth);
    float* target = to + (first * to_line + piece * kWidth * to_place);
    SIMT_NO_UNROLL
    for (int line = first; line < lines; line += kAtOnce * lines_at_once) {
      float values[kAtOnce][kWidth];
      // Behind the last line it is read again: no load waits for a branch.
      SIMT_UNROLL
      for (int n = 0; n < kAtOnce; ++n) {
        load_floats(source, values[n]);
        source += line + (n + 1) * lines_at_once < lines ? lines_at_once * line_step : 0;
      }
      SIMT_UNROLL
      for (int n = 0; n < kAtOnce; ++n) {
        if (line + n * lines_at_once < lines) {
          if (kWidth == 4 && to_place == 1) {
            store_floats(target, values[n]);
          } else {
            SIMT_UNROLL
            for (int e = 0; e < kWidth; ++e) target[e * to_place] = values[n][e];
          }
        }
        target += lines_at_once * to_line;
      }
    }
  }
}
__device__ inline void hold_lines(const float* from, int line_step, int lines, int length,
                                  float* to, int to_line, int to_place) {
  if (in_fours(from, line_step) && length % 4 == 0) {
    hold_lines<4>(from, line_step, lines, length, to, to_line, to_place);
  } else {
    hold_lines<1>(from, line_step, lines, length, to, to_line, to_place);
  }
}

// `places` of both operands from `first` on: b, and a behind it.
__device__ inline void hold(const DenseProduct& args, const HeldProduct& held, int first,
                            int places, float* memory) {
  const auto a_stride = static_cast<int>(args.a_stride);
  const auto b_stride = static_cast<int>(args.b_stride);
  hold_lines(args.a + first * (held.a_along ? 1 : a_stride), a_stride,
             held.a_along ? held.rows : places, held.a_along ? places : held.rows,
             memory + held.places * held.b_place, held.a_line, 1);
  hold_lines(args.b + first * (held.b_along ? 1 : b_stride), b_stride,
             held.b_along ? held.columns : places, held.b_along ? places : held.columns, memory,
             held.b_along ? 1 : held.b_place, held.b_along ? held.b_place : 1);
}

// Four neighbouring columns of kRows rows: of neighbours, but where a's rows lie along the depth,
// of which neighbours are other threads'.
template <int kRows, bool kAlongDepth>
struct HeldSums {
  float sums[kRows][4];
  int rows;     // those that are there
  int columns;  // the same
  const float* a;
  const float* b;
  float* out;
  int row_step;

  __device__ HeldSums(const DenseProduct& args, const HeldProduct& held, int item,
                      const float* memory) {
    const int across = (held.rows + kRows - 1) / kRows;
    const auto group =
        static_cast<int>(row_of_place(static_cast<unsigned>(item), static_cast<unsigned>(across)));
    const int row = (item - group * across) * (kAlongDepth ? 1 : kRows);
    const int column = 4 * group;
    row_step = kAlongDepth ? across : 1;
    rows = 1;
    SIMT_UNROLL
    for (int r = 1; r < kRows; ++r) rows += row + r * row_step < held.rows ? 1 : 0;
    columns = min(held.columns - column, 4);
    a = memory + (held.places * held.b_place + (kAlongDepth ? row * held.a_line : row));
    b = memory + column;
    out = args.out + (row * static_cast<int>(args.out_stride) + column);
    SIMT_UNROLL
    for (int r = 0; r < kRows; ++r) {
      SIMT_UNROLL
      for (float& sum : sums[r]) sum = 0;
      if (args.accumulate) {
        if (r < rows) load_group(row_of(args, r), columns, args.out_in_fours, sums[r]);
      } else if (args.bias != nullptr) {
        load_group(args.bias + column, columns, false, sums[r]);
      }
    }
  }

  __device__ float* row_of(const DenseProduct& args, int r) const {
    return out + r * row_step * static_cast<int>(args.out_stride);
  }

  __device__ void add(const HeldProduct& held, int places) {
    int k = 0;
    SIMT_NO_UNROLL
    for (; k + 4 <= places; k += 4) add_places<4>(held, k);
    SIMT_NO_UNROLL
    for (; k < places; ++k) add_places<1>(held, k);
  }

  __device__ void store(const DenseProduct& args) {
    const Activation f = args.activation;
    const bool relu = is_plain_relu(f);
    SIMT_UNROLL
    for (int r = 0; r < kRows; ++r) {
      SIMT_UNROLL
      for (float& sum : sums[r]) sum = relu ? plain_relu_of(sum) : sum;
      if (r < rows) store_group(row_of(args, r), columns, args.out_in_fours, sums[r]);
    }
    if (f.kind == ActivationKind::linear || relu) return;
    // Read again, so that the functions' code stands here once.
    SIMT_NO_UNROLL
    for (int i = 0; i < 4 * rows; ++i) {
      float* const element = row_of(args, i / 4) + i % 4;
      if (i % 4 < columns) store_activated(*element, f, element);
    }
  }

 private:
  // Where a four of rows ends outside it reads on: what lies there counts in no sum that is stored.
  template <int kPlaces>
  __device__ void add_places(const HeldProduct& held, int k) {
    float left[kRows][kPlaces];
    if constexpr (kAlongDepth) {
      SIMT_UNROLL
      for (int r = 0; r < kRows; ++r)
        load_floats(a + ((r < rows ? r : 0) * row_step * held.a_line + k), left[r]);
    } else {
      SIMT_UNROLL
      for (int i = 0; i < kPlaces; ++i) {
        float line[kRows];
        load_floats(a + (k + i) * held.a_line, line);
        SIMT_UNROLL
        for (int r = 0; r < kRows; ++r) left[r][i] = line[r];
      }
    }
    float right[kPlaces][4];
    SIMT_UNROLL
    for (int i = 0; i < kPlaces; ++i) load_floats(b + (k + i) * held.b_place, right[i]);
    SIMT_UNROLL
    for (int i = 0; i < kPlaces; ++i) {
      SIMT_UNROLL
      for (int r = 0; r < kRows; ++r) {
        SIMT_UNROLL
        for (int c = 0; c < 4; ++c) sums[r][c] = fmaf(left[r][i], right[i][c], sums[r][c]);
      }
    }
  }
};

// The sum of a column of b, by a thread of its own.
__device__ inline void add_held_column(const DenseProduct& args, const HeldProduct& held,
                                       bool begins, int places, const float* memory) {
  const auto column = static_cast<int>(threadIdx.x);
  if (args.column_sums == nullptr || column >= held.columns) return;
  constexpr int kAtOnce = 8;
  float& total = args.column_sums[column];
  float sum = begins && !args.accumulate ? 0.0F : total;
  SIMT_NO_UNROLL
  for (int k = 0; k < places; k += kAtOnce) {
    float values[kAtOnce];
    SIMT_UNROLL
    for (int i = 0; i < kAtOnce; ++i)
      values[i] = memory[min(k + i, places - 1) * held.b_place + column];
    SIMT_UNROLL
    for (int i = 0; i < kAtOnce; ++i) sum = k + i < places ? sum + values[i] : sum;
  }
  total = sum;
}

template <int kRows, bool kAlongDepth>
__device__ inline void multiply_held(const DenseProduct& args, const HeldProduct& held,
                                     float* memory) {
  const int items = (held.rows + kRows - 1) / kRows * held.groups;
  const auto thread = static_cast<int>(threadIdx.x);
  // All threads take the first turn, in which they copy; who has no item looks at the first one,
  // that nobody has stored yet.
  SIMT_NO_UNROLL
  for (int turn = 0; turn == 0 || turn + thread < items; turn += kDenseThreads) {
    const bool has_item = turn + thread < items;
    HeldSums<kRows, kAlongDepth> own(args, held, has_item ? turn + thread : 0, memory);
    SIMT_NO_UNROLL
    for (int first = 0; first < held.all_places; first += held.places) {
      const int places = min(held.all_places - first, held.places);
      // What is held as a whole stays for all turns.
      if (turn == 0) {
        if (first > 0) __syncthreads();  // the part before has been read
        hold(args, held, first, places, memory);
        __syncthreads();  // the part is there
        add_held_column(args, held, first == 0, places, memory);
      }
      if (has_item) own.add(held, places);
    }
    if (has_item) own.store(args);
  }
  __syncthreads();  // all has been read
}

// More threads that do less each, as long as they are there.
__device__ inline void multiply_held(const DenseProduct& args, const HeldProduct& held,
                                     float* memory) {
  constexpr int kMany = HeldProduct::kRowsOfMany;
  if (held.a_along) {
    if (held.takes_many) return multiply_held<kMany, true>(args, held, memory);
    return multiply_held<1, true>(args, held, memory);
  }
  if (held.takes_many) return multiply_held<kMany, false>(args, held, memory);
  multiply_held<1, false>(args, held, memory);
}

}  // namespace
}  // namespace braid::kernels
