#pragma once
#include <string>
#include <vector>

#include <braid/optimizer.hpp>
#include <braid/tensor.hpp>

#include "kernels/launch.hpp"
#include "kernels/optimizer.hpp"

namespace braid {

// One trainable weight and where the gradient of the step lies; a weight that no loss depends on
// has none and stays as it is.
struct ParameterUpdate {
  std::string name;
  float* value = nullptr;
  Shape shape;
  const float* gradient = nullptr;

  std::int64_t count() const { return shape.elements(); }
};

// What an optimizer remembers (moments, step counter, rate), and its step. Work is cut into chunks
// of fixed size that may run on any threads in any order: begin_step, run_chunk for each chunk,
// end_step. Nothing is allocated in a step.
class OptimizerState {
 public:
  // Slots are made for parameters of these names and shapes, all zero.
  OptimizerState(Optimizer rule, const std::vector<ParameterUpdate>& parameters);

  const Optimizer& rule() const { return rule_; }
  std::int64_t iterations() const { return iterations_; }
  double learning_rate() const;
  // NameError if the rate follows a schedule.
  void set_learning_rate(double rate);

  std::int64_t chunks() const { return static_cast<std::int64_t>(chunks_.size()); }
  // Works out the constants and clip factors of the step.
  void begin_step(const kernels::Stream& stream, const std::vector<ParameterUpdate>& parameters);
  void run_chunk(const kernels::Stream& stream, const std::vector<ParameterUpdate>& parameters,
                 std::int64_t chunk) const;
  void end_step() { ++iterations_; }

  // "iteration" (int64 []), "learning_rate" (float32 [], without a schedule), "<weight>/<slot>" for
  // every slot.
  TensorDict save() const;
  // NameError, ShapeError where the state does not fit; then nothing has changed.
  void load(const TensorDict& state);

 private:
  struct Chunk {
    std::size_t parameter;
    std::int64_t begin;
    std::int64_t count;
  };
  struct Slots {
    std::string name;  // of the weight
    std::vector<std::pair<std::string, Tensor>> tensors;
  };

  Optimizer rule_;
  std::int64_t iterations_ = 0;
  float rate_ = 0;
  std::vector<Slots> slots_;
  std::vector<Chunk> chunks_;
  std::vector<float> clip_factors_;  // one a parameter
  std::vector<char> decays_;         // one a parameter: not excluded from weight decay
  float step_rate_ = 0;
  float step_alpha_ = 0;
};

}  // namespace braid
