#pragma once
#include "engine/train/step_graph.hpp"
#include "kernels/gather.hpp"
#include "kernels/launch.hpp"

namespace braid {

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

}  // namespace braid
