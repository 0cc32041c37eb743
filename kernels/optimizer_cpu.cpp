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

template <class Each, std::int64_t most>
void run_each(const ParameterList<Each, most>& list) {
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

// Sums of their own for the elements of a vector, or each would wait for the one before.
void run(const SquaredNorm& args) {
  constexpr std::int64_t kSums = 16;
  const std::int64_t chunk = norm_chunk(args.count);
  GradientSource gradient{
      .data = args.in, .slices = args.slices, .slice_stride = args.slice_stride};
  double* partial = args.partials;
  for (std::int64_t begin = 0; begin < args.count; begin += chunk) {
    const std::int64_t count = args.count - begin < chunk ? args.count - begin : chunk;
    double sums[kSums] = {};
    for_blocks(gradient, count, [&](std::int64_t, std::int64_t n, const float* g) {
      std::int64_t j = 0;
      for (; j + kSums <= n; j += kSums) {
        for (std::int64_t k = 0; k < kSums; ++k)
          sums[k] += static_cast<double>(g[j + k]) * static_cast<double>(g[j + k]);
      }
      for (std::int64_t k = 0; j < n; ++j, ++k)
        sums[k] += static_cast<double>(g[j]) * static_cast<double>(g[j]);
    });
    double total = 0;
    for (const double sum : sums) total += sum;
    *partial++ = total;
    gradient.data += chunk;
  }
}
void run(const SquaredNorms& args) { run_each(args); }

void run(const ClipFactors& args) {
  double all = 0;
  for (std::int64_t i = 0; i < args.count; ++i) {
    double square = 0;
    for (std::int64_t p = args.firsts[i]; p < args.firsts[i + 1]; ++p) square += args.partials[p];
    all += square;
    const auto norm = static_cast<float>(std::sqrt(square));
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
