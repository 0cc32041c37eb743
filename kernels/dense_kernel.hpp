#pragma once
#include "kernels/dense_product.hpp"
#include "kernels/functions.hpp"
#include "kernels/host_device.hpp"

// The kernel of all dense products. A block owns a tile of the result over the whole depth (or one
// part of it); all its threads copy the tiles of the operands, some stages ahead, and compute.
namespace braid::kernels {
namespace {

// Tiles that have code of their own for whole stages (dense_unrolled.hpp).
template <class Tile>
constexpr bool kUnrolled = requires(Tile& tile, const float* memory) {
  tile.multiply_stage(memory, memory);
};

template <class Tile>
constexpr int kFloatsOfStage = Tile::A::kFloats + Tile::B::kFloats;

// Copies the next tiles of both operands, of a depth of which `left` places are left.
template <class Tile>
__device__ inline void copy_stage(float* memory, DenseCopies<typename Tile::A>& a,
                                  DenseCopies<typename Tile::B>& b, std::int64_t left) {
  if (left > 0) {
    const int depth = left < Tile::kDepth ? static_cast<int>(left) : Tile::kDepth;
    const int steps = (depth + Tile::kStep - 1) / Tile::kStep * Tile::kStep;
    a.issue(memory, depth, steps);
    b.issue(memory + Tile::A::kFloats, depth, steps);
  }
  cp_async_commit();
}

// Rows or columns of a tile that lie inside.
template <int kMost>
__device__ inline int within(std::int64_t left) {
  return static_cast<int>(left < kMost ? left : kMost);
}

// Calls body(row, column, how many of the elements from there on lie inside), unless none does.
template <class Tile, class Body>
__device__ inline void at_group(const Tile& tile, const DenseProduct& args, int group,
                                std::int64_t first_row, std::int64_t first_column,
                                const Body& body) {
  // Compared within the tile, where numbers take one register each.
  const int row = tile.row_of_group(group);
  const int column = tile.column_of_group(group);
  const int left = within<Tile::kColumns>(args.columns - first_column) - column;
  if (row >= within<Tile::kRows>(args.rows - first_row) || left <= 0) return;
  body(first_row + row, first_column + column, left < Tile::kWidth ? left : Tile::kWidth);
}

template <int kWidth>
__device__ inline void load_group(const float* from, int inside, bool at_once,
                                  float (&values)[kWidth]) {
  if (at_once && inside == kWidth) {
    load_floats(from, values);
    return;
  }
  SIMT_UNROLL
  for (int i = 0; i < kWidth; ++i) {
    if (i < inside) values[i] = from[i];
  }
}
template <int kWidth>
__device__ inline void store_group(float* to, int inside, bool at_once,
                                   const float (&values)[kWidth]) {
  if (at_once && inside == kWidth) {
    store_floats(to, values);
    return;
  }
  SIMT_UNROLL
  for (int i = 0; i < kWidth; ++i) {
    if (i < inside) to[i] = values[i];
  }
}

template <class Tile>
__device__ inline void start_sums(Tile& tile, const DenseProduct& args, const float* out,
                                  std::int64_t first_row, std::int64_t first_column) {
  SIMT_UNROLL
  for (int group = 0; group < Tile::kGroups; ++group) {
    SIMT_UNROLL
    for (int i = 0; i < Tile::kWidth; ++i) tile.sums[group][i] = 0;
    if (!args.accumulate && args.bias == nullptr) continue;
    at_group(tile, args, group, first_row, first_column,
             [&](std::int64_t row, std::int64_t column, int inside) {
               if (args.accumulate) {
                 load_group(out + row * args.out_stride + column, inside, args.out_in_fours,
                            tile.sums[group]);
               } else {
                 load_group(args.bias + column, inside, false, tile.sums[group]);
               }
             });
  }
}

// Plain relu and none are worth a code of their own: they are the most frequent, and short.
__device__ inline float plain_relu_of(float x) {
  return function_of<ActivationKind::relu>(x, Activation{ActivationKind::relu});
}
__device__ inline void store_activated(float sum, const Activation& f, float* out) {
  if (f.kind == ActivationKind::linear) {
    *out = sum;
  } else if (is_plain_relu(f)) {
    *out = plain_relu_of(sum);
  } else {
    with_kind(f.kind, [&]<ActivationKind kind>() { *out = function_of<kind>(sum, f); });
  }
}

// Of a tile that lies inside with all its rows and columns.
template <class Tile>
__device__ inline void store_whole_tile(const Tile& tile, const DenseProduct& args, float* out) {
  SIMT_UNROLL
  for (int i = 0; i < Tile::kGroups / Tile::kGroupsOfRow; ++i) {
    float* const line = out + tile.row_of(i) * args.out_stride + tile.first_column;
    SIMT_UNROLL
    for (int group = 0; group < Tile::kGroupsOfRow; ++group) {
      store_group(line + tile.column_of_group(group) - tile.first_column, Tile::kWidth,
                  args.out_in_fours, tile.sums[i * Tile::kGroupsOfRow + group]);
    }
  }
}

template <class Tile>
__device__ inline void store_sums(Tile& tile, const DenseProduct& args, float* out,
                                  std::int64_t first_row, std::int64_t first_column) {
  const auto store = [&](const float(&values)[Tile::kWidth], int group) {
    at_group(tile, args, group, first_row, first_column,
             [&](std::int64_t row, std::int64_t column, int inside) {
               store_group(out + row * args.out_stride + column, inside, args.out_in_fours, values);
             });
  };
  const Activation f = args.activation;
  const bool relu = is_plain_relu(f);
  if (f.kind == ActivationKind::linear || relu) {
    SIMT_UNROLL
    for (int group = 0; group < Tile::kGroups; ++group) {
      SIMT_UNROLL
      for (int i = 0; i < Tile::kWidth; ++i) {
        float& sum = tile.sums[group][i];
        if (relu) sum = plain_relu_of(sum);
      }
      if constexpr (!kUnrolled<Tile>) store(tile.sums[group], group);
    }
    if constexpr (kUnrolled<Tile>) {
      if (first_row + Tile::kRows <= args.rows && first_column + Tile::kColumns <= args.columns) {
        store_whole_tile(tile, args, out + first_row * args.out_stride + first_column);
        return;
      }
      SIMT_UNROLL
      for (int group = 0; group < Tile::kGroups; ++group) store(tile.sums[group], group);
    }
    return;
  }
  // The functions' code stands here once, not once for every group: all groups move up by one
  // place, because registers cannot be counted through.
  SIMT_NO_UNROLL
  for (int group = 0; group < Tile::kGroups; ++group) {
    with_kind(f.kind, [&]<ActivationKind kind>() {
      SIMT_UNROLL
      for (int i = 0; i < Tile::kWidth; ++i)
        tile.sums[0][i] = function_of<kind>(tile.sums[0][i], f);
    });
    store(tile.sums[0], group);
    SIMT_UNROLL
    for (int next = 1; next < Tile::kGroups; ++next) {
      SIMT_UNROLL
      for (int i = 0; i < Tile::kWidth; ++i) tile.sums[next - 1][i] = tile.sums[next][i];
    }
  }
}

// The sums of b's columns, a thread a column of the blocks of the first rows. Only gradients of
// weights want them, whose operands both lie across the depth.
template <class Tile, bool wanted = !Tile::A::kAlongDepth && !Tile::B::kAlongDepth>
struct ColumnSum {
  __device__ ColumnSum(const DenseProduct&, std::int64_t, std::int64_t, std::int64_t) {}
  __device__ void add(const float*, int) {}
  __device__ void store() const {}
};
template <class Tile>
struct ColumnSum<Tile, true> {
  float* target = nullptr;
  float sum = 0;

  __device__ ColumnSum(const DenseProduct& args, std::int64_t part, std::int64_t first_row,
                       std::int64_t first_column) {
    const std::int64_t column = first_column + threadIdx.x;
    if (args.column_sums == nullptr || first_row != 0 || threadIdx.x >= Tile::kColumns ||
        column >= args.columns) {
      return;
    }
    target = args.column_sums + part * args.floats_of_sums + column;
    if (args.accumulate) sum = *target;
  }
  __device__ void add(const float* b, int steps) {
    if (target == nullptr) return;
    if (kUnrolled<Tile> && steps == Tile::kDepth) {
      constexpr int kAtOnce = 16;
      SIMT_UNROLL
      for (int first = 0; first < Tile::kDepth; first += kAtOnce) {
        float values[kAtOnce];
        SIMT_UNROLL
        for (int k = 0; k < kAtOnce; ++k)
          values[k] = b[Tile::B::place(static_cast<int>(threadIdx.x), first + k)];
        SIMT_UNROLL
        for (int k = 0; k < kAtOnce; ++k) sum += values[k];
      }
      return;
    }
    for (int k = 0; k < steps; ++k) sum += b[Tile::B::place(static_cast<int>(threadIdx.x), k)];
  }
  __device__ void store() const {
    if (target != nullptr) *target = sum;
  }
};

// A block makes one tile of one part. `memory` is shared, kStages * kFloatsOfStage<Tile> floats.
template <class Tile>
__device__ inline void make_tile(const DenseProduct& args, std::int64_t number, std::int64_t part,
                                 float* memory) {
  // A launch has less than 2^31 blocks, and a division of 64 bits takes a hundred instructions.
  const auto tiles_across =
      static_cast<std::uint32_t>((args.columns + Tile::kColumns - 1) / Tile::kColumns);
  const std::uint32_t down = static_cast<std::uint32_t>(number) / tiles_across;
  const std::uint32_t across = static_cast<std::uint32_t>(number) - down * tiles_across;
  const std::int64_t first_row = std::int64_t{down} * Tile::kRows;
  const std::int64_t first_column = std::int64_t{across} * Tile::kColumns;
  const std::int64_t start = part * args.depth_of_part;
  const std::int64_t rest = args.depth - start;
  std::int64_t left = rest < args.depth_of_part ? rest : args.depth_of_part;
  DenseCopies<typename Tile::A> a(args.a, args.a_stride, first_row, start, args.rows,
                                  kUnrolled<Tile> ? args.a_in_fours : args.operands_in_fours);
  DenseCopies<typename Tile::B> b(args.b, args.b_stride, first_column, start, args.columns,
                                  kUnrolled<Tile> ? args.b_in_fours : args.operands_in_fours);

  constexpr int kAhead = Tile::kStages - 1;
  for (int stage = 0; stage < kAhead; ++stage) {
    copy_stage<Tile>(memory + stage * kFloatsOfStage<Tile>, a, b, left - stage * Tile::kDepth);
  }
  float* const out = args.out + part * args.floats_of_part;
  Tile tile;
  start_sums(tile, args, out, first_row, first_column);
  ColumnSum<Tile> column_sum(args, part, first_row, first_column);

  int read = 0;  // the stage that is read
  int written = kAhead;
  for (; left > 0; left -= Tile::kDepth) {
    cp_async_wait<kAhead - 1>();
    __syncthreads();  // the stage is there, and the one before it has been read
    copy_stage<Tile>(memory + written * kFloatsOfStage<Tile>, a, b, left - kAhead * Tile::kDepth);
    const float* const tile_a = memory + read * kFloatsOfStage<Tile>;
    const float* const tile_b = tile_a + Tile::A::kFloats;
    const int steps = left < Tile::kDepth ? static_cast<int>(left) : Tile::kDepth;
    if constexpr (kUnrolled<Tile>) {
      if (steps == Tile::kDepth) {
        tile.multiply_stage(tile_a, tile_b);
      } else {
        tile.multiply(tile_a, tile_b, steps);
      }
    } else {
      tile.multiply(tile_a, tile_b, steps);
    }
    column_sum.add(tile_b, steps);
    read = read + 1 < Tile::kStages ? read + 1 : 0;
    written = written + 1 < Tile::kStages ? written + 1 : 0;
  }
  store_sums(tile, args, out, first_row, first_column);
  column_sum.store();
}

template <class Tile>
__global__ void __launch_bounds__(Tile::kThreads, SIMT_BLOCKS_HELD(Tile::kBlocksOfMultiprocessor))
    dense_kernel(DenseProduct args) {
  SIMT_DYN_SHARED(float, memory);
  make_tile<Tile>(args, blockIdx.x, blockIdx.y, memory);
}

// Tiles that the result has. Without rows there are still sums of columns.
template <class Tile>
BRAID_HOST_DEVICE std::int64_t tiles_of(const DenseProduct& args) {
  const std::int64_t rows = (args.rows + Tile::kRows - 1) / Tile::kRows;
  return (rows < 1 ? 1 : rows) * ((args.columns + Tile::kColumns - 1) / Tile::kColumns);
}

template <class Tile>
void launch_dense(const Stream& stream, const DenseProduct& args, std::int64_t parts) {
  launch_kernel<dense_kernel<Tile>>(
      {.grid = {tiles_of<Tile>(args), parts},
       .block = Tile::kThreads,
       .shared = Tile::kStages * kFloatsOfStage<Tile> * static_cast<std::int64_t>(sizeof(float))},
      stream, args);
}

}  // namespace
}  // namespace braid::kernels
