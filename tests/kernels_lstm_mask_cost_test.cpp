// What masked steps of an LSTM cost on a GPU, where a block takes its rows through all of time: the
// emulated device counts what a step waits for, launches, barriers and exchanges of lanes.
#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "kernels/lstm_gpu.hpp"
#include "kernels/simt/launch_records.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/emulated_gpu_scope.hpp"
#include "tests/support/kernel_launch.hpp"
#include "tests/support/lstm_kernel.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

struct Cost {
  std::int64_t launches = 0;
  std::int64_t barriers = 0;
  std::int64_t shuffles = 0;
  bool operator==(const Cost&) const = default;
};

// Of the steps' kernels, both directions; others have to look at the mask.
std::map<std::string, Cost> costs_until_now() {
  std::map<std::string, Cost> costs;
  for (const auto& [name, record] : simt::launch_records()) {
    const std::string kernel = short_kernel_name(name);
    const std::string function = kernel.substr(0, kernel.find('<'));
    if (function != "lstm_forward_kernel" && function != "lstm_backward_kernel") continue;
    Cost& cost = costs[function];
    cost.launches += record.launches;
    cost.barriers += record.barriers;
    cost.shuffles += record.shuffles;
  }
  return costs;
}

std::map<std::string, Cost> costs_of(const LstmProblem& problem, const LstmOutputGrads& grads) {
  std::map<std::string, Cost> costs = costs_until_now();
  LstmKernel kernel(Backend::emulated, problem);
  static_cast<void>(kernel.forward());
  static_cast<void>(kernel.backward(grads));
  std::map<std::string, Cost> after = costs_until_now();
  for (auto& [function, cost] : after) {
    const Cost& before = costs[function];
    cost = {cost.launches - before.launches, cost.barriers - before.barriers,
            cost.shuffles - before.shuffles};
  }
  return after;
}

// The numbers of valid steps of each row, as a mask: scattered over the steps, or all in front.
Numbers scattered(const std::vector<std::int64_t>& counts, std::int64_t steps) {
  Numbers mask(counts.size() * static_cast<std::size_t>(steps), 0);
  for (std::size_t row = 0; row < counts.size(); ++row) {
    for (std::int64_t i = 0; i < counts[row]; ++i) {
      const std::int64_t step = (i * steps + static_cast<std::int64_t>(row)) / counts[row] % steps;
      mask[row * static_cast<std::size_t>(steps) + static_cast<std::size_t>(step)] = 1;
    }
  }
  return mask;
}
Numbers in_front(const std::vector<std::int64_t>& counts, std::int64_t steps) {
  Numbers mask;
  for (const std::int64_t count : counts) {
    for (std::int64_t step = 0; step < steps; ++step) mask.push_back(step < count ? 1 : 0);
  }
  return mask;
}

}  // namespace

TEST_CASE("lstm on a gpu: masked steps cost no launch, no barrier and no exchange of lanes") {
  const EmulatedGpuScope gpu(kH100);
  if (gpu_backend() != Backend::emulated) return;
  RandomNumbers random(53);
  const std::vector<std::vector<std::int64_t>> rows_of_counts{{6}, {1}, {0}, {6, 0, 3, 5, 1}};
  for (const std::int64_t units : {16, 64, 128}) {
    for (const std::vector<std::int64_t>& counts : rows_of_counts) {
      const auto rows = static_cast<std::int64_t>(counts.size());
      const std::int64_t longest = std::max<std::int64_t>(std::ranges::max(counts), 1);
      INFO(rows << " rows, the longest of " << longest << " steps, " << units << " units");
      LstmProblem valid = random_lstm({rows, longest, 3, units}, random);
      valid.mask = in_front(counts, longest);
      LstmProblem masked = random_lstm({rows, 5 * longest + 7, 3, units}, random);
      masked.mask = scattered(counts, masked.steps);
      const auto of_valid = costs_of(valid, random_grads(valid, random));
      const auto of_masked = costs_of(masked, random_grads(masked, random));
      REQUIRE(of_valid.size() == 2);
      for (const auto& [kernel, cost] : of_valid) {
        INFO(kernel << ": " << cost.launches << " launches, " << cost.barriers << " barriers, "
                    << cost.shuffles << " shuffles");
        const Cost& with_masked_steps = of_masked.at(kernel);
        CHECK(with_masked_steps.launches == cost.launches);
        CHECK(with_masked_steps.barriers == cost.barriers);
        CHECK(with_masked_steps.shuffles == cost.shuffles);
      }
      CHECK(of_masked.at("lstm_forward_kernel").launches == 1);
      // One before the first step, and one a step.
      if (rows == 1) CHECK(of_masked.at("lstm_forward_kernel").barriers == counts[0] + 1);
    }
  }
}
