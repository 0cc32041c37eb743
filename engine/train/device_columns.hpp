#pragma once
#include <vector>

#include "engine/runtime/program.hpp"
#include "engine/train/gathering.hpp"

namespace braid {

// A column of bound data in the memory of a device; ragged ones with their row splits, without
// padding.
struct DeviceColumn {
  kernels::GatheredColumn source;
  int value;  // which graph input
  int ends;   // the one that masks its row ends, or -1
};

// Whether a program reads anything that is fed so.
bool is_read(const Program& program, const Feed& feed);

// Fills a program's inputs with the rows of a batch.
void gather(const kernels::Stream& stream, const Program& program,
            const std::vector<DeviceColumn>& columns, const std::vector<std::byte*>& inputs,
            kernels::GatherBatch batch);

}  // namespace braid
