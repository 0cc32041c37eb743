#include "engine/train/trainer.hpp"

#include <algorithm>

#include "engine/core/error.hpp"
#include "engine/core/random.hpp"
#include "engine/runtime/parallel.hpp"
#include "engine/train/data_checks.hpp"
#include "engine/train/epochs.hpp"
#include "engine/train/lease.hpp"
#include "engine/train/progress.hpp"

namespace braid {
namespace {

Tensor memory_of_predictions(const std::string& call, const std::string& output, Shape shape,
                             DType dtype) {
  try {
    return Tensor::uninitialized(std::move(shape), dtype);
  } catch (const OutOfMemory& error) {
    throw OutOfMemory(call + ": the predictions \"" + output + "\" of all rows: " + error.what());
  }
}

}  // namespace

Trainer::Trainer(Functional& model) : model_(model), binder_(model) { model_.initialize_weights(); }

void Trainer::compile(const CompileOptions& options) {
  if (fitting_) throw Error("compile: a fit of this model is running");
  options.optimizer.check();
  if (options.steps_per_execution < 1) {
    throw RangeError("compile: steps_per_execution must be 1 or more, not " +
                     std::to_string(static_cast<std::int64_t>(options.steps_per_execution)));
  }
  auto objective = std::make_unique<Objective>(model_, options);
  std::vector<ParameterUpdate> parameters;
  for (const auto& [path, variable] : objective->trainable) {
    parameters.push_back(
        {path, reinterpret_cast<float*>(variable->value.raw()), variable->shape, {}});
  }
  auto optimizer = told_with("compile", [&] {
    return std::make_unique<OptimizerState>(options.optimizer, parameters, model_.device());
  });
  auto logs = std::make_unique<RunningLogs>(*objective);
  // Nothing can fail from here on.
  last_session_ = nullptr;
  last_graph_ = nullptr;
  variants_.clear();
  objective_ = std::move(objective);
  optimizer_ = std::move(optimizer);
  parameters_ = std::move(parameters);
  batch_logs_ = std::move(logs);
  update_key_ = new_launch_key();
  steps_per_execution_ = options.steps_per_execution;
  precision_ = options.precision;
  seed_.reset();
}

Trainer::Lease Trainer::lease(const std::string& call, Pass pass, const Bound& bound) {
  return told_with(call, [&] { return find_session(pass, bound); });
}

void Trainer::prepare(const std::string& call, const Lease& lease, const Bound& bound,
                      const BatchRows& rows) {
  told_with(call, [&] { lease.session().prepare(bound, rows); });
}

Trainer::Lease Trainer::find_session(Pass pass, const Bound& bound) {
  std::string key;
  StepGraph::append_key(pass, bound, key);
  const std::lock_guard lock(mutex_);
  auto found = variants_.find(key);
  if (found == variants_.end()) {
    auto step = std::make_unique<StepGraph>(
        model_, pass == Pass::predict ? nullptr : objective_.get(), pass, bound, precision_);
    found = variants_.try_emplace(std::move(key)).first;
    found->second.step = std::move(step);
  }
  Variant& variant = found->second;
  if (variant.idle.empty()) return {*this, variant, std::make_unique<Session>(*variant.step)};
  auto session = std::move(variant.idle.back());
  variant.idle.pop_back();
  return {*this, variant, std::move(session)};
}

void Trainer::require_loss(const std::string& call) const {
  if (!compiled())
    throw NameError(call + ": the model is not compiled; call compile() with a loss first");
  if (!objective_->has_loss()) throw NameError(call + ": the model was compiled without a loss");
}

void Trainer::bind_judged(const std::string& call, const TensorDict& x, const TensorDict& y,
                          const SampleWeight& sample_weight, const ClassWeight& class_weight,
                          Bound& bound) const {
  if (!compiled()) throw NameError(call + ": the model is not compiled; call compile() first");
  binder_.bind_inputs(call, x, bound);
  binder_.bind_targets(call, *objective_, y, bound);
  binder_.bind_weights(call, *objective_, sample_weight, class_weight, bound);
  if (bound.rows == 0) throw ShapeError(call + ": the data have no rows");
}

void Trainer::launch_update(const StepGraph& step, const Session& session) {
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const auto number = static_cast<std::size_t>(step.gradient(i));
    const Operand& operand = session.program().outputs()[number];
    parameters_[i].gradient = {};
    if (operand.base < 0) continue;
    parameters_[i].gradient = {
        .data = session.output_there<float>(step.gradient(i)).data,
        .slices = operand.slices,
        .slice_stride = operand.slice_bytes / static_cast<std::int64_t>(sizeof(float))};
  }
  optimizer_->launch(session.stream(), parameters_, &session.state()->rates);
}

void Trainer::train_step(const std::string& call, Lease& lease, RunningLogs& logs) {
  Session& session = lease.session();
  const StepGraph& step = lease.step();
  if (!seed_) seed_ = next_seed();
  const std::int64_t iteration = optimizer_->iterations();
  const RunState state{.random = {*seed_, static_cast<std::uint64_t>(iteration)},
                       .rates = optimizer_->rates_at(iteration)};
  session.run(state, {update_key_, [&] { launch_update(step, session); }});
  told_with(call, [&] { logs.add(step, session); });
  optimizer_->end_steps(1);
  last_session_ = &session;
  last_graph_ = &lease.step();
}

Logs Trainer::train_on_batch(const TensorDict& x, const TensorDict& y,
                             const BatchOptions& options) {
  static const std::string call = "model.train_on_batch";
  require_loss(call);
  Bound bound;
  bind_judged(call, x, y, options.sample_weight, options.class_weight, bound);
  Lease run = lease(call, Pass::train, bound);
  check_values(call, run.step(), objective_.get(), model_, bound);
  check_finite(call, run.step(), bound);
  prepare(call, run, bound, {0, bound.rows});
  batch_logs_->reset();
  train_step(call, run, *batch_logs_);
  return batch_logs_->logs();
}

Logs Trainer::test_on_batch(const TensorDict& x, const TensorDict& y, const BatchOptions& options) {
  static const std::string call = "model.test_on_batch";
  Bound bound;
  bind_judged(call, x, y, options.sample_weight, options.class_weight, bound);
  Lease run = lease(call, Pass::evaluate, bound);
  check_values(call, run.step(), objective_.get(), model_, bound);
  check_finite(call, run.step(), bound);
  Epochs epochs(*this, call, Pass::evaluate, bound, bound.rows);
  Progress silent(0, 0);
  evaluate_rows(run, epochs, silent);
  return epochs.logs(run);
}

void Trainer::evaluate_rows(Lease& run, Epochs& epochs, Progress& progress,
                            const Callbacks& watchers) {
  progress.begin("");
  epochs.begin(run, {});
  const bool watched = watchers.begin() != watchers.end();
  for (std::int64_t first = 0; first < epochs.steps(); first += steps_per_execution_) {
    const std::int64_t last = std::min(epochs.steps(), first + steps_per_execution_);
    for (const auto& item : watchers) item.pointer->on_test_batch_begin(first);
    epochs.run(run, first, last);
    if (watched) {
      const Logs seen([&] { return epochs.logs(run); });
      for (const auto& item : watchers) item.pointer->on_test_batch_end(last - 1, seen);
    }
    epochs.show(run, progress, last);
  }
}

Logs Trainer::evaluate(const TensorDict& x, const TensorDict& y, const EvaluateOptions& options) {
  static const std::string call = "model.evaluate";
  if (options.batch_size < 1) {
    throw RangeError(call + ": batch_size is " +
                     std::to_string(static_cast<std::int64_t>(options.batch_size)) +
                     "; at least 1 is needed");
  }
  Bound bound;
  bind_judged(call, x, y, options.sample_weight, {}, bound);
  Lease run = lease(call, Pass::evaluate, bound);
  check_values(call, run.step(), objective_.get(), model_, bound);
  check_finite(call, run.step(), bound);
  Epochs epochs(*this, call, Pass::evaluate, bound, options.batch_size);
  if (epochs.steps() > 1) epochs.prepare_device(run);
  Progress progress(options.verbose, epochs.steps());
  evaluate_rows(run, epochs, progress);
  Logs result = epochs.logs(run);
  progress.end(result);
  return result;
}

TensorDict Trainer::predict(const std::string& call, const TensorDict& x,
                            const PredictOptions& options) {
  Bound bound;
  binder_.bind_inputs(call, x, bound);
  Lease run = lease(call, Pass::predict, bound);
  check_values(call, run.step(), nullptr, model_, bound);
  Session& session = run.session();
  const std::int64_t asked = options.batch_size;
  const std::int64_t batch = asked > 0 ? asked : std::max<std::int64_t>(bound.rows, 1);
  Progress progress(options.verbose, (bound.rows + batch - 1) / batch);
  progress.begin("");
  const std::vector<std::string> names = model_.output_names();
  std::vector<Tensor> results(names.size());
  std::vector<std::byte*> ends(names.size());
  std::int64_t begin = 0;
  do {
    const std::int64_t end = std::min(bound.rows, begin + batch);
    prepare(call, run, bound, {begin, end});
    if (begin == 0) {
      for (std::size_t i = 0; i < names.size(); ++i) {
        const ValueInfo& info =
            session.program().output_infos()[static_cast<std::size_t>(run.step().prediction(i))];
        const auto& source = run.step().ragged_source(i);
        Shape shape = source ? info.shape.slice(1, info.shape.rank()) : info.shape;
        shape[0] = source ? bound.x[*source]->row_splits().back() : bound.rows;
        results[i] = memory_of_predictions(call, names[i], std::move(shape), info.dtype);
        ends[i] = results[i].raw();
      }
    }
    session.run({});
    told_with(call, [&] { session.copy_predictions(ends); });
    begin = end;
    if (progress.due(begin / batch)) progress.show(begin / batch, {});
  } while (begin < bound.rows);
  progress.end({});
  TensorDict predictions;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto& source = run.step().ragged_source(i);
    if (source) {
      const auto splits = bound.x[*source]->row_splits();
      results[i] = Tensor::ragged(std::move(results[i]), {splits.begin(), splits.end()});
    }
    predictions.set(names[i], std::move(results[i]));
  }
  return predictions;
}

TensorDict Trainer::last_gradients() const {
  TensorDict gradients;
  if (last_session_ == nullptr) return gradients;
  for (std::size_t i = 0; i < objective_->trainable.size(); ++i) {
    const auto& [path, variable] = objective_->trainable[i];
    const auto number = static_cast<std::size_t>(last_graph_->gradient(i));
    if (last_session_->program().outputs()[number].base < 0) continue;
    const Matrix<const float> matrix = last_session_->output<float>(last_graph_->gradient(i));
    gradients.set(
        path, Tensor::from(std::span<const float>(
                               matrix.data, static_cast<std::size_t>(variable->shape.elements())),
                           variable->shape));
  }
  return gradients;
}

}  // namespace braid
