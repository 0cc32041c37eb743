#include "engine/train/running_logs.hpp"

#include <algorithm>

#include "engine/train/loss_graph.hpp"

namespace braid {

RunningLogs::RunningLogs(const Objective& objective)
    : objective_(objective),
      output_losses_(objective.outputs.size()),
      metrics_(objective.metrics.size()) {}

void RunningLogs::reset() {
  rows_ = 0;
  batches_ = 0;
  total_loss_ = 0;
  std::fill(output_losses_.begin(), output_losses_.end(), 0.0);
  for (auto& sums : metrics_) std::fill(sums.begin(), sums.end(), 0.0);
}

void RunningLogs::add(const StepGraph& step, const Session& session) {
  const auto rows = static_cast<double>(session.program().batch());
  rows_ += rows;
  ++batches_;
  if (step.total_loss() >= 0) {
    total_loss_ += static_cast<double>(*session.output<float>(step.total_loss()).data) * rows;
  }
  for (std::size_t i = 0; i < output_losses_.size(); ++i) {
    if (step.output_loss(i) < 0) continue;
    output_losses_[i] += static_cast<double>(*session.output<float>(step.output_loss(i)).data);
  }
  for (std::size_t i = 0; i < metrics_.size(); ++i) {
    const Matrix<const float> sums = session.output<float>(step.metric(i));
    metrics_[i].resize(static_cast<std::size_t>(sums.rows * sums.columns));
    for (std::size_t k = 0; k < metrics_[i].size(); ++k)
      metrics_[i][k] += static_cast<double>(sums.data[k]);
  }
}

Logs RunningLogs::logs() const {
  Logs logs;
  logs.reserve(objective_.entries.size());
  for (const Objective::Entry& entry : objective_.entries) {
    double value = 0;
    switch (entry.source) {
      case Objective::Entry::Source::total_loss:
        value = rows_ == 0 ? 0 : total_loss_ / rows_;
        break;
      case Objective::Entry::Source::output_loss:
        value = batches_ == 0 ? 0 : output_losses_[entry.index] / batches_;
        break;
      case Objective::Entry::Source::metric: {
        const auto& sums = metrics_[entry.index];
        value = sums.empty() ? 0 : metric_result(objective_.metrics[entry.index].metric, sums);
        break;
      }
    }
    logs.append(entry.name, value);
  }
  return logs;
}

}  // namespace braid
