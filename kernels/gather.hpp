#pragma once
#include <cstddef>

#include <braid/dtype.hpp>

#include "kernels/backend.hpp"

namespace braid::kernels {

// How far an epoch has come. It lies in the device's memory, so that a recorded step can be
// replayed.
struct StepCursor {
  std::int64_t row = 0;   // where the next batch begins in the order of the rows
  std::int64_t step = 0;  // which step of the epoch the next one is
};

// One column of a data set, and where the rows of a batch go. Elements are converted as C++
// converts them. Ragged: row r is values[splits[r]] .. values[splits[r + 1] - 1], each of `width`
// elements; what lies behind it, up to `steps`, becomes 0.
struct GatheredColumn {
  const std::byte* values = nullptr;     // [R, width], ragged [total, width]  read
  const std::int64_t* splits = nullptr;  // [R + 1]  read; ragged alone
  DType from = DType::float32;           // of the values
  DType to = DType::float32;             // of the batch: not int64
  std::int64_t width = 0;
  std::int64_t steps = 1;    // T; 1 unless ragged
  std::byte* out = nullptr;  // [B, width], ragged [B, T, width]  overwritten
  std::uint8_t* mask =
      nullptr;  // [B, T]  overwritten with 1 within a row, 0 behind it; may be absent
};

// Picks rows first .. first + rows - 1 of a batch: row n of each column's batch is row
// order[cursor->row + n] of the column, without an order row cursor->row + n.
constexpr int kMaxGatheredColumns = 4;
struct GatherBatch {
  GatheredColumn columns[kMaxGatheredColumns];
  int count = 0;                        // of the columns
  const std::int64_t* order = nullptr;  // read; may be absent
  const StepCursor* cursor = nullptr;   // read
  std::int64_t first = 0;
  std::int64_t rows = 0;
};
BRAID_KERNEL(GatherBatch)

}  // namespace braid::kernels
