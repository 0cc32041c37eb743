#pragma once
#include <memory>
#include <vector>

#include "engine/runtime/device_array.hpp"
#include "engine/train/gathering.hpp"

namespace braid {

// The columns of bound data in the memory of a device, in the type in which they came; ragged ones
// with their row splits, without padding.
class ResidentColumns {
 public:
  // Columns that the programs of the step graph read. OutOfMemory.
  ResidentColumns(Device device, const StepGraph& step, const Program& program, const Bound& bound);

  // What they take.
  static std::int64_t bytes(const StepGraph& step, const Program& program, const Bound& bound);

  // Fills a program's inputs with the rows of a batch.
  void gather(const kernels::Stream& stream, const Program& program,
              const std::vector<std::byte*>& inputs, kernels::GatherBatch batch) const;

 private:
  struct Column {
    kernels::GatheredColumn source;
    int value;  // which graph input
    int ends;   // the one that masks its row ends, or -1
    DeviceArray<std::byte> values;
    DeviceArray<std::int64_t> splits;
  };

  std::vector<Column> columns_;
};

}  // namespace braid
