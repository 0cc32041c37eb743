#include "kernels/metric.hpp"

namespace braid::kernels {
namespace {

std::int64_t largest(const float* values, std::int64_t count) {
  std::int64_t best = 0;
  for (std::int64_t c = 1; c < count; ++c) {
    if (values[c] > values[best]) best = c;
  }
  return best;
}

}  // namespace

namespace BRAID_CPU {

void run(const AccuracyValues& args) {
  const std::int64_t columns = args.predicted.columns;
  for (std::int64_t n = 0; n < args.predicted.rows; ++n) {
    const float* predicted = args.predicted.row(n);
    float value = 0;
    switch (args.kind) {
      case AccuracyKind::exact:
        for (std::int64_t c = 0; c < columns; ++c)
          value += args.truth.row(n)[c] == predicted[c] ? 1.0F : 0.0F;
        value /= static_cast<float>(columns);
        break;
      case AccuracyKind::binary:
        for (std::int64_t c = 0; c < columns; ++c) {
          value +=
              args.truth.row(n)[c] == (predicted[c] > args.threshold ? 1.0F : 0.0F) ? 1.0F : 0.0F;
        }
        value /= static_cast<float>(columns);
        break;
      case AccuracyKind::categorical:
        value = largest(args.truth.row(n), columns) == largest(predicted, columns) ? 1.0F : 0.0F;
        break;
      case AccuracyKind::sparse_categorical:
        value = args.labels.row(n)[0] == largest(predicted, columns) ? 1.0F : 0.0F;
        break;
    }
    args.values.row(n)[0] = value;
  }
}

void run(const ConfusionCounts& args) {
  const std::int64_t count = args.threshold_count;
  if (!args.accumulate) {
    for (std::int64_t i = 0; i < 4 * count; ++i) args.counts[i] = 0;
  }
  for (std::int64_t n = 0; n < args.predicted.rows; ++n) {
    for (std::int64_t c = 0; c < args.predicted.columns; ++c) {
      float weight = 1;
      if (args.weight) weight = args.weight.row(n)[args.weight.columns == 1 ? 0 : c];
      const bool positive = args.truth.row(n)[c] != 0;
      const float p = args.predicted.row(n)[c];
      float* when_predicted = args.counts + (positive ? 0 : 1) * count;
      float* when_not = args.counts + (positive ? 3 : 2) * count;
      const float* thresholds = args.thresholds;
#pragma GCC ivdep
      for (std::int64_t k = 0; k < count; ++k) {
        const bool exceeds = p > thresholds[k];
        when_predicted[k] += exceeds ? weight : 0.0F;
        when_not[k] += exceeds ? 0.0F : weight;
      }
    }
  }
}

}  // namespace BRAID_CPU
}  // namespace braid::kernels
