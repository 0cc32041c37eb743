// How many ulps the elementary functions of the kernels lie off, over dense sweeps of all floats
// where they are neither constant nor the identity. A sweep of every such float found at most:
// exponential 1.03, tanh 1.33, sigmoid 1.10, softplus 1.99, gelu above -1 2.04, between
// -2 and -1 5.62.
#include <bit>
#include <cmath>
#include <functional>
#include <vector>

#include "kernels/activation.hpp"
#include "tests/support/activations.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/guarded_matrix.hpp"
#include "tests/support/ulps.hpp"

using namespace braid;
using namespace braid::testing;
using kernels::Activation;
using kernels::ActivationKind;

namespace {

// Every `step`-th float of magnitudes `low` to `high`, of one sign.
Numbers floats_between(float low, float high, std::uint32_t step) {
  const bool negative = high < 0;
  Numbers all;
  const auto last = std::bit_cast<std::uint32_t>(std::fabs(high));
  for (auto bits = std::bit_cast<std::uint32_t>(std::fabs(low)); bits <= last; bits += step) {
    const auto value = static_cast<double>(std::bit_cast<float>(bits));
    all.push_back(negative ? -value : value);
  }
  return all;
}

struct Sweep {
  Activation activation;
  float low;   // the magnitude that is nearer to 0
  float high;  // of the same sign
  double bound;
  std::uint32_t step = 1021;
};

}  // namespace

TEST_CASE("accuracy: elementary functions keep within their bounds in ulps") {
  const std::vector<Sweep> sweeps{
      {{ActivationKind::exponential}, 1e-8F, 88.8F, 1.05},
      {{ActivationKind::exponential}, -1e-8F, -104.5F, 1.05},
      // Every float where the result leaves the finite ones, and where it reaches 0.
      {{ActivationKind::exponential}, 88.71F, 88.73F, 1.05, 1},
      {{ActivationKind::exponential}, -103.9F, -104.1F, 1.05, 1},
      {{ActivationKind::tanh}, 1e-8F, 10, 1.4},
      {{ActivationKind::tanh}, -1e-8F, -10, 1.4},
      {{ActivationKind::sigmoid}, 1e-8F, 20, 1.15},
      {{ActivationKind::sigmoid}, -1e-8F, -104.5F, 1.15},
      {{ActivationKind::softplus}, 1e-8F, 20, 2},
      {{ActivationKind::softplus}, -1e-8F, -104.5F, 2},
      {{ActivationKind::gelu}, 1e-8F, 6, 2},
      {{ActivationKind::gelu}, -1e-8F, -1, 2.1},
      {{ActivationKind::gelu}, -1, -2, 6},
      {{ActivationKind::elu, 1.0F}, -1e-8F, -20, 2},
  };
  for (const Sweep& sweep : sweeps) {
    const Numbers x = floats_between(sweep.low, sweep.high, sweep.step);
    GuardedMatrix<float> in(x, static_cast<std::int64_t>(x.size()));
    Numbers exact;
    for (const double value : x) exact.push_back(activated(sweep.activation, value));
    for (const Backend backend : tested_backends()) {
      GuardedMatrix<float> out(1, in.matrix().columns);
      launch_on(backend,
                kernels::ActivationForward{
                    .in = in.matrix(), .out = out.matrix(), .activation = sweep.activation});
      const std::vector<float> got = out.elements();
      double worst = 0;
      double worst_at = 0;
      for (std::size_t i = 0; i < x.size(); ++i) {
        const double error = error_in_ulps(got[i], exact[i]);
        if (error > worst) worst_at = x[i];
        worst = std::fmax(worst, error);
      }
      INFO(name_of(sweep.activation) << " on " << kernels::name_of(backend) << " at " << worst_at);
      CHECK(worst < sweep.bound);
    }
  }
}
