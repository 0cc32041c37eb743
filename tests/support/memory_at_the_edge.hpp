#pragma once
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

#include "engine/core/matrix.hpp"
#include "tests/support/guarded_matrix.hpp"

namespace braid::testing {

// Full of NaN, as memory of a device. Whoever reads or writes behind it does not live.
class MemoryAtTheEdge {
 public:
  explicit MemoryAtTheEdge(std::int64_t bytes) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const auto size = static_cast<std::size_t>(bytes);
    const std::size_t ours = (size + page - 1) / page * page;
    bytes_ = ours + page;
    start_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start_ == MAP_FAILED) throw std::bad_alloc();
    auto* const edge = static_cast<std::byte*>(start_) + ours;
    std::memset(start_, 0xFF, ours);
    mprotect(edge, page, PROT_NONE);
    data_ = edge - size;
  }
  ~MemoryAtTheEdge() { munmap(start_, bytes_); }
  MemoryAtTheEdge(const MemoryAtTheEdge&) = delete;
  MemoryAtTheEdge& operator=(const MemoryAtTheEdge&) = delete;
  void* data() const { return data_; }

 private:
  void* start_ = nullptr;
  std::size_t bytes_ = 0;
  void* data_ = nullptr;
};

// A matrix without gaps that ends there.
class MatrixAtTheEdge {
 public:
  MatrixAtTheEdge(const Numbers& values, std::int64_t columns)
      : rows_(columns == 0 ? 0 : static_cast<std::int64_t>(values.size()) / columns),
        columns_(columns),
        memory_(rows_ * columns * static_cast<std::int64_t>(sizeof(float))) {
    for (std::size_t i = 0; i < values.size(); ++i) data()[i] = static_cast<float>(values[i]);
  }
  float* data() const { return static_cast<float*>(memory_.data()); }
  Matrix<float> matrix() const { return {data(), rows_, columns_, columns_}; }
  Numbers values() const { return {data(), data() + rows_ * columns_}; }

 private:
  std::int64_t rows_;
  std::int64_t columns_;
  MemoryAtTheEdge memory_;
};

}  // namespace braid::testing
