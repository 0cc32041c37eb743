// The norms that gradients are clipped to, and the factors that keep them there, against float64.
#include <cmath>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include "engine/core/device_access.hpp"
#include "engine/runtime/device_array.hpp"
#include "engine/runtime/workspace.hpp"
#include "engine/train/optimizer_state.hpp"
#include "kernels/optimizer.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/guarded_matrix.hpp"
#include "tests/support/on_device.hpp"
#include "tests/support/ulps.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

constexpr std::int64_t kChunk = kernels::kShortestNormChunk;

// A gradient in slices, and memory for what its chunks give.
struct Gradient {
  Gradient(std::int64_t count_, std::int64_t slices, RandomNumbers& random)
      : count(count_), in(slices, count_, 5), partials(1, kernels::norm_chunks(count_)) {
    in.fill(random.floats(slices * count, -2, 2));
  }
  kernels::SquaredNorm norm() {
    return {.in = in.data(),
            .slices = in.matrix().rows,
            .slice_stride = in.matrix().stride,
            .count = count,
            .partials = partials.data()};
  }
  // Elements are added up in float32 from first to last slice, their squares in double.
  Numbers expected() {
    Numbers sums;
    const Matrix<float> all = in.matrix();
    for (std::int64_t i = 0; i < count; ++i) {
      float g = all.row(0)[i];
      for (std::int64_t s = 1; s < all.rows; ++s) g += all.row(s)[i];
      if (i % kernels::norm_chunk(count) == 0) sums.push_back(0);
      sums.back() += static_cast<double>(g) * static_cast<double>(g);
    }
    return sums;
  }
  void check() {
    const Numbers wanted = expected();
    const Numbers got = partials.values();
    REQUIRE(got.size() == wanted.size());
    for (std::size_t c = 0; c < got.size(); ++c) CHECK(got[c] == Approx(wanted[c]).epsilon(1e-13));
    CHECK(partials.guards_are_intact());
    CHECK(in.guards_are_intact());
  }
  std::int64_t count;
  GuardedMatrix<float> in;
  GuardedMatrix<double> partials;
};

// None, one, primes, and around the ends of chunks.
constexpr std::int64_t kCounts[] = {
    0, 1, 17, 257, kChunk - 1, kChunk, kChunk + 1, 2 * kChunk, 3 * kChunk + 7, 4099};

// What the factors are worked out from: partials of one gradient behind those of the other.
struct Partials {
  explicit Partials(const std::vector<Numbers>& gradients) : firsts{0} {
    Numbers all;
    for (const Numbers& gradient : gradients) {
      all.insert(all.end(), gradient.begin(), gradient.end());
      firsts.push_back(static_cast<std::int64_t>(all.size()));
    }
    values = GuardedMatrix<double>(1, static_cast<std::int64_t>(all.size()));
    values.fill(all);
  }
  GuardedMatrix<double> values;
  KernelMemory<std::int64_t> firsts;
};

std::vector<double> expected_factors(const std::vector<Numbers>& gradients, double limit,
                                     bool together) {
  double all = 0;
  std::vector<double> squares;
  for (const Numbers& partials : gradients) {
    double square = 0;
    for (const double partial : partials) square += partial;
    squares.push_back(square);
    all += square;
  }
  std::vector<double> factors;
  for (const double square : squares) {
    const double norm = std::sqrt(together ? all : square);
    factors.push_back(norm < limit ? 1 : limit / norm);
  }
  return factors;
}

void check_factors(const std::vector<Numbers>& gradients) {
  const auto count = static_cast<std::int64_t>(gradients.size());
  Partials partials(gradients);
  for (const float limit : {0.5F, 3.0F}) {
    for (const bool together : {false, true}) {
      const std::vector<double> expected =
          expected_factors(gradients, static_cast<double>(limit), together);
      for (const Backend backend : tested_backends()) {
        INFO(kernels::name_of(backend)
             << ", " << count << " gradients, limit " << limit << (together ? ", together" : ""));
        GuardedMatrix<float> factors(1, count);
        launch_on(backend, kernels::ClipFactors{.partials = partials.values.data(),
                                                .firsts = partials.firsts.data(),
                                                .factors = factors.data(),
                                                .count = count,
                                                .limit = limit,
                                                .together = together});
        const std::vector<float> got = factors.elements();
        for (std::size_t i = 0; i < expected.size(); ++i)
          CHECK(error_in_ulps(got[i], expected[i]) <= 3);
        CHECK(factors.guards_are_intact());
      }
    }
  }
}

}  // namespace

TEST_CASE("clipping: the squares of each chunk of each gradient are summed in double") {
  RandomNumbers random(181);
  constexpr std::int64_t kMost = kernels::SquaredNorms::kMost;
  for (const std::int64_t length : {std::int64_t{0}, std::int64_t{1}, std::int64_t{10}, kMost}) {
    for (const std::int64_t slices : {1, 3}) {
      std::vector<Gradient> gradients;
      for (std::int64_t i = 0; i < length; ++i)
        gradients.emplace_back(kCounts[(i * 7 + 5) % 10], slices, random);
      for (const Backend backend : tested_backends()) {
        INFO(kernels::name_of(backend) << ", a list of " << length << ", slices " << slices);
        std::vector<Gradient> listed = gradients;
        kernels::SquaredNorms norms;
        for (Gradient& gradient : listed) norms.each[norms.count++] = gradient.norm();
        launch_on(backend, norms);
        for (Gradient& gradient : listed) gradient.check();
      }
    }
  }
}

TEST_CASE("clipping: the squares of one gradient are summed, whatever its size") {
  RandomNumbers random(182);
  std::vector<std::int64_t> counts(std::begin(kCounts), std::end(kCounts));
  counts.push_back(kChunk * kernels::kMostNormChunks + 1);  // chunks are longer
  for (const std::int64_t count : counts) {
    const Gradient gradient(count, count == kChunk ? 2 : 1, random);
    for (const Backend backend : tested_backends()) {
      INFO(kernels::name_of(backend) << ", n " << count);
      Gradient own = gradient;
      launch_on(backend, own.norm());
      own.check();
    }
  }
}

TEST_CASE("clipping: blocks go on where a list has more chunks than a launch has blocks") {
  RandomNumbers random(187);
  const Gradient gradient(kChunk * kernels::kMostNormChunks, 1, random);
  for (const Backend backend : tested_backends()) {
    INFO(kernels::name_of(backend));
    std::vector<Gradient> listed(3, gradient);
    kernels::SquaredNorms norms;
    for (Gradient& own : listed) norms.each[norms.count++] = own.norm();
    launch_on(backend, norms);
    listed[0].check();
    for (Gradient& own : listed) CHECK(own.partials.values() == listed[0].partials.values());
  }
}

TEST_CASE("clipping: norms have the same bits in every order of threads") {
  RandomNumbers random(183);
  Gradient gradient(5 * kChunk + 77, 2, random);
  Numbers first;
  for (int run = 0; run < 6; ++run) {
    Gradient again = gradient;
    launch_on(gpu_backend(), again.norm());
    const Numbers got = again.partials.values();
    if (run == 0) first = got;
    CHECK(got == first);
  }
}

TEST_CASE("clipping: NaN and infinity stay what they are; no finite gradient's norm is NaN") {
  RandomNumbers random(184);
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double value : {static_cast<double>(NAN), infinity, -infinity, 1e25}) {
    for (const Backend backend : tested_backends()) {
      INFO(kernels::name_of(backend) << ", " << value);
      Gradient gradient(2 * kChunk, 1, random);
      gradient.in.data()[kChunk + 300] = static_cast<float>(value);
      const double sound = gradient.expected()[0];
      launch_on(backend, gradient.norm());
      const Numbers got = gradient.partials.values();
      CHECK(got[0] == Approx(sound).epsilon(1e-13));
      CHECK(std::isnan(got[1]) == std::isnan(value));
      if (!std::isnan(value)) CHECK(got[1] > 1e49);
    }
  }
}

TEST_CASE("clipping: gradients are kept within a norm, each by itself or all together") {
  const double infinity = std::numeric_limits<double>::infinity();
  check_factors({});
  check_factors({{0.25}});
  check_factors({{}, {4}, {}});
  check_factors({{1, 3}, {0}, {0.03125, 0.03125}});
  check_factors({{1e-30}, {1e30, 1e29}, {9}});
  check_factors({{0, 0}, {0}});
  check_factors({{1, NAN}, {4}});
  check_factors({{infinity}, {1}});
}

TEST_CASE("clipping: a factor comes from all partials of its gradient and from no other's") {
  RandomNumbers random(185);
  for (const std::int64_t count : {3, 31, 33, 200}) {
    std::vector<Numbers> gradients;
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t lengths[] = {1, 0, 2, 33, 300, 31, kernels::kMostNormChunks};
      Numbers partials = random.floats(lengths[i % 7], 0.5, 1);
      // Of sizes of its own, the last one as large as all others together.
      for (double& partial : partials) partial *= static_cast<double>(1 + i % 5);
      double sum = 0;
      for (const double partial : partials) sum += partial;
      if (!partials.empty()) partials.back() += sum;
      gradients.push_back(partials);
    }
    check_factors(gradients);
  }
}

namespace {

// A weight of an optimizer, on a device.
struct Weight {
  Weight(std::int64_t count, std::int64_t slices_, bool has_gradient_, RandomNumbers& random)
      : start(random.floats(count, -1, 1)),
        slices(slices_),
        has_gradient(has_gradient_),
        gradient(random.floats(slices * count, -1, 1)) {}
  double summed(std::size_t i) const {
    float sum = 0;
    for (std::size_t at = i; at < gradient.size(); at += start.size())
      sum += static_cast<float>(gradient[at]);
    return static_cast<double>(sum);
  }
  double square() const {
    double square = 0;
    for (std::size_t i = 0; i < start.size(); ++i) square += summed(i) * summed(i);
    return square;
  }
  Numbers start;
  std::int64_t slices;
  bool has_gradient;
  Numbers gradient;
};

Tensor tensor_of(const Numbers& numbers, Device device) {
  const std::vector<float> floats(numbers.begin(), numbers.end());
  return Tensor::from(floats, Shape{static_cast<Dim>(floats.size())}).to(device);
}

// One step of plain descent at rate 1: weights lose their clipped gradients.
void check_step(const std::vector<Weight>& weights, Device device, bool together) {
  std::vector<Tensor> values;
  std::vector<Tensor> gradients;
  std::vector<ParameterUpdate> parameters;
  double all = 0;
  for (const Weight& weight : weights) {
    values.push_back(tensor_of(weight.start, device));
    gradients.push_back(tensor_of(weight.gradient, device));
    const float* const data = reinterpret_cast<const float*>(gradients.back().raw());
    const auto count = static_cast<std::int64_t>(weight.start.size());
    parameters.push_back({std::to_string(values.size()),
                          reinterpret_cast<float*>(values.back().raw()),
                          values.back().shape(),
                          {.data = weight.has_gradient ? data : nullptr,
                           .slices = weight.slices,
                           .slice_stride = count}});
    if (weight.has_gradient) all += weight.square();
  }
  constexpr double kLimit = 0.75;
  optimizers::SGDOptions options{.learning_rate = 1.0};
  (together ? options.global_clipnorm : options.clipnorm) = kLimit;
  OptimizerState state(optimizers::SGD(options), parameters, device);
  const Workspace workspace(device);
  const kernels::UpdateRates rates = state.rates_at(0);
  const DeviceArray<kernels::UpdateRates> rates_there(device, 1, "the rates of a step");
  rates_there.upload({&rates, 1}, 0, workspace.stream().native);
  state.launch(workspace.stream(), parameters, rates_there.data());
  access_to(device).synchronize(workspace.stream().native);
  for (std::size_t w = 0; w < weights.size(); ++w) {
    INFO("weight " << w << " of " << weights[w].start.size());
    const std::vector<float> got = values[w].to(Device::cpu()).to_vector<float>();
    const double norm = std::sqrt(together ? all : weights[w].square());
    const double factor = weights[w].has_gradient ? (norm < kLimit ? 1 : kLimit / norm) : 0;
    int wrong = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
      const double expected = weights[w].start[i] - factor * weights[w].summed(i);
      if (!(std::fabs(static_cast<double>(got[i]) - expected) <= 2e-7)) ++wrong;
    }
    CHECK(wrong == 0);
  }
}

}  // namespace

TEST_CASE("clipping: an optimizer clips each of many weights, of any size, by its own norm") {
  RandomNumbers random(186);
  for (const std::int64_t count : {1, 7, 200}) {
    std::vector<Weight> weights;
    for (std::int64_t i = 0; i < count; ++i) {
      // One is cut into chunks on the CPU, too.
      const std::int64_t sizes[] = {5, 1, 0, 2053, 64, kChunk, 17, 3};
      const std::int64_t size = i == 4 ? 40009 : sizes[i % 8];
      weights.emplace_back(size, i % 3 == 2 ? 3 : 1, i % 11 != 6, random);
    }
    std::vector<Device> devices = gpus();
    devices.push_back(Device::cpu());
    for (const Device device : devices) {
      for (const bool together : {false, true}) {
        INFO(to_string(device) << ", " << count << " weights" << (together ? ", together" : ""));
        check_step(weights, device, together);
      }
    }
  }
}
