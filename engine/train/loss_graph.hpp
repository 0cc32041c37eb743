#pragma once
#include <string>
#include <vector>

#include "engine/graph/graph.hpp"
#include "engine/graph/layer_base.hpp"
#include "engine/train/losses.hpp"
#include "engine/train/metrics.hpp"
#include "kernels/loss.hpp"

namespace braid {

// What a loss and its metrics look at, for one output of a model.
struct Judged {
  std::string output;  // its name, for messages
  Lowered prediction;  // [B, ..., C]
  Value truth;         // float32, or int32 labels where the loss is sparse
  Value weight;        // sample weights, may be absent
};

// True if targets are class numbers instead of one value a column.
bool wants_labels(const Loss& loss);

// Losses before the reduction: [B] or [B, T]; sets aside what stands between prediction and loss.
// From logits wherever Keras's loss is the same function of them: a sigmoid before binary, a
// softmax before categorical crossentropy.
Value add_loss_values(Graph& graph, const Loss& loss, const Judged& judged);
// The loss reduced to one unbatched value [1], with mask and weights by Keras's rules; with the
// reduction "none" one number a row (a step), times mask and weights.
Value add_loss(Graph& graph, const Loss& loss, const Judged& judged);

// Sums over the batch from which a metric's value follows, unbatched: [2] (sum, weight) or
// confusion counts [4, K].
Value add_metric(Graph& graph, const Metric& metric, const Judged& judged, bool weighted);
// The metric's value from sums over any number of batches; precision and recall have one for each
// threshold.
double metric_result(const Metric& metric, const std::vector<double>& sums,
                     std::size_t threshold = 0);
// What "accuracy" means for these shapes (with batch axis); other metrics are returned as they are.
Metric resolve_metric(const Metric& metric, const Shape& truth, const Shape& prediction);

}  // namespace braid
