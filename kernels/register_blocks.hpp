#pragma once
#include <cstdint>
#include <cstring>

#include "engine/core/matrix.hpp"
#if defined(__AVX2__)
#include <immintrin.h>
#endif

// Products of small matrices: register blocks of C stay in vector registers over the whole
// summation. Each element of C is summed in the order of k by one chain of fused multiply-adds, so
// it does not depend on how rows are cut into calls.
namespace braid::kernels {
namespace {

#if defined(__AVX512F__)
#define BRAID_LANES 16
#elif defined(__AVX2__) && !defined(BRAID_LANES)
#define BRAID_LANES 8
#elif !defined(BRAID_LANES)
#define BRAID_LANES 4
#endif
constexpr int kLanes = BRAID_LANES;
typedef float Vector __attribute__((vector_size(kLanes * sizeof(float))));

inline Vector load(const float* from) {
  Vector v;
  std::memcpy(&v, from, sizeof(v));
  return v;
}
inline void store(float* to, Vector v) { std::memcpy(to, &v, sizeof(v)); }

// To the second-level cache, for reading.
inline void prefetch(const float* from) { __builtin_prefetch(from, 0, 2); }

#if defined(__AVX2__) && BRAID_LANES == 8
inline __m256i first_lanes(int count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
#endif

// The first `count` lanes; the others are zero.
inline Vector load_first(const float* from, int count) {
#if defined(__AVX512F__)
  return (Vector)_mm512_maskz_loadu_ps(static_cast<__mmask16>((1U << count) - 1U), from);
#elif defined(__AVX2__) && BRAID_LANES == 8
  return (Vector)_mm256_maskload_ps(from, first_lanes(count));
#else
  Vector v{};
  for (int i = 0; i < count; ++i) v[i] = from[i];
  return v;
#endif
}
inline void store_first(float* to, Vector v, int count) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1U << count) - 1U), (__m512)v);
#elif defined(__AVX2__) && BRAID_LANES == 8
  _mm256_maskstore_ps(to, first_lanes(count), (__m256)v);
#else
  for (int i = 0; i < count; ++i) to[i] = v[i];
#endif
}

// C (+)= A . B over `depth`, for kRows rows and kVectors vectors of columns (the last one of `tail`
// lanes). A's element (r, k) lies at a + r * row_step + k * depth_step.
struct ProductOperands {
  const float* a;
  std::int64_t row_step;
  std::int64_t depth_step;
  const float* b = nullptr;
  std::int64_t b_stride = 0;
  const float* bias = nullptr;  // added to every row; may be null
  float* c;
  std::int64_t c_stride;
  std::int64_t depth;
  int tail = 0;
  bool accumulate = false;
  // So far beyond each element of A lies one that is needed later, and is asked for now; or beyond
  // the matrix, as nothing is read there.
  std::int64_t ahead = 0;
};

// All but B of a product of the rows of A.
inline ProductOperands operands_of_rows(Matrix<const float> a, const float* bias, Matrix<float> c,
                                        bool accumulate) {
  return {.a = a.data,
          .row_step = a.stride,
          .depth_step = 1,
          .bias = bias,
          .c = c.data,
          .c_stride = c.stride,
          .depth = a.columns,
          .accumulate = accumulate};
}

// All but B of a product of the columns of A.
inline ProductOperands operands_of_columns(Matrix<const float> a, Matrix<float> c,
                                           bool accumulate) {
  return {.a = a.data,
          .row_step = 1,
          .depth_step = a.stride,
          .c = c.data,
          .c_stride = c.stride,
          .depth = a.rows,
          .accumulate = accumulate};
}

// A function of its own, wherever it is used: inside of others the compiler keeps what is summed up
// in memory.
template <int kRows, int kVectors, bool kFull>
__attribute__((noinline)) void product_block(const ProductOperands& p) {
  Vector sum[kRows][kVectors];
  const auto read = [&](const float* from, int v) {
    return kFull || v + 1 < kVectors ? load(from + v * kLanes)
                                     : load_first(from + v * kLanes, p.tail);
  };
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      sum[r][v] = p.accumulate ? read(p.c + r * p.c_stride, v)
                               : (p.bias != nullptr ? read(p.bias, v) : Vector{});
    }
  }
  const float* a = p.a;
  const float* b = p.b;
  const auto add = [&] {
    Vector row[kVectors];
    for (int v = 0; v < kVectors; ++v) row[v] = read(b, v);
    for (int r = 0; r < kRows; ++r) {
      const float factor = a[r * p.row_step];
      for (int v = 0; v < kVectors; ++v) sum[r][v] += factor * row[v];
    }
    a += p.depth_step;
    b += p.b_stride;
  };
  if (p.ahead == 0) {
    for (std::int64_t k = 0; k < p.depth; ++k) add();
  } else {
    for (std::int64_t k = 0; k < p.depth; ++k) {
      prefetch(a + p.ahead);
      add();
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      float* to = p.c + r * p.c_stride + v * kLanes;
      if (kFull || v + 1 < kVectors) {
        store(to, sum[r][v]);
      } else {
        store_first(to, sum[r][v], p.tail);
      }
    }
  }
}

// The most rows whose sums fit the registers beside a row of B and a factor.
constexpr int block_rows(int vectors) {
  if (kLanes == 16) return vectors <= 2 ? 12 : 6;
  return vectors == 1 ? 12 : vectors == 2 ? 6 : vectors <= 4 ? 3 : 1;
}

template <int kVectors, bool kFull, int kRows = block_rows(kVectors)>
inline void block_of_rows(const ProductOperands& p, std::int64_t rows) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return block_of_rows<kVectors, kFull, kRows - 1>(p, rows);
  }
  product_block<kRows, kVectors, kFull>(p);
}

// Full blocks, the last two of nearly equal size: a short one would wait for its own sums.
template <int kVectors, bool kFull>
inline void product_rows(ProductOperands p, std::int64_t rows) {
  constexpr int kMost = block_rows(kVectors);
  while (rows > 0) {
    const std::int64_t size = rows >= 2 * kMost ? kMost : rows > kMost ? (rows + 1) / 2 : rows;
    block_of_rows<kVectors, kFull>(p, size);
    p.a += size * p.row_step;
    p.c += size * p.c_stride;
    rows -= size;
  }
}

// As many times kVectors vectors as the columns hold.
template <int kVectors>
inline void multiply_full_columns(ProductOperands& p, std::int64_t rows, std::int64_t& columns) {
  constexpr std::int64_t kWidth = kVectors * kLanes;
  for (; columns >= kWidth; columns -= kWidth) {
    product_rows<kVectors, true>(p, rows);
    p.b += kWidth;
    p.c += kWidth;
    if (p.bias != nullptr) p.bias += kWidth;
  }
}

// C [rows, columns] (+)= A . B [depth, columns] (+ bias).
inline void multiply(ProductOperands p, std::int64_t rows, std::int64_t columns) {
  if constexpr (kLanes == 16) {
    multiply_full_columns<4>(p, rows, columns);
  } else if (rows == 1) {
    multiply_full_columns<8>(p, rows, columns);
  } else if (rows <= 3) {
    multiply_full_columns<4>(p, rows, columns);
  }
  multiply_full_columns<2>(p, rows, columns);
  if (columns > kLanes) {
    p.tail = static_cast<int>(columns - kLanes);
    product_rows<2, false>(p, rows);
  } else if (columns == kLanes) {
    product_rows<1, true>(p, rows);
  } else if (columns > 0) {
    p.tail = static_cast<int>(columns);
    product_rows<1, false>(p, rows);
  }
}

}  // namespace
}  // namespace braid::kernels
