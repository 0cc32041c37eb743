#pragma once
#include "engine/core/matrix.hpp"
#include "kernels/host_device.hpp"
#include "kernels/simt/facade.hpp"

// Rows of floats in kernels: one or several columns at a time.
namespace braid::simt {

// An element of a matrix; where the indices have 32 bits, no place of its rows is further away.
template <class T, class Index>
__device__ inline T* element(const Matrix<T>& matrix, Index row, Index column) {
  return matrix.data + (row * static_cast<Index>(matrix.stride) + column);
}

template <int Width>
struct Floats;

template <>
struct Floats<1> {
  float value = 0;

  static __device__ Floats load(const float* from) { return {*from}; }
  __device__ void store(float* to) const { *to = value; }
  __device__ Floats& operator+=(const Floats& more) {
    value += more.value;
    return *this;
  }
  template <class Function>
  __device__ Floats each(const Function& function) const {
    return {function(value)};
  }
  template <class Function>
  __device__ Floats each(const Floats& b, const Function& function) const {
    return {function(value, b.value)};
  }
};

template <>
struct Floats<4> {
  float4 value = {0, 0, 0, 0};

  static __device__ Floats load(const float* from) { return {ld_vec<float4>(from)}; }
  __device__ void store(float* to) const { st_vec(to, value); }
  __device__ Floats& operator+=(const Floats& more) {
    value.x += more.value.x;
    value.y += more.value.y;
    value.z += more.value.z;
    value.w += more.value.w;
    return *this;
  }
  template <class Function>
  __device__ Floats each(const Function& function) const {
    return {{function(value.x), function(value.y), function(value.z), function(value.w)}};
  }
  template <class Function>
  __device__ Floats each(const Floats& b, const Function& function) const {
    return {{function(value.x, b.value.x), function(value.y, b.value.y),
             function(value.z, b.value.z), function(value.w, b.value.w)}};
  }
};

// One, two or four floats at once.
template <int kCount>
__device__ inline void load_floats(const float* from, float (&values)[kCount]) {
  static_assert(kCount == 1 || kCount == 2 || kCount == 4);
  if constexpr (kCount == 1) values[0] = *from;
  if constexpr (kCount == 2) {
    const auto pair = ld_vec<float2>(from);
    values[0] = pair.x;
    values[1] = pair.y;
  }
  if constexpr (kCount == 4) {
    const auto four = ld_vec<float4>(from);
    values[0] = four.x;
    values[1] = four.y;
    values[2] = four.z;
    values[3] = four.w;
  }
}
template <int kCount>
__device__ inline void store_floats(float* to, const float (&values)[kCount]) {
  static_assert(kCount == 1 || kCount == 2 || kCount == 4);
  if constexpr (kCount == 1) *to = values[0];
  if constexpr (kCount == 2) st_vec(to, make_float2(values[0], values[1]));
  if constexpr (kCount == 4) st_vec(to, make_float4(values[0], values[1], values[2], values[3]));
}

// True where all rows can be read and written in fours.
template <class... T>
BRAID_HOST_DEVICE bool in_fours(const Matrix<T>&... matrices) {
  const auto fits = [](const auto& m) {
    return !m || (reinterpret_cast<std::uintptr_t>(m.data) % 16 == 0 && m.columns % 4 == 0 &&
                  (m.stride % 4 == 0 || m.rows <= 1));
  };
  return (fits(matrices) && ...);
}

}  // namespace braid::simt
