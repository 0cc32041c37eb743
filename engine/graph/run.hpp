#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include <braid/dtype.hpp>
#include <braid/shape.hpp>

#include "engine/core/matrix.hpp"
#include "kernels/dropout.hpp"
#include "kernels/launch.hpp"
#include "kernels/library_memory.hpp"
#include "kernels/other_cores.hpp"
#include "kernels/precision.hpp"

namespace braid {

// Where one operand of a planned op lies: `base` picks a pointer of the frame, the rest says which
// matrix is there.
struct Operand {
  std::int32_t base = -1;  // -1: absent
  bool batched = false;
  bool tile_local = false;           // storage holds one tile's rows only
  std::int64_t offset = 0;           // bytes from the base
  std::int64_t batch_row_bytes = 0;  // from one row of the batch to the next
  std::int64_t slice_bytes = 0;      // a sum over rows: from one slice's block to the next
  std::int64_t slices = 1;           // an output that is to be added up later: from so many
  std::int64_t rows = 0;  // matrix rows: of one batch row where batched, else of the whole
  std::int64_t columns = 0;
  std::int64_t stride = 0;  // elements
  Shape shape;              // of the whole value
};

// Shared by all ops of one pass over one tile (or one part).
struct Frame {
  std::byte* const* bases = nullptr;
  std::int64_t first_row = 0;  // of the batch
  std::int64_t rows = 0;       // of this tile
  std::int64_t batch = 0;      // rows of the whole batch
  std::int64_t slice = 0;      // which slice of the rows this tile belongs to
  bool accumulate = false;     // add to sums over rows instead of overwriting them
  std::int64_t part = 0;
  std::int64_t parts = 1;
  std::byte* scratch = nullptr;
  std::int64_t scratch_bytes = 0;
  const kernels::RandomState* random_state = nullptr;  // of dropout, in the device's memory
  kernels::Precision precision = kernels::Precision::float32;
  kernels::Stream stream;
  kernels::OtherCores others;  // that have nothing to do meanwhile
};

// What an op sees when it is run: its operands as matrices, cut to the rows of the tile.
class Run {
 public:
  Run(const Frame& frame, const std::vector<Operand>& inputs, const std::vector<Operand>& outputs)
      : frame_(frame), inputs_(inputs), outputs_(outputs) {}

  template <class T>
  Matrix<const T> in(std::size_t index) const {
    return resolve<const T>(inputs_[index]);
  }
  template <class T>
  Matrix<T> out(std::size_t index) const {
    return resolve<T>(outputs_[index]);
  }
  bool has_in(std::size_t index) const { return inputs_[index].base >= 0; }
  bool has_out(std::size_t index) const { return outputs_[index].base >= 0; }
  std::size_t inputs() const { return inputs_.size(); }
  bool in_batched(std::size_t index) const { return inputs_[index].batched; }
  bool out_batched(std::size_t index) const { return outputs_[index].batched; }
  const Shape& in_shape(std::size_t index) const { return inputs_[index].shape; }
  const Shape& out_shape(std::size_t index) const { return outputs_[index].shape; }

  // Sums that an output wants instead of one (Op::sums_on_device), and the floats from one to the
  // next.
  std::int64_t sums(std::size_t index) const { return outputs_[index].slices; }
  std::int64_t floats_of_sum(std::size_t index) const {
    return outputs_[index].slice_bytes / static_cast<std::int64_t>(sizeof(float));
  }

  std::int64_t first_row() const { return frame_.first_row; }
  std::int64_t rows() const { return frame_.rows; }
  std::int64_t batch() const { return frame_.batch; }
  bool accumulate() const { return frame_.accumulate; }
  std::int64_t part() const { return frame_.part; }
  std::int64_t parts() const { return frame_.parts; }
  std::byte* scratch() const { return frame_.scratch; }
  kernels::LibraryMemory memory_for_library() const {
    return {frame_.scratch, frame_.scratch_bytes};
  }
  const kernels::RandomState* random_state() const { return frame_.random_state; }
  kernels::Precision precision() const { return frame_.precision; }
  const kernels::OtherCores& others() const { return frame_.others; }

  // Whether operands may be looked at here.
  bool on_host() const {
    const kernels::Backend backend = frame_.stream.backend;
    return backend != kernels::Backend::emulated && backend != kernels::Backend::cuda;
  }

  template <class Arguments>
  void launch(const Arguments& arguments) const {
    kernels::launch(frame_.stream, arguments);
  }

 private:
  template <class T>
  Matrix<T> resolve(const Operand& operand) const {
    if (operand.base < 0) return {};
    std::byte* data = frame_.bases[operand.base] + operand.offset;
    if (!operand.batched) {
      data += frame_.slice * operand.slice_bytes;
      return {reinterpret_cast<T*>(data), operand.rows, operand.columns, operand.stride};
    }
    if (!operand.tile_local) data += frame_.first_row * operand.batch_row_bytes;
    return {reinterpret_cast<T*>(data), operand.rows * frame_.rows, operand.columns,
            operand.stride};
  }

  const Frame& frame_;
  const std::vector<Operand>& inputs_;
  const std::vector<Operand>& outputs_;
};

}  // namespace braid
