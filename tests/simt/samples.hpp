#pragma once
#include <cstdint>

#include "kernels/launch.hpp"

// Small kernels of every kind that the library will have. They test the emulated device: each must
// give the right numbers in every order of its threads.
namespace braid::samples {

struct Product {
  const std::uint16_t* a;  // [rows, depth]     bfloat16
  const std::uint16_t* b;  // [depth, columns]  bfloat16
  float* out;              // [rows, columns]
  int rows;
  int columns;  // a multiple of 8
  int depth;    // a multiple of 8
};

#define BRAID_SAMPLES(backend)                                                                    \
  namespace backend {                                                                             \
  /* *out = sum of in[count] */                                                                   \
  void sum(const kernels::Stream&, const float* in, std::int64_t count, float* partial,           \
           float* out);                                                                           \
  /* out = softmax of each row of in [rows, columns] */                                           \
  void softmax(const kernels::Stream&, const float* in, float* out, int rows, int columns);       \
  /* out = a . b, with cp.async, ldmatrix and mma */                                              \
  void product(const kernels::Stream&, const Product&);                                           \
  /* the same of float32 operands in tf32; columns and depth as they come */                      \
  void product_tf32(const kernels::Stream&, const float* a, const float* b, float* out, int rows, \
                    int columns, int depth);                                                      \
  /* `steps` times x[i] = (x[i - 1] + 2 x[i] + x[i + 1]) / 4 on a ring of `count`, by one         \
     cooperative kernel; x and y [count] hold the result in turn */                               \
  void smooth(const kernels::Stream&, float* x, float* y, int count, int steps);                  \
  /* out[0] = sum of in[count], handed from block to block by flags, which start as 0 */          \
  void relay(const kernels::Stream&, const float* in, int count, unsigned* flags, float* sums);   \
  /* found [rounds, 64] is what the threads of one block find in a word, which starts as 0 and    \
     that another block counts up to `last`, with a barrier behind each round */                  \
  void watch_count(const kernels::Stream&, unsigned* word, unsigned last, unsigned* found,        \
                   int rounds);                                                                   \
  /* out[c] = sum over the rows of in [rows, 64], streamed through a ring of bulk copies */       \
  void stream_columns(const kernels::Stream&, const float* in, float* out, int rows);             \
  /* counts[v] = how many of ids[count] are v, by ballot, match and atomics; v < 32 */            \
  void count_ids(const kernels::Stream&, const int* ids, int count, unsigned* counts);            \
  /* out[i] = a[i] / b[i] of numbers [count] that are not negative */                             \
  void divide(const kernels::Stream&, const std::int64_t* a, const std::int64_t* b,               \
              std::int64_t* out, int count);                                                      \
  /* out[i] = the row of place[i] of rows that have per_row[i] places, all [count] */             \
  void find_rows(const kernels::Stream&, const unsigned* place, const unsigned* per_row,          \
                 unsigned* out, int count);                                                       \
  /* how a block of 256 threads falls into lines of `across`: out[t] of thread t is its line, its \
     place there, and how many lines there are, each of [256] */                                  \
  void thread_lines(const kernels::Stream&, unsigned across, unsigned* out);                      \
  }
BRAID_SAMPLES(emulated)
BRAID_SAMPLES(cuda)

}  // namespace braid::samples
