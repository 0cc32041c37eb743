#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/core/error.hpp"
#include "engine/train/binding.hpp"
#include "engine/train/functional.hpp"
#include "engine/train/model.hpp"
#include "engine/train/optimizer_state.hpp"
#include "engine/train/running_logs.hpp"
#include "engine/train/session.hpp"
#include "engine/train/step_graph.hpp"

namespace braid {

class Progress;

// What makes a graph of layers a model in use: its step graphs, the objective and the optimizer of
// compile(), and the runs.
class Trainer {
 public:
  explicit Trainer(Functional& model);

  void compile(const CompileOptions& options);
  bool compiled() const { return objective_ != nullptr; }

  History fit(const TensorDict& x, const TensorDict& y, const FitOptions& options);
  Logs evaluate(const TensorDict& x, const TensorDict& y, const EvaluateOptions& options);
  Logs train_on_batch(const TensorDict& x, const TensorDict& y, const BatchOptions& options);
  Logs test_on_batch(const TensorDict& x, const TensorDict& y, const BatchOptions& options);
  // With a batch_size of 0 all rows at once.
  TensorDict predict(const std::string& call, const TensorDict& x, const PredictOptions& options);

  OptimizerState* optimizer() { return optimizer_.get(); }
  const Objective* objective() const { return objective_.get(); }
  std::int64_t steps_per_execution() const { return steps_per_execution_; }
  Precision precision() const { return precision_; }
  // Of shuffles and dropout; none before the first training.
  std::optional<std::uint64_t> seed() const { return seed_; }
  void set_seed(std::uint64_t seed) { seed_ = seed; }
  // Gradients of the step run last, by weight, before any clipping, of all weights that a loss
  // depends on; for tests.
  TensorDict last_gradients() const;
  const Program* last_step() const {
    return last_session_ == nullptr ? nullptr : &last_session_->program();
  }

 private:
  // A step graph and the sessions that are not in use.
  struct Variant {
    std::unique_ptr<StepGraph> step;
    std::vector<std::unique_ptr<Session>> idle;
  };
  class Lease;
  class Epochs;
  class FitRun;

  // A ShapeError or OutOfMemory from within is told with the call.
  template <class Act>
  static auto told_with(const std::string& call, const Act& act) {
    try {
      return act();
    } catch (const ShapeError& error) {
      throw ShapeError(call + ": " + error.what());
    } catch (const OutOfMemory& error) {
      throw OutOfMemory(call + ": " + error.what());
    }
  }
  // ShapeError, told with the call, where a layer cannot take data of this kind.
  Lease lease(const std::string& call, Pass pass, const Bound& bound);
  Lease find_session(Pass pass, const Bound& bound);
  // Stages and plans a batch, and takes the memory of its run. ShapeError where its shapes do not
  // go together, OutOfMemory; told with the call.
  static void prepare(const std::string& call, const Lease& lease, const Bound& bound,
                      const BatchRows& rows);
  void bind_judged(const std::string& call, const TensorDict& x, const TensorDict& y,
                   const SampleWeight& sample_weight, const ClassWeight& class_weight,
                   Bound& bound) const;
  void require_loss(const std::string& call) const;
  // One optimizer step on a staged batch.
  void train_step(const std::string& call, Lease& lease, RunningLogs& logs);
  void launch_update(const StepGraph& step, const Session& session);
  // `watchers` see the beginning and the end of every execution.
  void evaluate_rows(Lease& lease, Epochs& epochs, Progress& progress,
                     const Callbacks& watchers = {});

  Functional& model_;
  Binder binder_;
  std::unique_ptr<Objective> objective_;
  std::unique_ptr<OptimizerState> optimizer_;
  std::unique_ptr<RunningLogs> batch_logs_;
  std::vector<ParameterUpdate> parameters_;
  std::uint64_t update_key_ = 0;  // of the launches of the optimizer
  std::int64_t steps_per_execution_ = 1;
  Precision precision_ = Precision::float32;
  bool fitting_ = false;
  std::optional<std::uint64_t>
      seed_;  // of shuffles and dropout; stays for a fit that goes on from an earlier one
  std::mutex mutex_;
  std::map<std::string, Variant, std::less<>> variants_;
  const Session* last_session_ = nullptr;
  const StepGraph* last_graph_ = nullptr;
};

}  // namespace braid
