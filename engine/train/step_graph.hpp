#pragma once
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/runtime/executor.hpp"
#include "engine/train/binding.hpp"
#include "engine/train/functional.hpp"
#include "engine/train/objective.hpp"

namespace braid {

enum class Pass { predict, evaluate, train };

// How a tensor of the caller's reaches the graph: converted to `dtype`, and padded beside a mask
// where ragged.
struct Feed {
  const char* role = "input";
  std::string name;
  DType dtype = DType::float32;
  bool ragged = false;
  int value = -1;  // which graph input; -1: none came
  int ends = -1;   // the graph input that masks the ends of ragged rows
};

// Ids of this input are looked up in a table of `limit` rows.
struct IdLimit {
  std::size_t input;
  std::int64_t limit;
};

// The graph of one pass of a model for data of one kind (dtypes, ragged or not, ranks of targets
// and weights): inference, losses and metrics, or these and the gradients of the trained weights.
class StepGraph {
 public:
  // Throws ShapeError where targets or weights do not fit the outputs.
  StepGraph(Functional& model, const Objective* objective, Pass pass, const Bound& sample,
            Precision precision = Precision::float32);

  // A key for all data that this graph can run.
  static void append_key(Pass pass, const Bound& bound, std::string& key);

  Executor& executor() const { return *executor_; }
  const Graph& graph() const { return executor_->graph(); }
  // Shapes with None for the batch and unknown steps.
  const std::vector<ValueInfo>& input_infos() const { return input_infos_; }

  const std::vector<Feed>& x() const { return x_; }
  const std::vector<Feed>& y() const { return y_; }
  const std::vector<Feed>& weights() const { return weights_; }
  // Calls take(feed, tensor) for each tensor that the graph reads.
  template <class Take>
  void for_feeds(const Bound& bound, const Take& take) const {
    const auto pass_on = [&](const Feed& feed, const Tensor* tensor) {
      if (feed.value >= 0 && tensor != nullptr) take(feed, *tensor);
    };
    for (std::size_t i = 0; i < x_.size(); ++i) pass_on(x_[i], bound.x[i]);
    for (std::size_t i = 0; i < y_.size(); ++i) {
      pass_on(y_[i], bound.y[i]);
      pass_on(weights_[i], bound.weight[i]);
    }
  }
  const std::vector<IdLimit>& id_limits() const { return id_limits_; }
  // Pairs of ragged inputs whose rows must have the same lengths.
  const std::vector<std::pair<std::size_t, std::size_t>>& same_rows() const { return same_rows_; }

  // Places among the executor's outputs; -1 where there is none.
  int total_loss() const { return total_loss_; }
  int output_loss(std::size_t output) const { return output_losses_[output]; }
  int metric(std::size_t metric) const { return first_metric_ + static_cast<int>(metric); }
  int gradient(std::size_t weight) const { return first_gradient_ + static_cast<int>(weight); }
  int prediction(std::size_t output) const { return first_prediction_ + static_cast<int>(output); }
  // The input whose ragged rows a predicted output follows, if it does.
  const std::optional<std::size_t>& ragged_source(std::size_t output) const {
    return ragged_sources_[output];
  }

 private:
  Value add_input(Graph& graph, Feed& feed, ValueInfo info);
  std::vector<Lowered> feed_inputs(Graph& graph, const Functional& model, const Bound& sample);
  std::vector<Value> judge(Graph& graph, const Objective& objective, const Bound& sample,
                           const std::vector<Lowered>& outputs, const AddedLosses& added);
  void find_id_limits(const Graph& graph);
  // Which ragged inputs' row ends a mask is made of.
  std::vector<std::size_t> row_ends_behind(const Graph& graph, Value mask) const;
  void find_same_rows(const Graph& graph, const RaggedRules& rules);
  void find_ragged_sources(const Graph& graph, const std::vector<std::string>& names,
                           const std::vector<Lowered>& outputs, const RaggedRules& rules);

  std::vector<ValueInfo> input_infos_;
  std::vector<int> input_values_;    // by model input: its value in the graph
  std::vector<int> row_end_values_;  // by model input: that of its row ends; -1 where not ragged
  std::vector<Feed> x_;
  std::vector<Feed> y_;
  std::vector<Feed> weights_;
  std::vector<IdLimit> id_limits_;
  std::vector<std::pair<std::size_t, std::size_t>> same_rows_;
  std::vector<std::optional<std::size_t>> ragged_sources_;
  int total_loss_ = -1;
  std::vector<int> output_losses_;
  int first_metric_ = 0;
  int first_gradient_ = 0;
  int first_prediction_ = 0;
  std::unique_ptr<Executor> executor_;
};

}  // namespace braid
