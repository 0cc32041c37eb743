#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "kernels/simt/machine.hpp"

namespace braid::simt {

// All bytes set: NaN as float, half and bfloat16, -1 as an integer.
constexpr int kPoison = 0xFF;

// The shared memory of one block: arrays between red zones, everything poisoned.
class SharedMemory {
 public:
  // Starts a block with nothing but its dynamic memory.
  void start(std::size_t dynamic_bytes);
  std::byte* array(const SharedArray& declaration);
  std::byte* dynamic() const { return pieces_.front().data; }
  bool holds(const void* address, std::size_t bytes) const;
  // Which array a kernel wrote beyond; empty if none.
  std::string damage() const;

 private:
  struct Piece {
    const SharedArray* declaration;  // absent: dynamic memory
    std::byte* data;
    std::size_t bytes;
  };
  std::byte* carve(const SharedArray* declaration, std::size_t bytes, std::size_t alignment);

  std::unique_ptr<std::byte[]> arena_;
  std::size_t used_ = 0;
  std::size_t static_bytes_ = 0;
  std::vector<Piece> pieces_;
};

}  // namespace braid::simt
