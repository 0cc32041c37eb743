// How many ulps the functions of the LSTM's gates on a GPU lie off, which are made of CUDA's own
// expf and tanhf. The emulated device has the C library's in their place: what is tested of it is
// what the kernels add to these. On a GPU the bounds follow from CUDA's table, which has expf and
// tanhf within 2 ulps of the rounded result, and a GPU checks them: 2.5 ulps of tanhf; and 2.5 of
// expf are up to 5 of the sigmoid, as the ulp of 1 / e may be half as wide, and 0.6 are its own.
#include <bit>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "tests/simt/gates.hpp"
#include "tests/support/activations.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/kernel_launch.hpp"
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

}  // namespace

TEST_CASE("lstm gates: sigmoid and tanh of a GPU keep within their bounds in ulps") {
  // Below -87 the sigmoid stays what it is there.
  std::vector<float> in;
  for (const float end : {87.0F, -87.0F}) add_floats(in, 1e-8F, end, 1021);
  const Backend backend = gpu_backend();
  const bool on_gpu = backend == Backend::cuda;
  const samples::Gates gates = gates_on(backend, in);
  check_within(in, gates.sigmoid, ActivationKind::sigmoid, on_gpu ? 5.6 : 2);
  check_within(in, gates.tanh, ActivationKind::tanh, 2.5);
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
