#pragma once
#include <cstddef>
#include <memory>
#include <vector>

#include "engine/runtime/program.hpp"

namespace braid {

// What a run depends on beside its inputs.
struct RunState {
  std::uint64_t seed = 0;  // of dropout
  std::uint64_t step = 0;
};

// Memory for runs of one program at a time; it grows to the largest program it has met and
// allocates nothing after that.
class Workspace {
 public:
  explicit Workspace(kernels::Stream stream = {}) : stream_(stream) {}

  // Runs the program. `inputs` holds one pointer for each graph input, to packed elements of the
  // planned shapes; null for inputs that the program does not read.
  void run(const Program& program, const std::vector<const std::byte*>& inputs,
           const RunState& state = {});

  // The n-th output of the program run last: valid until the next run.
  template <class T>
  Matrix<const T> output(const Program& program, std::size_t index) const {
    const Operand& operand = program.outputs()[index];
    const std::int64_t rows = operand.rows * (operand.batched ? program.batch() : 1);
    return {reinterpret_cast<const T*>(base_of(operand) + operand.offset), rows, operand.columns,
            operand.stride};
  }

  std::int64_t bytes() const;
  // Overwrites all memory, the outputs too: shows what a run reads before it has written it.
  void fill(std::byte pattern);

 private:
  struct Buffer {
    std::byte* reserve(std::int64_t bytes);
    std::byte* data = nullptr;
    std::int64_t capacity = 0;
    std::unique_ptr<std::byte[]> storage;
  };

  // Throws std::bad_alloc.
  void reserve(const Program& program);
  void bind(const Program& program, const std::vector<const std::byte*>& inputs);
  void run_rows(const Program& program, const Program::Stage& stage, const RunState& state);
  void run_whole(const Program& program, const Program::Stage& stage, const RunState& state);
  void add_slices(const Program& program, const Program::Stage& stage);
  const std::byte* base_of(const Operand& operand) const {
    return bases_.front()[static_cast<std::size_t>(operand.base)];
  }

  kernels::Stream stream_;
  Buffer arena_;
  std::vector<Buffer> tiles_;  // one a worker
  std::vector<Buffer> scratches_;
  std::vector<std::vector<std::byte*>> bases_;  // one a worker
  std::uint64_t bound_ = 0;                     // id of the program
};

}  // namespace braid
