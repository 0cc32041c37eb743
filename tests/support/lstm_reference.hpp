#pragma once
#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>

#include "tests/support/activations.hpp"
#include "tests/support/guarded_matrix.hpp"
#include "tests/support/rounding.hpp"

// Keras's LSTM in float64, step by step and unit by unit, with its gradients; shares no code with
// the kernels.
namespace braid::testing {

struct LstmProblem {
  std::int64_t rows = 0;
  std::int64_t steps = 0;
  std::int64_t features = 0;
  std::int64_t units = 0;
  Numbers in;         // [B, T, E]
  Numbers mask;       // [B, T], or empty
  Numbers kernel;     // [E, 4H]
  Numbers recurrent;  // [H, 4H]
  Numbers bias;       // [4H], or empty
  Numbers initial_h;  // [B, H], or empty
  Numbers initial_c;  // [B, H], or empty
  kernels::Activation activation{kernels::ActivationKind::tanh};
  kernels::Activation recurrent_activation{kernels::ActivationKind::sigmoid};
  bool go_backwards = false;
  Precision precision = Precision::float32;   // of the products over all tokens
  Precision recurrence = Precision::float32;  // and of those from step to step
};

struct LstmResults {
  Numbers sequence;  // [B, T, H]
  Numbers last_h;    // [B, H]
  Numbers last_c;    // [B, H]
};

// Gradients of the outputs, or nothing; the last output is last_h under another name.
struct LstmOutputGrads {
  Numbers sequence;
  Numbers last_h;
  Numbers last_c;
};

struct LstmGrads {
  Numbers in;
  Numbers kernel;
  Numbers recurrent;
  Numbers bias;
  Numbers initial_h;
  Numbers initial_c;
};

namespace lstm_reference {

inline std::size_t at(std::int64_t row, std::int64_t column, std::int64_t columns) {
  return static_cast<std::size_t>(row * columns + column);
}

// One of the products over all tokens.
inline double product(const LstmProblem& p, double a, double b) {
  return rounded(p.precision, a) * rounded(p.precision, b);
}

// And from step to step.
inline double recurrent_product(const LstmProblem& p, double a, double b) {
  return rounded(p.recurrence, a) * rounded(p.recurrence, b);
}

// One row's step: pre-activations of the gates i, f, c, o.
inline Numbers gates(const LstmProblem& p, std::int64_t b, std::int64_t t, const Numbers& h) {
  const std::int64_t wide = 4 * p.units;
  Numbers z(static_cast<std::size_t>(wide), 0.0);
  for (std::int64_t j = 0; j < wide; ++j) {
    double sum = p.bias.empty() ? 0.0 : p.bias[at(0, j, wide)];
    for (std::int64_t e = 0; e < p.features; ++e) {
      sum += product(p, p.in[at(b * p.steps + t, e, p.features)], p.kernel[at(e, j, wide)]);
    }
    for (std::int64_t u = 0; u < p.units; ++u)
      sum += recurrent_product(p, h[at(0, u, 1)], p.recurrent[at(u, j, wide)]);
    z[at(0, j, wide)] = sum;
  }
  return z;
}

inline Numbers row_of(const Numbers& values, std::int64_t row, std::int64_t columns) {
  if (values.empty()) return Numbers(static_cast<std::size_t>(columns), 0.0);
  return {values.begin() + row * columns, values.begin() + (row + 1) * columns};
}

}  // namespace lstm_reference

inline LstmResults lstm_forward(const LstmProblem& p) {
  using namespace lstm_reference;
  LstmResults results;
  results.sequence.assign(static_cast<std::size_t>(p.rows * p.steps * p.units), 0.0);
  for (std::int64_t b = 0; b < p.rows; ++b) {
    Numbers h = row_of(p.initial_h, b, p.units);
    Numbers c = row_of(p.initial_c, b, p.units);
    for (std::int64_t k = 0; k < p.steps; ++k) {
      const std::int64_t t = p.go_backwards ? p.steps - 1 - k : k;
      if (p.mask.empty() || p.mask[at(b, t, p.steps)] != 0) {
        const Numbers z = gates(p, b, t, h);
        for (std::int64_t u = 0; u < p.units; ++u) {
          const auto gate = [&](std::int64_t g) { return z[at(g, u, p.units)]; };
          const double i = activated(p.recurrent_activation, gate(0));
          const double f = activated(p.recurrent_activation, gate(1));
          const double o = activated(p.recurrent_activation, gate(3));
          double& state = c[at(0, u, 1)];
          state = f * state + i * activated(p.activation, gate(2));
          h[at(0, u, 1)] = o * activated(p.activation, state);
        }
      }
      for (std::int64_t u = 0; u < p.units; ++u) {
        results.sequence[at(b * p.steps + k, u, p.units)] = h[at(0, u, 1)];
      }
    }
    results.last_h.insert(results.last_h.end(), h.begin(), h.end());
    results.last_c.insert(results.last_c.end(), c.begin(), c.end());
  }
  return results;
}

// Sum of outputs times their gradients, whose derivatives the gradients are.
inline double lstm_objective(const LstmProblem& p, const LstmOutputGrads& grads) {
  const LstmResults results = lstm_forward(p);
  double sum = 0;
  const auto add = [&](const Numbers& values, const Numbers& factors) {
    for (std::size_t i = 0; i < factors.size(); ++i) sum += values[i] * factors[i];
  };
  add(results.sequence, grads.sequence);
  add(results.last_h, grads.last_h);
  add(results.last_c, grads.last_c);
  return sum;
}

// Full central differences of the objective with respect to the numbers that `pick` names.
inline Numbers differences(LstmProblem p, const LstmOutputGrads& grads,
                           const std::function<Numbers&(LstmProblem&)>& pick) {
  const double step = 1e-5;
  Numbers slopes;
  for (std::size_t i = 0; i < pick(p).size(); ++i) {
    const double value = pick(p)[i];
    pick(p)[i] = value + step;
    const double above = lstm_objective(p, grads);
    pick(p)[i] = value - step;
    const double below = lstm_objective(p, grads);
    pick(p)[i] = value;
    slopes.push_back((above - below) / (2 * step));
  }
  return slopes;
}

inline LstmGrads lstm_differences(const LstmProblem& p, const LstmOutputGrads& grads) {
  const auto of = [&](Numbers LstmProblem::*field) {
    return differences(p, grads, [field](LstmProblem& q) -> Numbers& { return q.*field; });
  };
  return {of(&LstmProblem::in),   of(&LstmProblem::kernel),    of(&LstmProblem::recurrent),
          of(&LstmProblem::bias), of(&LstmProblem::initial_h), of(&LstmProblem::initial_c)};
}

// The same by the chain rule, for sizes at which differences take too long.
inline LstmGrads lstm_backward(const LstmProblem& p, const LstmOutputGrads& grads) {
  using namespace lstm_reference;
  const std::int64_t wide = 4 * p.units;
  LstmGrads out{Numbers(p.in.size(), 0.0),        Numbers(p.kernel.size(), 0.0),
                Numbers(p.recurrent.size(), 0.0), Numbers(p.bias.size(), 0.0),
                Numbers(p.initial_h.size(), 0.0), Numbers(p.initial_c.size(), 0.0)};
  for (std::int64_t b = 0; b < p.rows; ++b) {
    // Forward, keeping the states before each step.
    std::vector<Numbers> h{row_of(p.initial_h, b, p.units)};
    std::vector<Numbers> c{row_of(p.initial_c, b, p.units)};
    std::vector<Numbers> z;
    for (std::int64_t k = 0; k < p.steps; ++k) {
      const std::int64_t t = p.go_backwards ? p.steps - 1 - k : k;
      h.push_back(h.back());
      c.push_back(c.back());
      z.emplace_back();
      if (!p.mask.empty() && p.mask[at(b, t, p.steps)] == 0) continue;
      z.back() = gates(p, b, t, h.back());
      for (std::int64_t u = 0; u < p.units; ++u) {
        const auto gate = [&](std::int64_t g) { return z.back()[at(g, u, p.units)]; };
        double& state = c.back()[at(0, u, 1)];
        state = activated(p.recurrent_activation, gate(1)) * state +
                activated(p.recurrent_activation, gate(0)) * activated(p.activation, gate(2));
        h.back()[at(0, u, 1)] =
            activated(p.recurrent_activation, gate(3)) * activated(p.activation, state);
      }
    }
    Numbers dh = row_of(grads.last_h, b, p.units);
    Numbers dc = row_of(grads.last_c, b, p.units);
    for (std::int64_t k = p.steps; k-- > 0;) {
      const std::int64_t t = p.go_backwards ? p.steps - 1 - k : k;
      const auto step = static_cast<std::size_t>(k);
      for (std::int64_t u = 0; u < p.units && !grads.sequence.empty(); ++u) {
        dh[at(0, u, 1)] += grads.sequence[at(b * p.steps + k, u, p.units)];
      }
      if (z[step].empty()) continue;
      Numbers dz(static_cast<std::size_t>(wide), 0.0);
      for (std::int64_t u = 0; u < p.units; ++u) {
        const auto gate = [&](std::int64_t g) { return z[step][at(g, u, p.units)]; };
        const auto value = [&](std::int64_t g) {
          return activated(p.recurrent_activation, gate(g));
        };
        const auto slope = [&](std::int64_t g) {
          return activated_slope(p.recurrent_activation, gate(g));
        };
        const double state = c[step + 1][at(0, u, 1)];
        double& cell = dc[at(0, u, 1)];
        cell += dh[at(0, u, 1)] * value(3) * activated_slope(p.activation, state);
        dz[at(0, u, p.units)] = cell * activated(p.activation, gate(2)) * slope(0);
        dz[at(1, u, p.units)] = cell * c[step][at(0, u, 1)] * slope(1);
        dz[at(2, u, p.units)] = cell * value(0) * activated_slope(p.activation, gate(2));
        dz[at(3, u, p.units)] = dh[at(0, u, 1)] * activated(p.activation, state) * slope(3);
        cell *= value(1);
      }
      for (std::int64_t u = 0; u < p.units; ++u) dh[at(0, u, 1)] = 0;
      for (std::int64_t j = 0; j < wide; ++j) {
        const double d = dz[at(0, j, wide)];
        if (!out.bias.empty()) out.bias[at(0, j, wide)] += d;
        for (std::int64_t u = 0; u < p.units; ++u) {
          out.recurrent[at(u, j, wide)] += product(p, h[step][at(0, u, 1)], d);
          dh[at(0, u, 1)] += recurrent_product(p, p.recurrent[at(u, j, wide)], d);
        }
        for (std::int64_t e = 0; e < p.features; ++e) {
          const std::size_t x = at(b * p.steps + t, e, p.features);
          out.kernel[at(e, j, wide)] += product(p, p.in[x], d);
          out.in[x] += product(p, p.kernel[at(e, j, wide)], d);
        }
      }
    }
    for (std::int64_t u = 0; u < p.units; ++u) {
      if (!out.initial_h.empty()) out.initial_h[at(b, u, p.units)] = dh[at(0, u, 1)];
      if (!out.initial_c.empty()) out.initial_c[at(b, u, p.units)] = dc[at(0, u, 1)];
    }
  }
  return out;
}

}  // namespace braid::testing
