#pragma once
#include <cstdint>
#include <cstring>

#include "engine/core/matrix.hpp"
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

// Products of small matrices: register blocks of C stay in vector registers over the whole
// summation. Each element of C is summed in the order of k by one chain of fused multiply-adds, so
// it does not depend on how rows are cut into calls.
namespace braid::kernels {
namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif
typedef float Vector __attribute__((vector_size(kLanes * sizeof(float))));

inline Vector load(const float* from) {
  Vector v;
  std::memcpy(&v, from, sizeof(v));
  return v;
}
inline void store(float* to, Vector v) { std::memcpy(to, &v, sizeof(v)); }

// The first `count` lanes; the others are zero.
inline Vector load_first(const float* from, int count) {
#if defined(__AVX512F__)
  return (Vector)_mm512_maskz_loadu_ps(static_cast<__mmask16>((1U << count) - 1U), from);
#else
  Vector v{};
  for (int i = 0; i < count; ++i) v[i] = from[i];
  return v;
#endif
}
inline void store_first(float* to, Vector v, int count) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1U << count) - 1U), (__m512)v);
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
  const float* b;
  std::int64_t b_stride;
  const float* bias;  // added to every row; may be null
  float* c;
  std::int64_t c_stride;
  std::int64_t depth;
  int tail;
  bool accumulate;
};

template <int kRows, int kVectors, bool kFull>
__attribute__((always_inline)) inline void product_block(const ProductOperands& p) {
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
  for (std::int64_t k = 0; k < p.depth; ++k) {
    Vector row[kVectors];
    for (int v = 0; v < kVectors; ++v) row[v] = read(b, v);
    for (int r = 0; r < kRows; ++r) {
      const float factor = a[r * p.row_step];
      for (int v = 0; v < kVectors; ++v) sum[r][v] += factor * row[v];
    }
    a += p.depth_step;
    b += p.b_stride;
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

template <int kVectors, bool kFull>
inline void product_rows(ProductOperands p, std::int64_t rows) {
  constexpr int kBlock = kLanes == 16 ? (kVectors == 1 ? 12 : (kVectors == 2 ? 12 : 6))
                                      : (kVectors == 1 ? 6 : (kVectors == 2 ? 6 : 2));
  const auto step = [&](std::int64_t done) {
    p.a += done * p.row_step;
    p.c += done * p.c_stride;
    rows -= done;
  };
  while (rows >= kBlock) {
    product_block<kBlock, kVectors, kFull>(p);
    step(kBlock);
  }
  if constexpr (kBlock > 6) {
    while (rows >= 6) {
      product_block<6, kVectors, kFull>(p);
      step(6);
    }
  }
  if constexpr (kBlock > 4) {
    while (rows >= 4) {
      product_block<4, kVectors, kFull>(p);
      step(4);
    }
  }
  while (rows >= 2) {
    product_block<2, kVectors, kFull>(p);
    step(2);
  }
  while (rows >= 1) {
    product_block<1, kVectors, kFull>(p);
    step(1);
  }
}

// C [rows, columns] (+)= A . B [depth, columns] (+ bias).
inline void multiply(ProductOperands p, std::int64_t rows, std::int64_t columns) {
  constexpr int kWide = 4;
  const auto step = [&](std::int64_t done) {
    p.b += done;
    p.c += done;
    if (p.bias != nullptr) p.bias += done;
    columns -= done;
  };
  while (columns >= kWide * kLanes) {
    product_rows<kWide, true>(p, rows);
    step(kWide * kLanes);
  }
  while (columns >= 2 * kLanes) {
    product_rows<2, true>(p, rows);
    step(2 * kLanes);
  }
  while (columns >= kLanes) {
    product_rows<1, true>(p, rows);
    step(kLanes);
  }
  if (columns > 0) {
    p.tail = static_cast<int>(columns);
    product_rows<1, false>(p, rows);
  }
}

// C = A . B + bias.
inline void product(Matrix<const float> a, Matrix<const float> b, const float* bias,
                    Matrix<float> c, bool accumulate) {
  multiply(
      {a.data, a.stride, 1, b.data, b.stride, bias, c.data, c.stride, a.columns, 0, accumulate},
      a.rows, b.columns);
}

// C (+)= A^T . B: the sum runs over the rows of both, in order.
inline void product_transposed_a(Matrix<const float> a, Matrix<const float> b, Matrix<float> c,
                                 bool accumulate) {
  multiply(
      {a.data, 1, a.stride, b.data, b.stride, nullptr, c.data, c.stride, a.rows, 0, accumulate},
      a.columns, b.columns);
}

// C (+)= A . B^T, for B [columns of C, depth]: panels of B are turned round on the stack.
inline void product_transposed_b(Matrix<const float> a, Matrix<const float> b, Matrix<float> c,
                                 bool accumulate) {
  constexpr int kWidth = 2 * kLanes;
  constexpr std::int64_t kDepth = 256;
  alignas(64) float panel[kDepth * kWidth];
  for (std::int64_t column = 0; column < b.rows; column += kWidth) {
    const std::int64_t width = b.rows - column < kWidth ? b.rows - column : kWidth;
    for (std::int64_t first = 0; first < a.columns || first == 0; first += kDepth) {
      const std::int64_t depth = a.columns - first < kDepth ? a.columns - first : kDepth;
      for (std::int64_t j = 0; j < width; ++j) {
        const float* source = b.row(column + j) + first;
        for (std::int64_t k = 0; k < depth; ++k) panel[k * kWidth + j] = source[k];
      }
      multiply({a.data + first, a.stride, 1, panel, kWidth, nullptr, c.data + column, c.stride,
                depth, 0, accumulate || first > 0},
               a.rows, width);
    }
  }
}

}  // namespace
}  // namespace braid::kernels
