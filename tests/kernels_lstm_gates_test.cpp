// How many ulps the sigmoid and the tanh of an LSTM's gates lie off. They are made of additions and
// multiplications alone, each backend's in its own way, so that the emulated device shows what a
// GPU gives; a division there begins with an approximate reciprocal, which one step of Newton's
// mends.
#include <bit>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "tests/simt/gates.hpp"
#include "tests/support/activations.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/kernel_launch.hpp"
#include "tests/support/lstm_kernel.hpp"
#include "tests/support/ulps.hpp"

using namespace braid;
using namespace braid::testing;
using kernels::ActivationKind;

namespace {

// Every `step`-th float from `low` to `high`, magnitudes of one sign.
void add_floats(std::vector<float>& all, float low, float high, std::uint32_t step) {
  const auto last = std::bit_cast<std::uint32_t>(std::fabs(high));
  for (auto bits = std::bit_cast<std::uint32_t>(std::fabs(low)); bits <= last; bits += step) {
    all.push_back(std::copysign(std::bit_cast<float>(bits), high));
  }
}

void check_within(const std::vector<float>& in, const std::vector<float>& got, ActivationKind kind,
                  double bound) {
  double worst = 0;
  float worst_at = 0;
  for (std::size_t i = 0; i < in.size(); ++i) {
    const double error = error_in_ulps(got[i], activated({kind}, static_cast<double>(in[i])));
    if (error > worst) worst_at = in[i];
    worst = std::fmax(worst, error);
  }
  INFO(name_of(kernels::Activation{kind}) << ": " << worst << " ulps at " << worst_at);
  CHECK(worst < bound);
}

samples::Gates gates_on(Backend backend, const std::vector<float>& in) {
#if BRAID_WITH_CUDA
  if (backend == Backend::cuda) return samples::cuda::gates_of(in);
#endif
  static_cast<void>(backend);
  return samples::emulated::gates_of(in);
}

// The cell states of an LSTM of one step and one unit whose gate number `gate` (of i, f, g, o) has
// these inputs: they are the gate's values, as the others make factors of 1 and terms of 0.
std::vector<float> values_of_gate(Backend backend, std::size_t gate, const std::vector<float>& in) {
  constexpr std::size_t kForget = 1;
  constexpr double kSurelyOne = 40;
  LstmProblem problem{.rows = static_cast<std::int64_t>(in.size()),
                      .steps = 1,
                      .features = 1,
                      .units = 1,
                      .in = Numbers(in.begin(), in.end()),
                      .kernel = {0, 0, 0, 0},
                      .recurrent = {0, 0, 0, 0},
                      .bias = {kSurelyOne, 0, 0, 0},
                      .initial_h = Numbers(in.size(), 0),
                      .initial_c = Numbers(in.size(), gate == kForget ? 1 : 0)};
  problem.kernel[gate] = 1;
  const Numbers states = LstmKernel(backend, problem).forward().last_c;
  return {states.begin(), states.end()};
}

}  // namespace

TEST_CASE("lstm gates: sigmoid and tanh are within their bounds in ulps wherever an LSTM runs") {
  std::vector<float> in;
  for (const float end : {87.0F, -87.0F}) add_floats(in, 1e-8F, end, 16411);
  for (const Backend backend : tested_backends()) {
    INFO(kernels::name_of(backend));
    check_within(in, values_of_gate(backend, 1, in), ActivationKind::sigmoid, 2);
    check_within(in, values_of_gate(backend, 2, in), ActivationKind::tanh, 2);
  }
}

TEST_CASE("lstm gates: sigmoid and tanh of a GPU keep within their bounds in ulps") {
  // Below -87 the sigmoid stays what it is there.
  std::vector<float> in;
  for (const float end : {87.0F, -87.0F}) add_floats(in, 1e-8F, end, 1021);
  const Backend backend = gpu_backend();
  const samples::Gates gates = gates_on(backend, in);
  check_within(in, gates.sigmoid, ActivationKind::sigmoid, 2);
  check_within(in, gates.tanh, ActivationKind::tanh, 2);
}

TEST_CASE("lstm gates: the sigmoid of what is far below stays a small number, and of NaN NaN") {
  const samples::Gates gates =
      gates_on(gpu_backend(), {-88, -104, -1e30F, -INFINITY, NAN, 200, INFINITY});
  for (int i = 0; i < 4; ++i) {
    CHECK(gates.sigmoid[static_cast<std::size_t>(i)] >= 0);
    CHECK(gates.sigmoid[static_cast<std::size_t>(i)] < 2e-38F);
  }
  CHECK(std::isnan(gates.sigmoid[4]));
  CHECK(gates.sigmoid[5] == 1);
  CHECK(gates.sigmoid[6] == 1);
}
