// Thread mappings are given at each kernel.
#include "kernels/dense_product.hpp"
#include "kernels/simt/elements.hpp"
#include "kernels/simt/facade.hpp"

#include "tests/simt/samples.hpp"

namespace braid::samples {
namespace {

using namespace braid::simt;

constexpr unsigned kAll = 0xFFFFFFFFU;

__device__ inline float warp_sum(float value) {
  for (int offset = 16; offset > 0; offset /= 2) value += __shfl_down_sync(kAll, value, offset);
  return value;
}

// A block sums a slice, its warps by shuffles, then the first warp the warps' sums.
__global__ void sum_kernel(const float* in, std::int64_t count, float* out) {
  SIMT_SHARED(float, warp_sums, [32]);
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  float sum = 0;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += step) {
    sum += in[i];
  }
  sum = warp_sum(sum);
  if (threadIdx.x % 32 == 0) warp_sums[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x >= 32) return;
  sum = warp_sum(threadIdx.x < blockDim.x / 32 ? warp_sums[threadIdx.x] : 0.0F);
  if (threadIdx.x == 0) out[blockIdx.x] = sum;
}

// A block normalizes one row that it keeps in dynamic shared memory.
__global__ void softmax_kernel(const float* in, float* out, int columns) {
  SIMT_DYN_SHARED(float, row);
  SIMT_SHARED(float, parts, [4]);
  const float* source = in + static_cast<std::int64_t>(blockIdx.x) * columns;
  const int warp = static_cast<int>(threadIdx.x / 32);
  float largest = -INFINITY;
  for (int c = static_cast<int>(threadIdx.x); c < columns; c += 128) {
    row[c] = source[c];
    largest = fmaxf(largest, row[c]);
  }
  for (int offset = 16; offset > 0; offset /= 2) {
    largest = fmaxf(largest, __shfl_xor_sync(kAll, largest, offset));
  }
  if (threadIdx.x % 32 == 0) parts[warp] = largest;
  __syncthreads();
  largest = fmaxf(fmaxf(parts[0], parts[1]), fmaxf(parts[2], parts[3]));
  __syncthreads();
  float sum = 0;
  for (int c = static_cast<int>(threadIdx.x); c < columns; c += 128) {
    row[c] = expf(row[c] - largest);
    sum += row[c];
  }
  for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(kAll, sum, offset);
  if (threadIdx.x % 32 == 0) parts[warp] = sum;
  __syncthreads();
  sum = parts[0] + parts[1] + parts[2] + parts[3];
  float* target = out + static_cast<std::int64_t>(blockIdx.x) * columns;
  for (int c = static_cast<int>(threadIdx.x); c < columns; c += 128) target[c] = row[c] / sum;
}

constexpr int kTile = 32;    // rows and columns of a block's tile
constexpr int kDepth = 32;   // of one step
constexpr int kPadded = 40;  // elements of a row in shared memory: 80 bytes, no bank twice
constexpr int kStages = 2;

// Fetches rows first .. first + 31 and columns from .. from + 31 of [rows, columns]; beyond the
// matrix come zeros. 128 threads bring 8 elements each.
__device__ inline void fetch_tile(std::uint16_t (*tile)[kPadded], const std::uint16_t* matrix,
                                  int rows, int columns, int first, int from) {
  const int row = static_cast<int>(threadIdx.x) / 4;
  const int column = static_cast<int>(threadIdx.x) % 4 * 8;
  const bool inside = first + row < rows && from + column < columns;
  const std::uint16_t* source =
      inside ? matrix + static_cast<std::int64_t>(first + row) * columns + from + column : matrix;
  cp_async_zero_fill<16>(&tile[row][column], source, inside ? 16 : 0);
}

// A block of 4 warps owns a 32 x 32 tile, each warp 16 x 16 of it. Two stages of cp.async.
__global__ void product_kernel(Product args) {
  SIMT_SHARED(std::uint16_t, a_tiles, [kStages][kTile][kPadded]);
  SIMT_SHARED(std::uint16_t, b_tiles, [kStages][kDepth][kPadded]);
  const int first_row = static_cast<int>(blockIdx.y) * kTile;
  const int first_column = static_cast<int>(blockIdx.x) * kTile;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp_row = static_cast<int>(threadIdx.x) / 64 * 16;
  const int warp_column = static_cast<int>(threadIdx.x) / 32 % 2 * 16;
  const int steps = (args.depth + kDepth - 1) / kDepth;
  float sums[2][4] = {};
  fetch_tile(a_tiles[0], args.a, args.rows, args.depth, first_row, 0);
  fetch_tile(b_tiles[0], args.b, args.depth, args.columns, 0, first_column);
  cp_async_commit();
  for (int step = 0; step < steps; ++step) {
    if (step + 1 < steps) {
      const int next = (step + 1) % kStages;
      fetch_tile(a_tiles[next], args.a, args.rows, args.depth, first_row, (step + 1) * kDepth);
      fetch_tile(b_tiles[next], args.b, args.depth, args.columns, (step + 1) * kDepth,
                 first_column);
      cp_async_commit();
      cp_async_wait<1>();
    } else {
      cp_async_wait<0>();
    }
    __syncthreads();
    const int stage = step % kStages;
    for (int k = 0; k < kDepth; k += 16) {
      unsigned a[4];
      unsigned b[4];  // two columns of tiles, 16 deep each
      ldmatrix<4>(a, &a_tiles[stage][warp_row + lane % 16][k + lane / 16 * 8]);
      ldmatrix<4, true>(b, &b_tiles[stage][k + lane % 16][warp_column + lane / 16 * 8]);
      const unsigned left[2] = {b[0], b[1]};
      const unsigned right[2] = {b[2], b[3]};
      mma_m16n8k16_bf16(sums[0], a, left);
      mma_m16n8k16_bf16(sums[1], a, right);
    }
    __syncthreads();
  }
  for (int half = 0; half < 2; ++half) {
    for (int i = 0; i < 4; ++i) {
      const int row = first_row + warp_row + lane / 4 + i / 2 * 8;
      const int column = first_column + warp_column + half * 8 + lane % 4 * 2 + i % 2;
      if (row < args.rows && column < args.columns) {
        args.out[static_cast<std::int64_t>(row) * args.columns + column] = sums[half][i];
      }
    }
  }
}

// A warp owns 16 x 8 of the result and reads its operands from global memory.
__global__ void product_tf32_kernel(const float* a, const float* b, float* out, int rows,
                                    int columns, int depth) {
  const int lane = static_cast<int>(threadIdx.x);
  const int row = static_cast<int>(blockIdx.y) * 16 + lane / 4;
  const int column = static_cast<int>(blockIdx.x) * 8 + lane / 4;
  float sums[4] = {};
  for (int k = 0; k < depth; k += 8) {
    const auto a_at = [&](int r, int c) {
      const bool inside = r < rows && c < depth;
      return to_tf32(inside ? a[static_cast<std::int64_t>(r) * depth + c] : 0.0F);
    };
    const auto b_at = [&](int r, int c) {
      const bool inside = r < depth && c < columns;
      return to_tf32(inside ? b[static_cast<std::int64_t>(r) * columns + c] : 0.0F);
    };
    const int c = k + lane % 4;
    const unsigned left[4] = {a_at(row, c), a_at(row + 8, c), a_at(row, c + 4),
                              a_at(row + 8, c + 4)};
    const unsigned right[2] = {b_at(c, column), b_at(c + 4, column)};
    mma_m16n8k8_tf32(sums, left, right);
  }
  for (int i = 0; i < 4; ++i) {
    const int r = row + i / 2 * 8;
    const int c = static_cast<int>(blockIdx.x) * 8 + lane % 4 * 2 + i % 2;
    if (r < rows && c < columns) out[static_cast<std::int64_t>(r) * columns + c] = sums[i];
  }
}

// A thread owns an element through all steps; blocks meet after each.
__global__ void smooth_kernel(float* x, float* y, int count, int steps) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  float* from = x;
  float* to = y;
  for (int step = 0; step < steps; ++step) {
    if (i < count) {
      to[i] = 0.25F * (from[(i + count - 1) % count] + 2 * from[i] + from[(i + 1) % count]);
    }
    grid_sync();
    float* const swapped = from;
    from = to;
    to = swapped;
  }
}

// Block b adds its slice to what block b - 1 hands on, once that one has raised its flag.
__global__ void relay_kernel(const float* in, int count, unsigned* flags, float* sums) {
  const int block = static_cast<int>(blockIdx.x);
  const int i = block * 32 + static_cast<int>(threadIdx.x);
  float sum = warp_sum(i < count ? in[i] : 0.0F);
  if (threadIdx.x != 0) return;
  if (block > 0) {
    while (load_relaxed<unsigned>(flags + block - 1) == 0) spin_pause();
    __threadfence();
    sum += sums[block - 1];
  }
  sums[block] = sum;
  __threadfence();
  store_relaxed(flags + block, 1);
}

__global__ void watch_count_kernel(unsigned* word, unsigned last, unsigned* found, int rounds) {
  if (blockIdx.x == 0) {
    for (unsigned count = 1; threadIdx.x == 0 && count <= last; ++count) {
      store_relaxed(word, count);
      spin_pause();
    }
    return;
  }
  for (int round = 0; round < rounds; ++round) {
    found[round * 64 + static_cast<int>(threadIdx.x)] = load_relaxed<unsigned>(word);
    __syncthreads();
  }
}

constexpr int kRing = 3;
constexpr int kRowFloats = 64;

// The last warp brings rows by bulk copies into a ring; two warps add them, a column each thread.
__global__ void stream_columns_kernel(const float* in, float* out, int rows) {
  SIMT_SHARED(float, ring, [kRing][kRowFloats]);
  SIMT_SHARED(std::uint64_t, full, [kRing]);
  SIMT_SHARED(std::uint64_t, free, [kRing]);
  if (threadIdx.x == 0) {
    for (int slot = 0; slot < kRing; ++slot) {
      mbarrier_init(&full[slot], 1);
      mbarrier_init(&free[slot], kRowFloats);
    }
    fence_mbarrier_init();
  }
  __syncthreads();
  if (threadIdx.x >= kRowFloats) {
    if (threadIdx.x != kRowFloats) return;
    for (int row = 0; row < rows; ++row) {
      const int slot = row % kRing;
      const unsigned round = static_cast<unsigned>(row / kRing);
      // The first round finds the phase before the first one complete.
      mbarrier_wait(&free[slot], (round & 1U) ^ 1U);
      constexpr int kBytes = kRowFloats * static_cast<int>(sizeof(float));
      mbarrier_arrive_expect(&full[slot], kBytes);
      bulk_copy(ring[slot], in + static_cast<std::int64_t>(row) * kRowFloats, kBytes, &full[slot]);
    }
    return;
  }
  float sum = 0;
  for (int row = 0; row < rows; ++row) {
    const int slot = row % kRing;
    mbarrier_wait(&full[slot], static_cast<unsigned>(row / kRing) & 1U);
    sum += ring[slot][threadIdx.x];
    mbarrier_arrive(&free[slot]);
  }
  out[threadIdx.x] = sum;
}

// Lanes with equal ids find each other; the first of them adds their number.
__global__ void count_ids_kernel(const int* ids, int count, unsigned* counts) {
  SIMT_SHARED(unsigned, block_counts, [32]);
  if (threadIdx.x < 32) block_counts[threadIdx.x] = 0;
  __syncthreads();
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int step = static_cast<int>(gridDim.x * blockDim.x);
  const int rounds = (count + step - 1) / step;
  for (int round = 0; round < rounds; ++round) {
    const int i = round * step + static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    const unsigned taking_part = __ballot_sync(kAll, i < count ? 1 : 0);
    if (i < count) {
      const unsigned equal = __match_any_sync(taking_part, ids[i]);
      const unsigned number = __reduce_add_sync(equal, 1U);
      if (lane == __ffs(static_cast<int>(equal)) - 1) atomicAdd(&block_counts[ids[i]], number);
    }
    __syncwarp();
  }
  __syncthreads();
  if (threadIdx.x < 32) atomicAdd(counts + threadIdx.x, block_counts[threadIdx.x]);
}

__global__ void divide_kernel(const std::int64_t* a, const std::int64_t* b, std::int64_t* out,
                              int count) {
  const auto i = static_cast<int>(threadIdx.x);
  if (i < count) out[i] = quotient(a[i], b[i]);
}

__global__ void find_rows_kernel(const unsigned* place, const unsigned* per_row, unsigned* out,
                                 int count) {
  const auto i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < count) out[i] = row_of_place(place[i], per_row[i]);
}

__global__ void thread_lines_kernel(unsigned across, unsigned* out) {
  const kernels::ThreadLines threads(across);
  out[threadIdx.x] = threads.line;
  out[blockDim.x + threadIdx.x] = threads.place;
  out[2 * blockDim.x + threadIdx.x] = threads.lines;
}

}  // namespace

namespace BRAID_GPU {

void sum(const kernels::Stream& stream, const float* in, std::int64_t count, float* partial,
         float* out) {
  launch_kernel<sum_kernel>({.grid = 5, .block = 96}, stream, in, count, partial);
  launch_kernel<sum_kernel>({.grid = 1, .block = 32}, stream, partial, 5, out);
}

void softmax(const kernels::Stream& stream, const float* in, float* out, int rows, int columns) {
  launch_kernel<softmax_kernel>(
      {.grid = rows, .block = 128, .shared = columns * static_cast<int>(sizeof(float))}, stream, in,
      out, columns);
}

void product(const kernels::Stream& stream, const Product& args) {
  launch_kernel<product_kernel>(
      {.grid = {(args.columns + kTile - 1) / kTile, (args.rows + kTile - 1) / kTile}, .block = 128},
      stream, args);
}

void product_tf32(const kernels::Stream& stream, const float* a, const float* b, float* out,
                  int rows, int columns, int depth) {
  launch_kernel<product_tf32_kernel>({.grid = {(columns + 7) / 8, (rows + 15) / 16}, .block = 32},
                                     stream, a, b, out, rows, columns, depth);
}

void smooth(const kernels::Stream& stream, float* x, float* y, int count, int steps) {
  launch_cooperative<smooth_kernel>({.grid = (count + 63) / 64, .block = 64}, stream, x, y, count,
                                    steps);
}

void relay(const kernels::Stream& stream, const float* in, int count, unsigned* flags,
           float* sums) {
  launch_cooperative<relay_kernel>({.grid = (count + 31) / 32, .block = 32}, stream, in, count,
                                   flags, sums);
}

void watch_count(const kernels::Stream& stream, unsigned* word, unsigned last, unsigned* found,
                 int rounds) {
  launch_cooperative<watch_count_kernel>({.grid = 2, .block = 64}, stream, word, last, found,
                                         rounds);
}

void stream_columns(const kernels::Stream& stream, const float* in, float* out, int rows) {
  launch_kernel<stream_columns_kernel>({.grid = 1, .block = 96}, stream, in, out, rows);
}

void count_ids(const kernels::Stream& stream, const int* ids, int count, unsigned* counts) {
  launch_kernel<count_ids_kernel>({.grid = 3, .block = 64}, stream, ids, count, counts);
}

void divide(const kernels::Stream& stream, const std::int64_t* a, const std::int64_t* b,
            std::int64_t* out, int count) {
  launch_kernel<divide_kernel>({.grid = 1, .block = 64}, stream, a, b, out, count);
}

void find_rows(const kernels::Stream& stream, const unsigned* place, const unsigned* per_row,
               unsigned* out, int count) {
  launch_kernel<find_rows_kernel>({.grid = blocks_for(count, 64), .block = 64}, stream, place,
                                  per_row, out, count);
}

void thread_lines(const kernels::Stream& stream, unsigned across, unsigned* out) {
  launch_kernel<thread_lines_kernel>({.grid = 1, .block = kernels::kDenseThreads}, stream, across,
                                     out);
}

}  // namespace BRAID_GPU
}  // namespace braid::samples
