#pragma once
#include <concepts>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <braid/count.hpp>

namespace braid {

// A learning rate: a number, or a schedule over the steps of an optimizer (namespace schedules).
// Values are float32, as Keras's.
class LearningRate {
 public:
  LearningRate(double rate = 0.001) : numbers_{rate} {}
  template <std::integral Integer>
  LearningRate(Integer rate) : LearningRate(static_cast<double>(rate)) {}

  bool is_schedule() const { return kind_ != Kind::constant; }
  // The rate of step 0, 1, ...
  double at(std::int64_t step) const;

  enum class Kind {
    constant,
    exponential,
    inverse_time,
    polynomial,
    piecewise,
    cosine,
    cosine_restarts
  };
  Kind kind() const { return kind_; }
  // The rule's numbers, in the order of its options; for files.
  const std::vector<double>& numbers() const { return numbers_; }
  LearningRate(Kind kind, std::vector<double> numbers)
      : kind_(kind), numbers_(std::move(numbers)) {}

 private:
  Kind kind_ = Kind::constant;
  std::vector<double> numbers_;
};

namespace schedules {

struct DecayOptions {
  double initial_learning_rate = 0.001;
  double decay_steps = 1;
  double decay_rate = 1;
  bool staircase = false;
};
struct PolynomialOptions {
  double initial_learning_rate = 0.001;
  double decay_steps = 1;
  double end_learning_rate = 0.0001;
  double power = 1;
  bool cycle = false;
};
struct PiecewiseOptions {
  std::vector<double> boundaries;  // a step on a boundary belongs to the part before it
  std::vector<double> values;      // one more than boundaries
};
struct CosineOptions {
  double initial_learning_rate = 0.001;
  double decay_steps = 1;
  double alpha = 0;
  double warmup_target = -1;  // below 0: no warm-up
  double warmup_steps = 0;
};
struct CosineRestartsOptions {
  double initial_learning_rate = 0.001;
  double first_decay_steps = 1;
  double t_mul = 2;
  double m_mul = 1;
  double alpha = 0;
};

// As keras.optimizers.schedules.
LearningRate ExponentialDecay(DecayOptions options);
LearningRate InverseTimeDecay(DecayOptions options);
LearningRate PolynomialDecay(PolynomialOptions options);
LearningRate PiecewiseConstantDecay(PiecewiseOptions options);
LearningRate CosineDecay(CosineOptions options);
LearningRate CosineDecayRestarts(CosineRestartsOptions options);

}  // namespace schedules
}  // namespace braid
