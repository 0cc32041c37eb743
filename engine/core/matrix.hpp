#pragma once
#include <cstdint>

namespace braid {

// Rows of equal length in somebody else's memory: what kernels read and write. All axes but the
// last are counted as rows, in order. `stride` (elements from one row to the next) is `columns`, or
// more in a column slice of a wider matrix. An absent operand is the empty matrix, data == nullptr.
template <class T>
struct Matrix {
  T* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t stride = 0;

  constexpr T* row(std::int64_t index) const { return data + index * stride; }
  constexpr bool packed() const { return stride == columns || rows <= 1; }
  constexpr explicit operator bool() const { return data != nullptr; }
  constexpr operator Matrix<const T>() const { return {data, rows, columns, stride}; }
};

template <class T>
constexpr Matrix<T> rows_of(const Matrix<T>& all, std::int64_t first, std::int64_t count) {
  return {all.row(first), count, all.columns, all.stride};
}
template <class T>
constexpr Matrix<T> columns_of(const Matrix<T>& all, std::int64_t first, std::int64_t count) {
  return {all.data + first, all.rows, count, all.stride};
}

}  // namespace braid
