#include "engine/train/running_logs.hpp"

#include <algorithm>

#include "engine/train/loss_graph.hpp"

namespace braid {

RunningLogs::RunningLogs(const Objective& objective)
    : objective_(objective), sums_(1 + objective.outputs.size() + objective.metrics.size()) {}

RunningLogs::Summand RunningLogs::summand(const StepGraph& step, std::size_t sum) const {
  if (sum == 0) return {step.total_loss(), true};
  const std::size_t output = sum - 1;
  const std::size_t outputs = objective_.outputs.size();
  return {output < outputs ? step.output_loss(output) : step.metric(output - outputs), false};
}

void RunningLogs::reset() {
  rows_ = 0;
  batches_ = 0;
  for (auto& sum : sums_) std::fill(sum.begin(), sum.end(), 0.0);
}

void RunningLogs::add(const StepGraph& step, const Session& session) {
  const auto rows = static_cast<double>(session.program().batch());
  rows_ += rows;
  ++batches_;
  added_.clear();
  added_outputs_.clear();
  for (std::size_t i = 0; i < sums_.size(); ++i) {
    const Summand summand = this->summand(step, i);
    if (summand.output < 0) continue;
    added_.push_back(i);
    added_outputs_.push_back(summand.output);
  }
  session.read_together<float>(added_outputs_, [&](std::size_t place, Matrix<const float> values) {
    std::vector<double>& sum = sums_[added_[place]];
    const double factor = summand(step, added_[place]).times_rows ? rows : 1;
    sum.resize(static_cast<std::size_t>(values.rows * values.columns));
    for (std::size_t k = 0; k < sum.size(); ++k)
      sum[k] += static_cast<double>(values.data[k]) * factor;
  });
}

void RunningLogs::set_counts(std::int64_t rows, std::int64_t batches) {
  rows_ = static_cast<double>(rows);
  batches_ = static_cast<double>(batches);
}

void RunningLogs::set_sum(std::size_t sum, std::span<const double> values) {
  sums_[sum].assign(values.begin(), values.end());
}

Logs RunningLogs::logs() const {
  Logs logs;
  logs.reserve(objective_.entries.size());
  for (const Objective::Entry& entry : objective_.entries) {
    double value = 0;
    switch (entry.source) {
      case Objective::Entry::Source::total_loss: {
        const auto& sum = sums_.front();
        value = sum.empty() || rows_ == 0 ? 0 : sum.front() / rows_;
        break;
      }
      case Objective::Entry::Source::output_loss: {
        const auto& sum = sums_[1 + entry.index];
        value = sum.empty() || batches_ == 0 ? 0 : sum.front() / batches_;
        break;
      }
      case Objective::Entry::Source::metric: {
        const auto& sums = sums_[1 + objective_.outputs.size() + entry.index];
        value = sums.empty() ? 0 : metric_result(objective_.metrics[entry.index].metric, sums);
        break;
      }
    }
    logs.append(entry.name, value);
  }
  return logs;
}

}  // namespace braid
