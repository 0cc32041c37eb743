// How many ulps the functions of the LSTM's gates lie off: those of a GPU one by one, and on every
// backend what a layer makes of them. A GPU's are the kernels' own but for an approximate
// reciprocal, whose error one step of Newton's takes away. A sweep of every 397th float found at
// most: sigmoid 0.98 and tanh 1.39 on a GPU, sigmoid 1.40 and tanh 1.72 on a CPU.
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

// One step of a layer of which each unit's gates see the input, or are open (1), or shut (0).
LstmResults step_of(Backend backend, const std::vector<float>& in, const Numbers& seen,
                    const Numbers& bias, double initial_c) {
  constexpr std::int64_t kUnits = 17;  // whole vectors and a rest
  LstmProblem problem{.rows = static_cast<std::int64_t>(in.size()),
                      .steps = 1,
                      .features = 1,
                      .units = kUnits,
                      .in = Numbers(in.begin(), in.end()),
                      .recurrent = Numbers(4 * kUnits * kUnits, 0.0)};
  for (std::size_t gate = 0; gate < 4; ++gate) {
    problem.kernel.insert(problem.kernel.end(), kUnits, seen[gate]);
    problem.bias.insert(problem.bias.end(), kUnits, bias[gate]);
  }
  problem.initial_h.assign(in.size() * kUnits, 0.0);
  problem.initial_c.assign(in.size() * kUnits, initial_c);
  return LstmKernel(backend, problem).forward();
}

// Of every unit: all are to be the same number.
std::vector<float> first_units(const Numbers& all, std::size_t rows) {
  const std::size_t units = all.size() / rows;
  std::vector<float> first;
  bool same = true;
  for (std::size_t row = 0; row < rows; ++row) {
    first.push_back(static_cast<float>(all[row * units]));
    for (std::size_t u = 1; u < units; ++u) same &= all[row * units + u] == all[row * units];
  }
  CHECK(same);
  return first;
}

}  // namespace

TEST_CASE("lstm gates: a layer's sigmoid and tanh lie within 2 ulps on every backend") {
  std::vector<float> in;
  for (const float end : {20.0F, -87.0F}) add_floats(in, 1e-8F, end, 65521);
  add_floats(in, 16, -18, 499);  // where a sigmoid whose sum rounds twice lies off the most
  for (const Backend backend : tested_backends()) {
    INFO(kernels::name_of(backend));
    // The cell stays at 1000, whose tanh is 1, and the output gate sees the input.
    const LstmResults output_gate = step_of(backend, in, {0, 0, 0, 1}, {0, 200, 0, 0}, 1000);
    check_within(in, first_units(output_gate.last_h, in.size()), ActivationKind::sigmoid, 2);
    // The input gate is open, and the cell becomes the tanh of the input.
    const LstmResults cell = step_of(backend, in, {0, 0, 1, 0}, {200, 0, 0, 200}, 0);
    const std::vector<float> state = first_units(cell.last_c, in.size());
    check_within(in, state, ActivationKind::tanh, 2);
    check_within(state, first_units(cell.last_h, in.size()), ActivationKind::tanh, 2);
  }
}

TEST_CASE("lstm gates: sigmoid and tanh of a GPU keep within their bounds in ulps") {
  // Below -87 the sigmoid stays what it is there.
  std::vector<float> in;
  for (const float end : {87.0F, -87.0F}) add_floats(in, 1e-8F, end, 1021);
  const Backend backend = gpu_backend();
  const samples::Gates gates = gates_on(backend, in);
  check_within(in, gates.sigmoid, ActivationKind::sigmoid, 1.5);
  check_within(in, gates.tanh, ActivationKind::tanh, 1.5);
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
