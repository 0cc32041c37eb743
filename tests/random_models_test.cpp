// Models that nobody thought of: whatever way their steps go, what comes out is the same.
#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/support/catch.hpp"
#include "tests/support/emulated_gpu_scope.hpp"
#include "tests/support/on_device.hpp"
#include "tests/support/random_model.hpp"

namespace braid::testing {
namespace {

struct Trained {
  std::vector<double> logs;
  std::vector<std::vector<float>> tensors;  // predictions, then weights
  bool operator==(const Trained&) const = default;
};

Trained trained(std::uint64_t seed, Device device) {
  const OnDevice here(device);
  Sample sample = random_model(seed);
  const std::int64_t rows = sample.y.begin()->second.shape()[0];
  const std::int64_t batch = 1 + static_cast<std::int64_t>(seed) % rows;
  FitOptions options{.batch_size = batch, .epochs = 2, .verbose = 0, .seed = 3};
  if (seed % 3 == 0) options.sample_weight = uniform({rows, 1}, 5);
  const History history = sample.model.fit(sample.x, sample.y, options);
  Trained result;
  for (const std::string& name : history.names()) {
    for (const double value : history[name]) result.logs.push_back(value);
  }
  for (const auto& [name, value] : sample.model.evaluate(sample.x, sample.y, {.batch_size = batch}))
    result.logs.push_back(value);
  for (const auto& [name, tensor] : sample.model.predict(sample.x, {.batch_size = batch}))
    result.tensors.push_back(tensor.to_vector<float>());
  for (const auto& [name, tensor] : sample.model.get_weights())
    result.tensors.push_back(tensor.to_vector<float>());
  return result;
}

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The largest difference as a share of the largest number, or of a hundredth.
template <typename T>
double distance(const std::vector<T>& a, const std::vector<T>& b) {
  if (a.size() != b.size()) return kInfinity;
  double largest = 0.01;
  double apart = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    if (std::isnan(difference)) return kInfinity;
    largest = std::max(largest, std::abs(static_cast<double>(a[i])));
    apart = std::max(apart, difference);
  }
  return apart / largest;
}

double distance(const Trained& a, const Trained& b) {
  if (a.tensors.size() != b.tensors.size()) return kInfinity;
  double most = distance(a.logs, b.logs);
  for (std::size_t i = 0; i < a.tensors.size(); ++i)
    most = std::max(most, distance(a.tensors[i], b.tensors[i]));
  return most;
}

void check_all_ways(std::uint64_t seed) {
  // Sums may be made in other orders; of several hundred models none was further off than 3e-6.
  constexpr double kRoundings = 1e-5;
  INFO("model " << seed);
  const Trained expected = trained(seed, Device::cpu());
  {
    const Environment unfused("BRAID_FUSION", "off");
    CHECK(distance(trained(seed, Device::cpu()), expected) < kRoundings);
  }
  constexpr int kArchitectures[] = {75, 80, 86, 90};
  const EmulatedGpuScope gpu(kArchitectures[seed % 4]);
  const Trained replayed = trained(seed, Device::emulated());
  CHECK(distance(replayed, expected) < kRoundings);
  {
    const WithoutRecordings launched;
    CHECK(trained(seed, Device::emulated()) == replayed);
  }
  const Streamed streamed(300);
  CHECK(trained(seed, Device::emulated()) == replayed);
}

}  // namespace

TEST_CASE("random models: fused or not, on processor and devices, replayed or streamed") {
  const Environment quiet("BRAID_WARNINGS", "off");
  for (std::uint64_t seed = 0; seed < 12; ++seed) check_all_ways(seed);
}

// For whoever changes what plans or fuses steps; takes minutes.
TEST_CASE("random models: hundreds of them", "[.][many]") {
  const Environment quiet("BRAID_WARNINGS", "off");
  for (std::uint64_t seed = 12; seed < 500; ++seed) check_all_ways(seed);
}

}  // namespace braid::testing
