#pragma once
#include <span>

#include "engine/train/step_graph.hpp"
#include "kernels/gather.hpp"
#include "kernels/launch.hpp"

namespace braid {

// Rows of bound data that make one batch: `order[begin .. end - 1]`, or rows begin .. end - 1
// themselves without an order.
struct BatchRows {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::span<const std::int64_t> order = {};

  std::int64_t count() const { return end - begin; }
  std::int64_t row(std::int64_t i) const {
    return order.empty() ? begin + i : order[static_cast<std::size_t>(begin + i)];
  }
};

// A tensor as the gather kernel takes it, without where its rows go.
kernels::GatheredColumn column_of(const Feed& feed, const Tensor& tensor);

// The columns of one batch, brought together in as few launches as they take.
class Gathering {
 public:
  Gathering(const kernels::Stream& stream, kernels::GatherBatch batch)
      : stream_(stream), batch_(batch) {}

  void add(const kernels::GatheredColumn& column) {
    if (batch_.count == kernels::kMaxGatheredColumns) launch();
    batch_.columns[batch_.count++] = column;
  }
  void launch() {
    if (batch_.count > 0) kernels::launch(stream_, batch_);
    batch_.count = 0;
  }

 private:
  kernels::Stream stream_;
  kernels::GatherBatch batch_;
};

// How many pieces, for all cores, rows of so many bytes together are worth.
std::int64_t pieces_of(std::int64_t rows, std::int64_t bytes);

// Gathers on the host, on all cores where there is enough to do.
void gather_here(std::span<const kernels::GatheredColumn> columns, const BatchRows& rows);

}  // namespace braid
