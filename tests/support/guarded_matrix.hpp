#pragma once
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "engine/core/matrix.hpp"
#include "tests/support/kernel_launch.hpp"

// What tests of kernels share: random numbers, and memory that shows where a kernel wrote.
namespace braid::testing {

using Numbers = std::vector<double>;

class RandomNumbers {
 public:
  explicit RandomNumbers(std::uint64_t seed) : state_(seed) {}
  std::uint64_t bits() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31U);
  }
  double uniform(double low, double high) {
    return low + (high - low) * static_cast<double>(bits() >> 11U) * 0x1p-53;
  }
  std::int64_t below(std::int64_t limit) {
    return static_cast<std::int64_t>(bits() % static_cast<std::uint64_t>(limit));
  }
  // Rounded to float, so that kernels and references see the same numbers.
  std::vector<double> floats(std::int64_t count, double low, double high) {
    std::vector<double> values(static_cast<std::size_t>(count));
    for (double& value : values)
      value = static_cast<double>(static_cast<float>(uniform(low, high)));
    return values;
  }

 private:
  std::uint64_t state_;
};

// Rows with a gap behind each and guards around all of them. Everything starts as NaN (or an odd
// integer), so what a kernel failed to write, read too far or wrote too far comes to light.
template <class T>
class GuardedMatrix {
 public:
  GuardedMatrix() = default;
  GuardedMatrix(std::int64_t rows, std::int64_t columns, std::int64_t gap = 0)
      : rows_(rows),
        columns_(columns),
        stride_(columns + gap),
        storage_(static_cast<std::size_t>(kGuard + rows * (columns + gap) + kGuardBehind),
                 poison()) {}
  GuardedMatrix(const std::vector<double>& values, std::int64_t columns, std::int64_t gap = 0)
      : GuardedMatrix(columns == 0 ? 0 : static_cast<std::int64_t>(values.size()) / columns,
                      columns, gap) {
    fill(values);
  }

  void fill(const std::vector<double>& values) {
    for (std::int64_t n = 0; n < rows_ * columns_; ++n) {
      matrix().row(n / columns_)[n % columns_] =
          static_cast<T>(values[static_cast<std::size_t>(n)]);
    }
  }
  Matrix<T> matrix() {
    if (storage_.empty()) return {};
    return {storage_.data() + kGuard, rows_, columns_, stride_};
  }
  T* data() { return matrix().data; }
  std::vector<double> values() {
    std::vector<double> out;
    for (std::int64_t r = 0; r < rows_; ++r) {
      for (std::int64_t c = 0; c < columns_; ++c) {
        out.push_back(static_cast<double>(matrix().row(r)[c]));
      }
    }
    return out;
  }
  // The elements as they are, NaN and all.
  std::vector<T> elements() {
    std::vector<T> out;
    for (std::int64_t r = 0; r < rows_; ++r) {
      out.insert(out.end(), matrix().row(r), matrix().row(r) + columns_);
    }
    return out;
  }
  bool guards_are_intact() const {
    const std::int64_t size = static_cast<std::int64_t>(storage_.size());
    for (std::int64_t i = 0; i < size; ++i) {
      const std::int64_t inside = i - kGuard;
      const bool ours = inside >= 0 && inside < rows_ * stride_ && inside % stride_ < columns_;
      const T expected = poison();
      if (!ours && std::memcmp(&storage_[static_cast<std::size_t>(i)], &expected, sizeof(T)) != 0) {
        return false;
      }
    }
    return true;
  }

 private:
  static constexpr std::int64_t kGuard = 32;
#if defined(__SANITIZE_ADDRESS__)
  static constexpr std::int64_t kGuardBehind = 0;  // the sanitizer's own begins, which sees reads
#else
  static constexpr std::int64_t kGuardBehind = kGuard;
#endif
  static T poison() {
    if constexpr (std::numeric_limits<T>::has_quiet_NaN) {
      return std::numeric_limits<T>::quiet_NaN();
    } else {
      return static_cast<T>(0x5a5a5a5a);
    }
  }
  std::int64_t rows_ = 0;
  std::int64_t columns_ = 0;
  std::int64_t stride_ = 0;
  KernelMemory<T> storage_;
};

// 256-byte aligned memory, as a GPU has it, full of NaN, with guards.
class GuardedScratch {
 public:
  explicit GuardedScratch(std::int64_t bytes)
      : bytes_(bytes), storage_(bytes + 3 * kGuard, kPoison) {
    const auto address = std::bit_cast<std::uintptr_t>(storage_.data()) + kGuard;
    start_ = storage_.data() + kGuard + (kGuard - address % kGuard) % kGuard;
  }
  GuardedScratch(const GuardedScratch&) = delete;
  GuardedScratch& operator=(const GuardedScratch&) = delete;
  void* data() { return start_; }
  bool guards_are_intact() const {
    for (std::int64_t i = 1; i <= kGuard; ++i) {
      if (start_[-i] != kPoison || start_[bytes_ + i - 1] != kPoison) return false;
    }
    return true;
  }

 private:
  static constexpr std::int64_t kGuard = 256;
  static constexpr unsigned char kPoison = 0xff;
  std::int64_t bytes_;
  KernelMemory<unsigned char> storage_;
  unsigned char* start_ = nullptr;
};

// The largest difference, in units of the largest magnitude of what was expected (at least
// `floor`); infinite where a number is missing.
inline double largest_error(const std::vector<double>& got, const std::vector<double>& expected,
                            double floor = 1e-3) {
  if (got.size() != expected.size()) return INFINITY;
  double scale = floor;
  for (const double value : expected) scale = std::fmax(scale, std::fabs(value));
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double error = std::fabs(got[i] - expected[i]) / scale;
    if (!(error <= worst)) worst = std::isnan(error) ? INFINITY : error;
  }
  return worst;
}

}  // namespace braid::testing
