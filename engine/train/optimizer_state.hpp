#pragma once
#include <cstddef>
#include <memory>
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
  kernels::GradientSource gradient;  // without factor and clip

  std::int64_t count() const { return shape.elements(); }
};

// What an optimizer remembers (moments, step counter, rate), and its step. On the CPU the work is
// cut into chunks of fixed size for all cores; elsewhere many parameters are one launch. Nothing is
// allocated in a step.
class OptimizerState {
 public:
  // Slots are made for parameters of these names and shapes, all zero, where the parameters are.
  OptimizerState(Optimizer rule, const std::vector<ParameterUpdate>& parameters, Device device);

  const Optimizer& rule() const { return rule_; }
  std::int64_t iterations() const { return iterations_; }
  double learning_rate() const;
  // NameError if the rate follows a schedule.
  void set_learning_rate(double rate);

  // What changes from step to step, at an iteration.
  kernels::UpdateRates rates_at(std::int64_t iteration) const;
  // The launches are the same every time; the rates are read when they are carried out, on the
  // device of the parameters.
  void launch(const kernels::Stream& stream, const std::vector<ParameterUpdate>& parameters,
              const kernels::UpdateRates* rates) const;
  void end_steps(std::int64_t count) { iterations_ += count; }

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
    std::int64_t first_partial;  // of its squared norm
  };
  // Chunks one after another, of small weights several, that are worth another core.
  struct Share {
    std::size_t first;
    std::size_t count;
  };
  struct Slots {
    std::string name;  // of the weight
    std::vector<std::pair<std::string, Tensor>> tensors;
  };

  void launch_clipping(const kernels::Stream& stream,
                       const std::vector<ParameterUpdate>& parameters) const;
  // What every rule is told of a chunk.
  struct ChunkOperands {
    kernels::GradientSource gradient;
    float* value;
    float* slots[3];  // absent: null
    const kernels::UpdateRates* rates;
    float weight_decay;
  };
  ChunkOperands operands_of(const ParameterUpdate& parameter, const Chunk& chunk,
                            const kernels::UpdateRates* rates) const;
  kernels::SgdUpdate sgd_update(const ChunkOperands& chunk, std::int64_t count) const;
  kernels::RmspropUpdate rmsprop_update(const ChunkOperands& chunk, std::int64_t count) const;
  kernels::AdamUpdate adam_update(const ChunkOperands& chunk, std::int64_t count) const;
  void share_out_chunks();
  // A launch for each chunk that has a gradient on the CPU, for each list of them elsewhere.
  template <class List, class Make>
  void launch_chunks(const kernels::Stream& stream, const std::vector<ParameterUpdate>& parameters,
                     const Make& make) const;

  Optimizer rule_;
  Device device_;
  std::int64_t iterations_ = 0;
  float rate_ = 0;
  std::vector<Slots> slots_;
  std::vector<Chunk> chunks_;
  std::vector<Share> shares_;
  // Of the squared norms that gradients are clipped to, on the device: double, many a parameter.
  std::shared_ptr<std::byte[]> partials_;
  std::shared_ptr<std::byte[]> first_partials_;  // std::int64_t, one a parameter and one more
  std::shared_ptr<std::byte[]> clip_factors_;  // float, one a parameter; absent: nothing is clipped
  std::vector<char> decays_;                   // one a parameter: not excluded from weight decay
};

}  // namespace braid
