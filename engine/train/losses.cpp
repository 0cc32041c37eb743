#include "engine/train/losses.hpp"

#include <algorithm>

#include "engine/core/error.hpp"
#include "engine/train/by_output.hpp"
#include "engine/train/loss_names.hpp"

namespace braid {
namespace {

using LossKind = Loss::Kind;

const std::vector<std::pair<std::string, LossKind>>& loss_names() {
  static const std::vector<std::pair<std::string, LossKind>> names{
      {"mean_squared_error", LossKind::mean_squared_error},
      {"mse", LossKind::mean_squared_error},
      {"MSE", LossKind::mean_squared_error},
      {"mean_absolute_error", LossKind::mean_absolute_error},
      {"mae", LossKind::mean_absolute_error},
      {"MAE", LossKind::mean_absolute_error},
      {"huber", LossKind::huber},
      {"mean_absolute_percentage_error", LossKind::mean_absolute_percentage_error},
      {"mape", LossKind::mean_absolute_percentage_error},
      {"mean_squared_logarithmic_error", LossKind::mean_squared_logarithmic_error},
      {"msle", LossKind::mean_squared_logarithmic_error},
      {"log_cosh", LossKind::log_cosh},
      {"poisson", LossKind::poisson},
      {"kl_divergence", LossKind::kl_divergence},
      {"kld", LossKind::kl_divergence},
      {"binary_crossentropy", LossKind::binary_crossentropy},
      {"bce", LossKind::binary_crossentropy},
      {"categorical_crossentropy", LossKind::categorical_crossentropy},
      {"sparse_categorical_crossentropy", LossKind::sparse_categorical_crossentropy},
  };
  return names;
}

Loss make(LossKind kind, std::string reduction) {
  static const std::vector<std::string> known{"sum_over_batch_size", "mean", "sum",
                                              "mean_with_sample_weight", "none"};
  if (std::find(known.begin(), known.end(), reduction) == known.end()) {
    throw NameError("unknown reduction \"" + reduction + "\"; known are " + quoted_list(known) +
                    "." + suggestion(reduction, known));
  }
  Loss loss(kind);
  loss.reduction = std::move(reduction);
  return loss;
}

}  // namespace

std::optional<LossKind> loss_kind(std::string_view name) {
  for (const auto& [known, kind] : loss_names()) {
    if (known == name) return kind;
  }
  return std::nullopt;
}

std::vector<std::string> known_losses() {
  std::vector<std::string> known;
  for (const auto& [name, kind] : loss_names()) known.push_back(name);
  return known;
}

Loss::Loss(std::string_view name) {
  if (const auto found = loss_kind(name)) {
    kind = *found;
    return;
  }
  const std::vector<std::string> known = known_losses();
  throw NameError("unknown loss \"" + std::string(name) + "\"; known are " + quoted_list(known) +
                  "." + suggestion(name, known));
}

namespace losses {

Loss MeanSquaredError(Options o) {
  return make(LossKind::mean_squared_error, std::move(o.reduction));
}
Loss MeanAbsoluteError(Options o) {
  return make(LossKind::mean_absolute_error, std::move(o.reduction));
}
Loss MeanAbsolutePercentageError(Options o) {
  return make(LossKind::mean_absolute_percentage_error, std::move(o.reduction));
}
Loss MeanSquaredLogarithmicError(Options o) {
  return make(LossKind::mean_squared_logarithmic_error, std::move(o.reduction));
}
Loss LogCosh(Options o) { return make(LossKind::log_cosh, std::move(o.reduction)); }
Loss Poisson(Options o) { return make(LossKind::poisson, std::move(o.reduction)); }
Loss KLDivergence(Options o) { return make(LossKind::kl_divergence, std::move(o.reduction)); }

Loss Huber(HuberOptions o) {
  Loss loss = make(LossKind::huber, std::move(o.reduction));
  loss.delta = o.delta;
  return loss;
}

Loss BinaryCrossentropy(CrossentropyOptions o) {
  Loss loss = make(LossKind::binary_crossentropy, std::move(o.reduction));
  loss.from_logits = o.from_logits;
  loss.label_smoothing = o.label_smoothing;
  return loss;
}

Loss CategoricalCrossentropy(CrossentropyOptions o) {
  Loss loss = BinaryCrossentropy(std::move(o));
  loss.kind = LossKind::categorical_crossentropy;
  return loss;
}

Loss SparseCategoricalCrossentropy(SparseCrossentropyOptions o) {
  Loss loss = make(LossKind::sparse_categorical_crossentropy, std::move(o.reduction));
  loss.from_logits = o.from_logits;
  loss.ignore_class = o.ignore_class;
  return loss;
}

}  // namespace losses

std::vector<std::optional<Loss>> Losses::resolve(const std::vector<std::string>& outputs) const {
  std::vector<std::optional<Loss>> result(outputs.size(), shared_);
  if (!by_output_.empty()) {
    require_count(by_output_.size(), outputs, "losses");
    for (std::size_t i = 0; i < outputs.size(); ++i) result[i] = by_output_[i];
  }
  for (const Named& named : by_name_)
    result[find_output(outputs, named.name, "a loss")] = named.loss;
  return result;
}

std::vector<double> LossWeights::resolve(const std::vector<std::string>& outputs) const {
  std::vector<double> result(outputs.size(), 1.0);
  if (!by_output_.empty()) {
    require_count(by_output_.size(), outputs, "loss weights");
    result = by_output_;
  }
  for (const Named& named : by_name_)
    result[find_output(outputs, named.name, "a loss weight")] = named.weight;
  return result;
}

}  // namespace braid
