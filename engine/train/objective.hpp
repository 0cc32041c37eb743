#pragma once
#include <optional>
#include <string>
#include <vector>

#include "engine/graph/value.hpp"
#include "engine/train/functional.hpp"
#include "engine/train/losses.hpp"
#include "engine/train/metrics.hpp"
#include "engine/train/model.hpp"

namespace braid {

// What compile() settled: what is minimised, what is measured, which weights are trained.
struct Objective {
  struct Output {
    std::string name;
    std::optional<Loss> loss;
    double loss_weight = 1;
    bool judged = false;  // has a loss or a metric, so that its targets are needed
  };
  struct Measured {
    std::size_t output;
    Metric metric;
    bool weighted;  // sees sample and class weights
    std::string log_name;
  };
  // One number of the logs.
  struct Entry {
    enum class Source { total_loss, output_loss, metric };
    std::string name;
    Source source;
    std::size_t index = 0;  // output or metric
  };

  // Resolves the options by the names of the model's outputs. Throws NameError, ShapeError.
  Objective(const Functional& model, const CompileOptions& options);

  bool has_loss() const;
  // Losses of single outputs are logged only beside others (Keras).
  std::size_t losses() const;

  std::vector<Output> outputs;
  std::vector<Measured> metrics;
  std::vector<Entry> entries;  // in the order of Logs
  NamedVariables trainable;    // in Keras's order
};

}  // namespace braid
