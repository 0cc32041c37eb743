// The optimizers' kernels against Keras's rules: in float64 over several steps, and in float32 bit
// for bit.
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "engine/core/error.hpp"
#include "engine/train/optimizer_state.hpp"
#include "kernels/optimizer.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/guarded_matrix.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

// What any of the rules takes; floats, as kernels get them.
struct Rule {
  enum Kind { kSgd, kRmsprop, kAdam };
  Kind kind = kSgd;
  std::string name;
  float momentum = 0;
  bool nesterov = false;
  bool centered = false;
  bool amsgrad = false;
  float weight_decay = 0;

  float rate = 0.05F;
  float rho = 0.9F;
  float one_minus_rho = 0.1F;
  float one_minus_beta_1 = 0.1F;
  float one_minus_beta_2 = 0.001F;
  float epsilon = 1e-7F;
  // Adam's alpha at step t.
  float alpha(int t) const {
    const auto step = static_cast<float>(t);
    return rate * std::sqrt(1 - std::pow(0.999F, step)) / (1 - std::pow(0.9F, step));
  }
};

const std::vector<Rule>& rules() {
  static const std::vector<Rule> all{
      {.kind = Rule::kSgd, .name = "sgd"},
      {.kind = Rule::kSgd, .name = "sgd with decay", .weight_decay = 0.04F},
      {.kind = Rule::kSgd, .name = "sgd with momentum", .momentum = 0.9F, .weight_decay = 0.04F},
      {.kind = Rule::kSgd, .name = "sgd with nesterov", .momentum = 0.9F, .nesterov = true},
      {.kind = Rule::kRmsprop, .name = "rmsprop"},
      {.kind = Rule::kRmsprop, .name = "rmsprop with decay", .weight_decay = 0.04F},
      {.kind = Rule::kRmsprop, .name = "rmsprop with momentum", .momentum = 0.8F},
      {.kind = Rule::kRmsprop, .name = "rmsprop, centered", .centered = true},
      {.kind = Rule::kRmsprop,
       .name = "rmsprop, centered, with momentum",
       .momentum = 0.8F,
       .centered = true,
       .weight_decay = 0.04F},
      {.kind = Rule::kAdam, .name = "adam"},
      {.kind = Rule::kAdam, .name = "adamw", .weight_decay = 0.04F},
      {.kind = Rule::kAdam, .name = "adam with amsgrad", .amsgrad = true},
      {.kind = Rule::kAdam, .name = "adamw with amsgrad", .amsgrad = true, .weight_decay = 0.04F},
  };
  return all;
}

// One parameter and what its rule remembers of it: m, v and the third (average or maximum).
template <class Real>
struct Parameter {
  Real w = 0;
  Real m = 0;
  Real v = 0;
  Real third = 0;
};

// One step as Keras writes it, operation by operation.
template <class Real>
void step(const Rule& rule, Parameter<Real>& p, Real g, int t) {
  p.w = p.w - p.w * (Real{rule.weight_decay} * Real{rule.rate});
  switch (rule.kind) {
    case Rule::kSgd:
      if (rule.momentum == 0) {
        p.w = p.w - g * Real{rule.rate};
      } else {
        p.m = p.m * Real{rule.momentum} - g * Real{rule.rate};
        p.w = p.w + (rule.nesterov ? p.m * Real{rule.momentum} - g * Real{rule.rate} : p.m);
      }
      break;
    case Rule::kRmsprop: {
      p.v = Real{rule.rho} * p.v + Real{rule.one_minus_rho} * (g * g);
      Real denominator = p.v + Real{rule.epsilon};
      if (rule.centered) {
        p.third = Real{rule.rho} * p.third + Real{rule.one_minus_rho} * g;
        denominator = p.v - p.third * p.third + Real{rule.epsilon};
      }
      const Real increment = Real{rule.rate} * g / std::sqrt(denominator);
      if (rule.momentum == 0) {
        p.w = p.w - increment;
      } else {
        p.m = Real{rule.momentum} * p.m + increment;
        p.w = p.w - p.m;
      }
      break;
    }
    case Rule::kAdam: {
      p.m = p.m + (g - p.m) * Real{rule.one_minus_beta_1};
      p.v = p.v + (g * g - p.v) * Real{rule.one_minus_beta_2};
      p.third = std::max(p.third, p.v);
      const Real root = std::sqrt(rule.amsgrad ? p.third : p.v);
      p.w = p.w - p.m * Real{rule.alpha(t)} / (root + Real{rule.epsilon});
      break;
    }
  }
}

// How the gradient comes.
struct Source {
  std::int64_t slices = 1;
  float factor = 1;  // 1: absent
  float clip = 0;    // 0: none
};
constexpr Source kSources[] = {{}, {3}, {1, 0.25F}, {1, 1, 0.5F}, {2, 0.75F, 0.6F}};

template <class Real>
Real gradient_of(const Numbers& slices, const Source& source, std::int64_t count, std::int64_t i) {
  Real g = 0;
  for (std::int64_t s = 0; s < source.slices; ++s)
    g = g + static_cast<Real>(slices[static_cast<std::size_t>(s * count + i)]);
  if (source.factor != 1) g = g * Real{source.factor};
  if (source.clip > 0) g = std::min(std::max(g, -Real{source.clip}), Real{source.clip});
  return g;
}

// The kernel's parameters, in guarded memory.
class Parameters {
 public:
  explicit Parameters(const Numbers& start)
      : count_(static_cast<std::int64_t>(start.size())),
        w_(1, count_),
        m_(1, count_),
        v_(1, count_),
        third_(1, count_) {
    w_.fill(start);
    for (auto* slot : {&m_, &v_, &third_}) slot->fill(Numbers(start.size(), 0.0));
  }

  // Elements first .. last - 1 alone.
  void step(Backend backend, const Rule& rule, const Source& source,
            GuardedMatrix<float>& gradients, int t, std::int64_t first, std::int64_t last) {
    GuardedMatrix<float> factor(Numbers{static_cast<double>(source.factor)}, 1);
    const kernels::GradientSource gradient{.data = gradients.data() + first,
                                           .slices = source.slices,
                                           .slice_stride = gradients.matrix().stride,
                                           .factor = source.factor == 1 ? nullptr : factor.data(),
                                           .clip_value = source.clip};
    const KernelMemory<kernels::UpdateRates> rates{{rule.rate, rule.alpha(t)}};
    const bool has_momentum = rule.momentum != 0;
    float* const w = w_.data() + first;
    float* const m = m_.data() + first;
    float* const v = v_.data() + first;
    float* const third = third_.data() + first;
    switch (rule.kind) {
      case Rule::kSgd:
        return launch_on(backend, kernels::SgdUpdate{.gradient = gradient,
                                                     .parameter = w,
                                                     .velocity = has_momentum ? m : nullptr,
                                                     .count = last - first,
                                                     .rates = rates.data(),
                                                     .momentum = rule.momentum,
                                                     .weight_decay = rule.weight_decay,
                                                     .nesterov = rule.nesterov});
      case Rule::kRmsprop:
        return launch_on(backend,
                         kernels::RmspropUpdate{.gradient = gradient,
                                                .parameter = w,
                                                .velocity = v,
                                                .momentum_slot = has_momentum ? m : nullptr,
                                                .average = rule.centered ? third : nullptr,
                                                .count = last - first,
                                                .rates = rates.data(),
                                                .rho = rule.rho,
                                                .one_minus_rho = rule.one_minus_rho,
                                                .momentum = rule.momentum,
                                                .epsilon = rule.epsilon,
                                                .weight_decay = rule.weight_decay});
      case Rule::kAdam:
        return launch_on(backend,
                         kernels::AdamUpdate{.gradient = gradient,
                                             .parameter = w,
                                             .momentum = m,
                                             .velocity = v,
                                             .velocity_max = rule.amsgrad ? third : nullptr,
                                             .count = last - first,
                                             .rates = rates.data(),
                                             .one_minus_beta_1 = rule.one_minus_beta_1,
                                             .one_minus_beta_2 = rule.one_minus_beta_2,
                                             .epsilon = rule.epsilon,
                                             .weight_decay = rule.weight_decay});
    }
  }
  bool guards_are_intact() const {
    return w_.guards_are_intact() && m_.guards_are_intact() && v_.guards_are_intact() &&
           third_.guards_are_intact();
  }
  std::vector<float> weights() { return w_.elements(); }
  std::vector<float> momentums() { return m_.elements(); }
  std::vector<float> velocities() { return v_.elements(); }

 private:
  std::int64_t count_;
  GuardedMatrix<float> w_;
  GuardedMatrix<float> m_;
  GuardedMatrix<float> v_;
  GuardedMatrix<float> third_;
};

// Gradients of several steps: of very different sizes, some 0.
std::vector<Numbers> gradients_of_steps(int steps, std::int64_t count, RandomNumbers& random) {
  std::vector<Numbers> all;
  for (int t = 0; t < steps; ++t) {
    Numbers gradients = random.floats(count, -2, 2);
    for (std::size_t i = 0; i < gradients.size(); i += 5) gradients[i] /= 1024;
    for (std::size_t i = 3; i < gradients.size(); i += 7) gradients[i] = 0;
    all.push_back(gradients);
  }
  return all;
}

// Around the blocks of 256 in which kernels work.
constexpr std::int64_t kCounts[] = {0, 1, 17, 255, 257, 600};
constexpr int kSteps = 5;

}  // namespace

TEST_CASE("optimizer: five steps of every rule are Keras's in float64, however gradients come") {
  RandomNumbers random(141);
  for (const Rule& rule : rules()) {
    for (const Source& source : kSources) {
      for (const std::int64_t count : kCounts) {
        const Numbers start = random.floats(count, -1, 1);
        const auto gradients = gradients_of_steps(kSteps, source.slices * count, random);
        std::vector<Parameter<double>> expected;
        for (const double w : start) expected.push_back({.w = w});
        for (int t = 1; t <= kSteps; ++t) {
          for (std::int64_t i = 0; i < count; ++i) {
            step(rule, expected[static_cast<std::size_t>(i)],
                 gradient_of<double>(gradients[static_cast<std::size_t>(t - 1)], source, count, i),
                 t);
          }
        }
        for (const Backend backend : tested_backends()) {
          INFO(rule.name << " on " << kernels::name_of(backend) << ", n " << count << ", slices "
                         << source.slices << ", factor " << source.factor << ", clip "
                         << source.clip);
          Parameters got(start);
          for (int t = 1; t <= kSteps; ++t) {
            GuardedMatrix<float> slices(source.slices, count, 3);
            slices.fill(gradients[static_cast<std::size_t>(t - 1)]);
            got.step(backend, rule, source, slices, t, 0, count);
          }
          const std::vector<float> weights = got.weights();
          int wrong = 0;
          for (std::size_t i = 0; i < expected.size(); ++i) {
            // Five roundings of the weight, and of each change a few millionths; more where a
            // difference of near numbers stands under the root.
            const double way = std::fabs(expected[i].w - start[i]) + kSteps * 0.05;
            const double allowed = (rule.centered ? 2e-5 : 2e-6) * way + kSteps * 0x1p-24;
            const double error = std::fabs(static_cast<double>(weights[i]) - expected[i].w);
            if (!(error <= allowed)) ++wrong;
          }
          CHECK(wrong == 0);
          CHECK(got.guards_are_intact());
        }
      }
    }
  }
}

TEST_CASE("optimizer: every operation is rounded by itself, in Keras's order, on every backend") {
  RandomNumbers random(142);
  constexpr std::int64_t kCount = 523;
  for (const Rule& rule : rules()) {
    for (const Source& source : kSources) {
      const Numbers start = random.floats(kCount, -1, 1);
      const auto gradients = gradients_of_steps(kSteps, source.slices * kCount, random);
      std::vector<Parameter<float>> expected;
      for (const double w : start) expected.push_back({.w = static_cast<float>(w)});
      std::vector<Parameters> got(tested_backends().size(), Parameters(start));
      for (int t = 1; t <= kSteps; ++t) {
        const Numbers& now = gradients[static_cast<std::size_t>(t - 1)];
        std::vector<float> w;
        std::vector<float> m;
        std::vector<float> v;
        for (std::int64_t i = 0; i < kCount; ++i) {
          Parameter<float>& parameter = expected[static_cast<std::size_t>(i)];
          step(rule, parameter, gradient_of<float>(now, source, kCount, i), t);
          w.push_back(parameter.w);
          m.push_back(parameter.m);
          v.push_back(parameter.v);
        }
        GuardedMatrix<float> slices(source.slices, kCount, 3);
        slices.fill(now);
        for (std::size_t b = 0; b < got.size(); ++b) {
          INFO(rule.name << " on " << kernels::name_of(tested_backends()[b]) << ", step " << t);
          // In chunks, as threads do it, from last to first.
          for (const std::int64_t first : {300, 256, 7, 0})
            got[b].step(tested_backends()[b], rule, source, slices, t, first,
                        first == 300 ? kCount : (first == 256 ? 300 : (first == 7 ? 256 : 7)));
          CHECK(got[b].weights() == w);
          CHECK(got[b].momentums() == m);
          CHECK(got[b].velocities() == v);
        }
      }
    }
  }
}

TEST_CASE("optimizer: NaN and infinity in a gradient are not clipped away unseen") {
  for (const Rule& rule : rules()) {
    for (const Backend backend : tested_backends()) {
      INFO(rule.name << " on " << kernels::name_of(backend));
      Parameters got(Numbers(19, 0.5));
      GuardedMatrix<float> gradients(Numbers(19, 0.25), 19);
      gradients.data()[4] = std::numeric_limits<float>::quiet_NaN();
      gradients.data()[17] = std::numeric_limits<float>::infinity();
      got.step(backend, rule, {.clip = 1}, gradients, 1, 0, 19);
      const std::vector<float> weights = got.weights();
      for (std::size_t i = 0; i < 19; ++i) CHECK(std::isnan(weights[i]) == (i == 4));
      // The clip of infinity is the limit.
      CHECK(weights[17] < 0.5F);
    }
  }
}

TEST_CASE("optimizer: Adam takes the powers of its betas as float32, as Keras does") {
  Tensor value = Tensor::from(std::vector<float>{0, 0, 0}, Shape{3});
  Tensor gradient = Tensor::from(std::vector<float>{1, -0.5F, 0.125F}, Shape{3});
  std::vector<ParameterUpdate> parameters{
      {"w", value.data<float>(), value.shape(), {.data = gradient.data<float>()}}};
  OptimizerState state(optimizers::Adam({.learning_rate = 0.05}), parameters, Device::cpu());
  const Rule rule{.kind = Rule::kAdam, .name = "adam"};
  std::vector<Parameter<float>> expected(3);
  for (int t = 1; t <= kSteps; ++t) {
    for (std::size_t i = 0; i < 3; ++i) step(rule, expected[i], gradient.data<float>()[i], t);
    const kernels::UpdateRates rates = state.rates_at(state.iterations());
    state.launch({}, parameters, &rates);
    state.end_steps(1);
    for (std::size_t i = 0; i < 3; ++i) CHECK(value.data<float>()[i] == expected[i].w);
  }
  // Exact powers would have given another first step.
  const double exact = 0.05 * std::sqrt(1 - 0.999) / (1 - 0.9);
  CHECK(std::fabs(static_cast<double>(rule.alpha(1)) / exact - 1) > 5e-6);
}

TEST_CASE("optimizer: a state that does not fit is refused, and nothing has changed") {
  Tensor value = Tensor::zeros({3});
  OptimizerState state(optimizers::Adam({.learning_rate = 0.05}),
                       {{"w", value.data<float>(), value.shape(), {}}}, Device::cpu());
  state.end_steps(2);
  TensorDict given = state.save();
  given.set("iteration", Tensor::from(std::vector<std::int64_t>{7}, Shape{}));
  given.set("learning_rate", Tensor::from(std::vector<std::int64_t>{1}, Shape{}));
  CHECK_THROWS_AS(state.load(given), DTypeError);
  CHECK(state.iterations() == 2);
  given.set("learning_rate", Tensor::from(std::vector<float>{0.25F}, Shape{}));
  state.load(given);
  CHECK(state.iterations() == 7);
  CHECK(state.learning_rate() == 0.25);
}
