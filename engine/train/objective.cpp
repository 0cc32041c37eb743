#include "engine/train/objective.hpp"

#include <algorithm>
#include <set>

#include "engine/core/error.hpp"

namespace braid {
namespace {

// Adds "_1", "_2", ... to a name that is taken, as Keras does.
std::string unused(const std::string& name, std::set<std::string>& taken) {
  std::string candidate = name;
  for (int number = 1; !taken.insert(candidate).second; ++number)
    candidate = name + "_" + std::to_string(number);
  return candidate;
}

void collect_trainable(const LayerBase& layer, bool trainable, std::set<const Variable*>& found) {
  trainable = trainable && layer.trainable;
  for (const auto& variable : layer.variables()) {
    if (trainable && variable->trainable) found.insert(variable.get());
  }
  for (const auto& inner : layer.sublayers()) collect_trainable(*inner, trainable, found);
}

}  // namespace

Objective::Objective(const Functional& model, const CompileOptions& options) {
  const std::vector<std::string> names = model.output_names();
  const auto output_losses = options.loss.resolve(names);
  const auto weights = options.loss_weights.resolve(names);
  const auto plain = options.metrics.resolve(names);
  const auto weighted = options.weighted_metrics.resolve(names);
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (output_losses[i] && output_losses[i]->reduction == "none") {
      throw NameError("compile: the loss of output \"" + names[i] +
                      "\" has the reduction \"none\", but a model minimises one number; use "
                      "\"sum_over_batch_size\", \"sum\" or \"mean_with_sample_weight\"");
    }
    const bool judged = output_losses[i] || !plain[i].empty() || !weighted[i].empty();
    outputs.push_back({names[i], output_losses[i], weights[i], judged});
  }

  std::set<std::string> taken;
  const auto name_of_metric = [&](std::size_t output, const std::string& metric) {
    return names.size() > 1 ? names[output] + "_" + metric : metric;
  };
  for (std::size_t i = 0; i < names.size(); ++i) {
    for (const Metric& metric : plain[i]) {
      metrics.push_back({i, metric, false, unused(name_of_metric(i, metric.name), taken)});
    }
  }
  const std::set<std::string> plain_names = taken;
  for (std::size_t i = 0; i < names.size(); ++i) {
    for (const Metric& metric : weighted[i]) {
      const bool twice = plain_names.contains(name_of_metric(i, metric.name));
      const std::string name = name_of_metric(i, twice ? "weighted_" + metric.name : metric.name);
      metrics.push_back({i, metric, true, unused(name, taken)});
    }
  }

  if (has_loss()) entries.push_back({"loss", Entry::Source::total_loss});
  if (losses() > 1) {
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      if (outputs[i].loss)
        entries.push_back({outputs[i].name + "_loss", Entry::Source::output_loss, i});
    }
  }
  for (std::size_t i = 0; i < metrics.size(); ++i)
    entries.push_back({metrics[i].log_name, Entry::Source::metric, i});
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.name < b.name; });

  std::set<const Variable*> found;
  collect_trainable(model, true, found);
  for (const auto& [path, variable] : model.named_variables()) {
    if (found.contains(variable.get())) trainable.emplace_back(path, variable);
  }
}

bool Objective::has_loss() const { return losses() > 0; }

std::size_t Objective::losses() const {
  return static_cast<std::size_t>(
      std::count_if(outputs.begin(), outputs.end(),
                    [](const Output& output) { return output.loss.has_value(); }));
}

}  // namespace braid
