#include "kernels/optimizer.hpp"

#include <cmath>

namespace braid::kernels {
namespace {

constexpr std::int64_t kBlock = 256;

// Calls body(i, n, g) for blocks of the gradient, g[0 .. n - 1] belonging to elements i .. i + n
// - 1.
template <class Body>
inline void for_blocks(const GradientSource& source, std::int64_t count, const Body& body) {
  alignas(64) float block[kBlock];
  const bool as_it_is = source.slices == 1 && source.factor == nullptr && source.clip_value <= 0;
  for (std::int64_t i = 0; i < count; i += kBlock) {
    const std::int64_t n = count - i < kBlock ? count - i : kBlock;
    if (as_it_is) {
      body(i, n, source.data + i);
      continue;
    }
    for (std::int64_t j = 0; j < n; ++j) block[j] = source.data[i + j];
    for (std::int64_t slice = 1; slice < source.slices; ++slice) {
      const float* more = source.data + slice * source.slice_stride + i;
      for (std::int64_t j = 0; j < n; ++j) block[j] += more[j];
    }
    if (source.factor != nullptr) {
      for (std::int64_t j = 0; j < n; ++j) block[j] *= *source.factor;
    }
    if (source.clip_value > 0) {
      const float limit = source.clip_value;
      for (std::int64_t j = 0; j < n; ++j)
        block[j] = block[j] > limit ? limit : (block[j] < -limit ? -limit : block[j]);
    }
    body(i, n, block);
  }
}

}  // namespace

namespace BRAID_CPU {

void run(const SgdUpdate& args) {
  const float rate = args.rates->rate;
  const float decay = args.weight_decay * rate;
  for_blocks(args.gradient, args.count, [&](std::int64_t i, std::int64_t n, const float* g) {
    float* w = args.parameter + i;
    if (args.velocity == nullptr) {
#pragma GCC ivdep
      for (std::int64_t j = 0; j < n; ++j) w[j] = (w[j] - w[j] * decay) - rate * g[j];
      return;
    }
    float* m = args.velocity + i;
#pragma GCC ivdep
    for (std::int64_t j = 0; j < n; ++j) {
      const float decayed = w[j] - w[j] * decay;
      m[j] = args.momentum * m[j] - rate * g[j];
      w[j] = decayed + (args.nesterov ? args.momentum * m[j] - rate * g[j] : m[j]);
    }
  });
}

void run(const RmspropUpdate& args) {
  const float rate = args.rates->rate;
  const float decay = args.weight_decay * rate;
  for_blocks(args.gradient, args.count, [&](std::int64_t i, std::int64_t n, const float* g) {
    float* w = args.parameter + i;
    float* v = args.velocity + i;
    float* m = args.momentum_slot != nullptr ? args.momentum_slot + i : nullptr;
    float* a = args.average != nullptr ? args.average + i : nullptr;
#pragma GCC ivdep
    for (std::int64_t j = 0; j < n; ++j) {
      const float decayed = w[j] - w[j] * decay;
      v[j] = args.rho * v[j] + args.one_minus_rho * (g[j] * g[j]);
      float under_root = v[j] + args.epsilon;
      if (a != nullptr) {
        a[j] = args.rho * a[j] + args.one_minus_rho * g[j];
        under_root = v[j] - a[j] * a[j] + args.epsilon;
      }
      const float step = rate * g[j] / std::sqrt(under_root);
      if (m != nullptr) {
        m[j] = args.momentum * m[j] + step;
        w[j] = decayed - m[j];
      } else {
        w[j] = decayed - step;
      }
    }
  });
}

void run(const AdamUpdate& args) {
  const float alpha = args.rates->alpha;
  const float decay = args.weight_decay * args.rates->rate;
  for_blocks(args.gradient, args.count, [&](std::int64_t i, std::int64_t n, const float* g) {
    float* w = args.parameter + i;
    float* m = args.momentum + i;
    float* v = args.velocity + i;
    float* largest = args.velocity_max != nullptr ? args.velocity_max + i : nullptr;
    if (largest == nullptr) {
#pragma GCC ivdep
      for (std::int64_t j = 0; j < n; ++j) {
        const float decayed = w[j] - w[j] * decay;
        m[j] += (g[j] - m[j]) * args.one_minus_beta_1;
        v[j] += (g[j] * g[j] - v[j]) * args.one_minus_beta_2;
        w[j] = decayed - m[j] * alpha / (std::sqrt(v[j]) + args.epsilon);
      }
      return;
    }
#pragma GCC ivdep
    for (std::int64_t j = 0; j < n; ++j) {
      const float decayed = w[j] - w[j] * decay;
      m[j] += (g[j] - m[j]) * args.one_minus_beta_1;
      v[j] += (g[j] * g[j] - v[j]) * args.one_minus_beta_2;
      largest[j] = largest[j] > v[j] ? largest[j] : v[j];
      w[j] = decayed - m[j] * alpha / (std::sqrt(largest[j]) + args.epsilon);
    }
  });
}

template <class Update>
void run_each(const UpdateList<Update>& list) {
  for (std::int64_t i = 0; i < list.count; ++i) run(list.each[i]);
}
void run(const SgdUpdates& args) { run_each(args); }
void run(const RmspropUpdates& args) { run_each(args); }
void run(const AdamUpdates& args) { run_each(args); }

void run(const SumSlices& args) {
  for (std::int64_t i = 0; i < args.count; i += kBlock) {
    const std::int64_t n = args.count - i < kBlock ? args.count - i : kBlock;
    alignas(64) float block[kBlock];
    for (std::int64_t j = 0; j < n; ++j) block[j] = args.in[i + j];
    for (std::int64_t slice = 1; slice < args.slices; ++slice) {
      const float* more = args.in + slice * args.slice_stride + i;
      for (std::int64_t j = 0; j < n; ++j) block[j] += more[j];
    }
    for (std::int64_t j = 0; j < n; ++j) args.out[i + j] = block[j];
  }
}

void run(const SquaredNorm& args) {
  double total = args.accumulate ? *args.out : 0.0;
  for_blocks(args.gradient, args.count, [&](std::int64_t, std::int64_t n, const float* g) {
    double sum = 0;
    for (std::int64_t j = 0; j < n; ++j)
      sum += static_cast<double>(g[j]) * static_cast<double>(g[j]);
    total += sum;
  });
  *args.out = total;
}

void run(const ClipFactors& args) {
  double all = 0;
  for (std::int64_t i = 0; i < args.count; ++i) {
    all += args.squares[i];
    const auto norm = static_cast<float>(std::sqrt(args.squares[i]));
    args.factors[i] = args.limit / (norm < args.limit ? args.limit : norm);
  }
  if (!args.together) return;
  const auto norm = static_cast<float>(std::sqrt(all));
  const float inverse = 1.0F / norm;
  const float most = 1.0F / args.limit;
  for (std::int64_t i = 0; i < args.count; ++i)
    args.factors[i] = args.limit * (inverse > most ? most : inverse);
}

}  // namespace BRAID_CPU
}  // namespace braid::kernels
