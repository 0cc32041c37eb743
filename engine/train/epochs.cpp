#include "engine/train/epochs.hpp"

#include <algorithm>

namespace braid {

Trainer::Epochs::Epochs(Trainer& trainer, const std::string& call, Pass pass, const Bound& bound,
                        std::int64_t batch_size)
    : trainer_(trainer),
      call_(call),
      pass_(pass),
      bound_(bound),
      batch_size_(batch_size),
      logs_(*trainer.objective_) {}

void Trainer::Epochs::prepare_device(const Lease& lease) {
  OptimizerState* const optimizer = pass_ == Pass::train ? trainer_.optimizer_.get() : nullptr;
  device_steps_ = told_with(call_, [&] {
    return DeviceSteps::make(lease.session(), lease.step(), bound_, batch_size_,
                             trainer_.steps_per_execution_, optimizer, logs_);
  });
}

void Trainer::Epochs::begin(const Lease& lease, const Shuffle& shuffle) {
  logs_.reset();
  if (device_steps_) {
    told_with(call_, [&] {
      device_steps_->begin_epoch(lease.session(), shuffle, trainer_.seed_.value_or(0));
    });
  } else {
    write_order(shuffle, order_);
  }
}

void Trainer::Epochs::expect(const Lease& lease, const Shuffle& shuffle) {
  if (device_steps_) device_steps_->expect_epoch(lease.session(), shuffle);
}

void Trainer::Epochs::run(Lease& lease, std::int64_t first, std::int64_t last) {
  Session& session = lease.session();
  const StepGraph& step = lease.step();
  if (device_steps_) {
    std::function<void()> update;
    if (pass_ == Pass::train) update = [&] { trainer_.launch_update(step, session); };
    told_with(call_, [&] { device_steps_->run(session, first, last, update); });
    if (pass_ != Pass::train) return;
    trainer_.last_session_ = &session;
    trainer_.last_graph_ = &step;
    return;
  }
  for (std::int64_t number = first; number < last; ++number) {
    const std::int64_t begin = number * batch_size_;
    Trainer::prepare(call_, lease, bound_,
                     {begin, std::min(bound_.rows, begin + batch_size_), order_});
    if (pass_ == Pass::train) {
      trainer_.train_step(call_, lease, logs_);
    } else {
      session.run({});
      told_with(call_, [&] { logs_.add(step, session); });
    }
  }
}

Logs Trainer::Epochs::logs(const Lease& lease) {
  if (device_steps_) told_with(call_, [&] { device_steps_->read(lease.session(), logs_); });
  return logs_.logs();
}

void Trainer::Epochs::show(const Lease& lease, Progress& progress, std::int64_t steps_launched) {
  const bool due = progress.due(steps_launched);
  if (!device_steps_) {
    if (due) progress.show(steps_launched, logs_.logs());
    return;
  }
  if (due) told_with(call_, [&] { device_steps_->ask(lease.session()); });
  // What was asked for now, or some steps ago.
  const std::optional<std::int64_t> steps = device_steps_->answer(logs_);
  if (steps) progress.show(*steps, logs_.logs());
}

}  // namespace braid
