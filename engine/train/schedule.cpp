#include "engine/train/schedule.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

#include "engine/core/error.hpp"

namespace braid {
namespace {

float cosine_share(float share) {
  return 0.5F * (1.0F + std::cos(static_cast<float>(std::numbers::pi) * share));
}

}  // namespace

double LearningRate::at(std::int64_t step_number) const {
  const auto number = [&](std::size_t i) { return static_cast<float>(numbers_[i]); };
  const auto step = static_cast<float>(step_number);
  switch (kind_) {
    case Kind::constant: return number(0);
    case Kind::exponential:
    case Kind::inverse_time: {
      float share = step / number(1);
      if (numbers_[3] != 0) share = std::floor(share);
      if (kind_ == Kind::exponential) return number(0) * std::pow(number(2), share);
      return number(0) / (1.0F + number(2) * share);
    }
    case Kind::polynomial: {
      float span = number(1);
      float done = step;
      if (numbers_[4] != 0) {
        span *= step == 0 ? 1.0F : std::ceil(step / span);
      } else {
        done = std::min(step, span);
      }
      return (number(0) - number(2)) * std::pow(1.0F - done / span, number(3)) + number(2);
    }
    case Kind::piecewise: {
      const auto boundaries = static_cast<std::size_t>(numbers_[0]);
      std::size_t part = 0;
      while (part<boundaries&& static_cast<double>(step_number)> numbers_[1 + part]) ++part;
      return number(1 + boundaries + part);
    }
    case Kind::cosine: {
      const bool warms = numbers_[3] >= 0 && numbers_[4] > 0;
      if (warms && step < number(4))
        return number(0) + (number(3) - number(0)) * (step / number(4));
      const float start = warms ? number(3) : number(0);
      const float done = std::min(warms ? step - number(4) : step, number(1)) / number(1);
      return start * ((1.0F - number(2)) * cosine_share(done) + number(2));
    }
    case Kind::cosine_restarts: {
      float done = step / number(1);
      float periods = 0;
      if (numbers_[2] == 1) {
        periods = std::floor(done);
        done -= periods;
      } else {
        periods = std::floor(std::log(1.0F - done * (1.0F - number(2))) / std::log(number(2)));
        const float sum = (1.0F - std::pow(number(2), periods)) / (1.0F - number(2));
        done = (done - sum) / std::pow(number(2), periods);
      }
      const float height = std::pow(number(3), periods);
      return number(0) * ((1.0F - number(4)) * height * cosine_share(done) + number(4));
    }
  }
  return 0;
}

namespace schedules {

using Kind = LearningRate::Kind;

namespace {

double steps_of(const char* schedule, const char* option, double steps) {
  if (steps > 0) return steps;
  throw RangeError(std::string(schedule) + ": " + option + " is " + std::to_string(steps) +
                   "; more than 0 is needed");
}

}  // namespace

LearningRate ExponentialDecay(DecayOptions o) {
  o.decay_steps = steps_of("ExponentialDecay", "decay_steps", o.decay_steps);
  return {Kind::exponential,
          {o.initial_learning_rate, o.decay_steps, o.decay_rate, o.staircase ? 1.0 : 0.0}};
}
LearningRate InverseTimeDecay(DecayOptions o) {
  o.decay_steps = steps_of("InverseTimeDecay", "decay_steps", o.decay_steps);
  return {Kind::inverse_time,
          {o.initial_learning_rate, o.decay_steps, o.decay_rate, o.staircase ? 1.0 : 0.0}};
}
LearningRate PolynomialDecay(PolynomialOptions o) {
  o.decay_steps = steps_of("PolynomialDecay", "decay_steps", o.decay_steps);
  return {
      Kind::polynomial,
      {o.initial_learning_rate, o.decay_steps, o.end_learning_rate, o.power, o.cycle ? 1.0 : 0.0}};
}
LearningRate PiecewiseConstantDecay(PiecewiseOptions o) {
  if (o.values.size() != o.boundaries.size() + 1) {
    throw ShapeError("PiecewiseConstantDecay: " + std::to_string(o.boundaries.size()) +
                     " boundaries need " + std::to_string(o.boundaries.size() + 1) +
                     " values, not " + std::to_string(o.values.size()));
  }
  std::vector<double> numbers{static_cast<double>(o.boundaries.size())};
  numbers.insert(numbers.end(), o.boundaries.begin(), o.boundaries.end());
  numbers.insert(numbers.end(), o.values.begin(), o.values.end());
  return {Kind::piecewise, std::move(numbers)};
}
LearningRate CosineDecay(CosineOptions o) {
  o.decay_steps = steps_of("CosineDecay", "decay_steps", o.decay_steps);
  return {Kind::cosine,
          {o.initial_learning_rate, o.decay_steps, o.alpha, o.warmup_target, o.warmup_steps}};
}
LearningRate CosineDecayRestarts(CosineRestartsOptions o) {
  o.first_decay_steps = steps_of("CosineDecayRestarts", "first_decay_steps", o.first_decay_steps);
  return {Kind::cosine_restarts,
          {o.initial_learning_rate, o.first_decay_steps, o.t_mul, o.m_mul, o.alpha}};
}

}  // namespace schedules
}  // namespace braid
