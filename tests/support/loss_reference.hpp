#pragma once
#include <cmath>
#include <span>

#include "kernels/loss.hpp"

// Keras's losses in float64; shares no code with the kernels.
namespace braid::testing {

using kernels::LossKind;
using kernels::LossRule;

constexpr LossKind kElementwiseLosses[] = {LossKind::mean_squared_error,
                                           LossKind::mean_absolute_error,
                                           LossKind::huber,
                                           LossKind::mean_absolute_percentage_error,
                                           LossKind::mean_squared_logarithmic_error,
                                           LossKind::log_cosh,
                                           LossKind::poisson,
                                           LossKind::kl_divergence};
constexpr LossKind kCrossentropies[] = {LossKind::binary_crossentropy,
                                        LossKind::categorical_crossentropy,
                                        LossKind::sparse_categorical_crossentropy};

inline double log_of_sum_of_exponentials(std::span<const double> x) {
  double largest = -INFINITY;
  for (const double v : x) largest = std::fmax(largest, v);
  double sum = 0;
  for (const double v : x) sum += std::exp(v - largest);
  return largest + std::log(sum);
}

// The loss of one row of predictions; the truth is as many targets, or one label.
class LossOfRow {
 public:
  LossOfRow(const LossRule& rule, std::span<const double> truth, std::span<const double> predicted)
      : rule_(rule), truth_(truth), predicted_(predicted) {}

  double value() const {
    switch (rule_.kind) {
      case LossKind::categorical_crossentropy: return categorical();
      case LossKind::sparse_categorical_crossentropy: return sparse();
      default: break;
    }
    double sum = 0;
    for (std::size_t c = 0; c < predicted_.size(); ++c) sum += element(truth_[c], predicted_[c]);
    return rule_.kind == LossKind::kl_divergence ? sum
                                                 : sum / static_cast<double>(predicted_.size());
  }

 private:
  static constexpr double kLow = 1e-7;
  // Keras clips in float32, where 1 - 1e-7 is this number.
  static constexpr double kHigh = static_cast<double>(1.0F - 1e-7F);
  static double clipped(double p, double high = kHigh) {
    return std::fmin(std::fmax(p, kLow), high);
  }

  double element(double y, double p) const {
    const double e = std::fabs(p - y);
    const auto delta = static_cast<double>(rule_.delta);
    switch (rule_.kind) {
      case LossKind::mean_squared_error: return e * e;
      case LossKind::mean_absolute_error: return e;
      case LossKind::huber: return e <= delta ? e * e / 2 : delta * e - delta * delta / 2;
      case LossKind::mean_absolute_percentage_error: return 100 * e / std::fmax(std::fabs(y), kLow);
      case LossKind::mean_squared_logarithmic_error: {
        const double d = std::log1p(std::fmax(p, kLow)) - std::log1p(std::fmax(y, kLow));
        return d * d;
      }
      case LossKind::log_cosh: return e + std::log1p(std::exp(-2 * e)) - std::log(2.0);
      case LossKind::poisson: return p - y * std::log(p + kLow);
      case LossKind::kl_divergence:
        return clipped(y, 1.0) * std::log(clipped(y, 1.0) / clipped(p, 1.0));
      default: return binary(y, p);
    }
  }
  double binary(double y, double p) const {
    const auto smoothing = static_cast<double>(rule_.label_smoothing);
    const double target = y * (1 - smoothing) + smoothing / 2;
    if (rule_.from_logits)
      return std::fmax(p, 0.0) - p * target + std::log1p(std::exp(-std::fabs(p)));
    const double q = clipped(p);
    return -(target * std::log(q) + (1 - target) * std::log(1 - q));
  }
  double categorical() const {
    const auto smoothing = static_cast<double>(rule_.label_smoothing);
    const double shift = log_of_sum_of_exponentials(predicted_);
    double total = 0;
    for (const double p : predicted_) total += p;
    double sum = 0;
    for (std::size_t c = 0; c < predicted_.size(); ++c) {
      const double p = predicted_[c];
      const double target =
          truth_[c] * (1 - smoothing) + smoothing / static_cast<double>(predicted_.size());
      sum -= target * (rule_.from_logits ? p - shift : std::log(clipped(p / total)));
    }
    return sum;
  }
  double sparse() const {
    if (rule_.has_ignore_class && truth_[0] == rule_.ignore_class) return 0;
    const double label = predicted_[static_cast<std::size_t>(truth_[0])];
    if (rule_.from_logits) return log_of_sum_of_exponentials(predicted_) - label;
    double total = 0;
    for (const double p : predicted_) total += clipped(p);
    return std::log(total) - std::log(clipped(label));
  }

  const LossRule& rule_;
  std::span<const double> truth_;
  std::span<const double> predicted_;
};

}  // namespace braid::testing
