#include "engine/train/device_steps.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <utility>

#include "engine/core/environment.hpp"
#include "engine/core/error.hpp"
#include "engine/train/resident_rows.hpp"
#include "engine/train/streamed_rows.hpp"
#include "kernels/step.hpp"

namespace braid {
namespace {

// Steps whose rates are worked out at once when somebody changes the rate within an epoch.
constexpr std::int64_t kStepsAhead = 256;

constexpr const char* kSums = "the sums of losses and metrics";

std::int64_t steps_of(const Bound& bound, std::int64_t batch_size) {
  return (bound.rows + batch_size - 1) / batch_size;
}

void dump(std::int64_t bytes, const std::string& where) {
  if (!dump_wanted("data")) return;
  std::fprintf(stderr, "data\n  %lld bytes of columns, order and rates, %s\n",
               static_cast<long long>(bytes), where.c_str());
}

// What changes from step to step, beside the rates that follow it, of which each step takes its
// own.
struct Sent {
  kernels::StepCursor cursor;
  RunState state;
};

bool same(const kernels::UpdateRates& a, const kernels::UpdateRates& b) {
  return a.rate == b.rate && a.alpha == b.alpha;
}

}  // namespace

std::unique_ptr<DeviceSteps> DeviceSteps::make(Session& session, const StepGraph& step,
                                               const Bound& bound, std::int64_t batch_size,
                                               std::int64_t steps_per_execution,
                                               OptimizerState* optimizer, const RunningLogs& logs) {
  const Device device = step.executor().device();
  if (device == Device::cpu()) return nullptr;
  const auto largest = session.reserve_largest(bound, std::min(bound.rows, batch_size));
  const std::int64_t rates =
      optimizer == nullptr
          ? 0
          : steps_of(bound, batch_size) * static_cast<std::int64_t>(sizeof(kernels::UpdateRates));
  const auto free = static_cast<std::int64_t>(access_to(device).free_bytes());
  // Null where it must not be, or has no room.
  const auto tried = [&](const char* ban, std::int64_t bytes,
                         const auto& make_rows) -> std::unique_ptr<DeviceSteps> {
    if (environment(ban) || (free != 0 && bytes > free / 2)) return nullptr;
    try {
      return std::unique_ptr<DeviceSteps>(
          new DeviceSteps(device, step, *largest, bound, batch_size, optimizer, logs, make_rows()));
    } catch (const OutOfMemory&) {
      return nullptr;  // somebody else was faster
    }
  };
  const std::int64_t resident = ResidentRows::bytes(step, *largest, bound) + rates;
  auto steps = tried("BRAID_NO_RESIDENT_DATA", resident,
                     [&] { return std::make_unique<ResidentRows>(device, step, *largest, bound); });
  if (steps != nullptr) {
    dump(resident, "resident on " + to_string(device));
    return steps;
  }
  const std::int64_t streamed =
      StreamedRows::bytes(step, *largest, bound, batch_size, steps_per_execution) + rates;
  steps = tried("BRAID_NO_STREAMED_DATA", streamed, [&] {
    return std::make_unique<StreamedRows>(device, step, *largest, bound, batch_size,
                                          steps_per_execution);
  });
  dump(steps != nullptr ? streamed : resident,
       steps != nullptr ? "streamed to " + to_string(device) : "fed by the host");
  return steps;
}

DeviceSteps::DeviceSteps(Device device, const StepGraph& step, const Program& program,
                         const Bound& bound, std::int64_t batch_size, OptimizerState* optimizer,
                         const RunningLogs& logs, std::unique_ptr<EpochRows> rows)
    : step_(step),
      bound_(bound),
      batch_size_(batch_size),
      optimizer_(optimizer),
      device_(device),
      rows_(std::move(rows)),
      cursor_(device, 1, "the cursor of an epoch"),
      sums_read_(device, kSums),
      sums_asked_for_(device, kSums),
      staging_(device, "the rates of an epoch's steps") {
  if (optimizer_ != nullptr) rates_ = {device, steps(), "the rates of an epoch's steps"};
  lay_out_sums(program, logs);
}

void DeviceSteps::lay_out_sums(const Program& program, const RunningLogs& logs) {
  for (std::size_t i = 0; i < logs.sums(); ++i) {
    const RunningLogs::Summand summand = logs.summand(step_, i);
    if (summand.output < 0) continue;
    const Operand& values = program.outputs()[static_cast<std::size_t>(summand.output)];
    sums_.push_back({i, summand, sum_count_, values.rows * values.columns});
    summed_outputs_.push_back(static_cast<std::size_t>(summand.output));
    sum_count_ += values.rows * values.columns;
  }
  sums_there_ = {device_, sum_count_, kSums};
}

std::int64_t DeviceSteps::steps() const { return steps_of(bound_, batch_size_); }

BatchRows DeviceSteps::batch(std::int64_t step) const {
  return {step * batch_size_, std::min(bound_.rows, (step + 1) * batch_size_), rows_->order()};
}

void DeviceSteps::begin_epoch(const Session& session, const Shuffle& shuffle, std::uint64_t seed) {
  seed_ = seed;
  done_ = 0;
  asked_after_.reset();  // of another epoch
  session.leave_launches();
  access_to(device_).fill(reinterpret_cast<std::byte*>(sums_there_.data()), std::byte{0},
                          static_cast<std::size_t>(sum_count_) * sizeof(double),
                          session.stream().native);
  rows_->begin_epoch(session.stream(), shuffle);
  bring_up_to_date(session, steps());
}

void DeviceSteps::expect_epoch(const Session& session, const Shuffle& shuffle) {
  rows_->expect_epoch(session.stream(), shuffle);
}

bool DeviceSteps::is_up_to_date(std::int64_t last) const {
  if (optimizer_ == nullptr) return true;
  const auto next = static_cast<std::size_t>(done_ - first_known_);
  return iteration_ == optimizer_->iterations() &&
         last <= first_known_ + static_cast<std::int64_t>(known_rates_.size()) &&
         same(known_rates_[next], optimizer_->rates_at(iteration_));
}

void DeviceSteps::bring_up_to_date(const Session& session, std::int64_t last) {
  iteration_ = optimizer_ == nullptr ? 0 : optimizer_->iterations();
  const std::int64_t rates = optimizer_ == nullptr ? 0 : last - done_;
  const Sent sent{.cursor = {.row = rows_->first_place() + done_ * batch_size_, .step = done_},
                  .state = {.random = {seed_, static_cast<std::uint64_t>(iteration_)}}};
  const std::size_t rate_bytes = static_cast<std::size_t>(rates) * sizeof(kernels::UpdateRates);
  PinnedBlock& block = staging_.next(sizeof sent + rate_bytes);
  block.put(0, &sent, sizeof sent);
  const auto send = [&](std::size_t place, auto* to, std::size_t bytes) {
    block.start_upload(place, reinterpret_cast<std::byte*>(to), bytes, session.stream().native);
  };
  send(offsetof(Sent, cursor), cursor_.data(), sizeof sent.cursor);
  if (optimizer_ == nullptr) return;
  first_known_ = done_;
  known_rates_.clear();
  for (std::int64_t step = 0; step < rates; ++step)
    known_rates_.push_back(optimizer_->rates_at(iteration_ + step));
  block.put(sizeof sent, known_rates_.data(), rate_bytes);
  send(offsetof(Sent, state), session.state(), sizeof sent.state);
  send(sizeof sent, rates_.data() + done_, rate_bytes);
}

void DeviceSteps::run(Session& session, std::int64_t first, std::int64_t last,
                      const std::function<void()>& update) {
  if (!is_up_to_date(last))
    bring_up_to_date(session, std::min(steps(), std::max(last, first + kStepsAhead)));
  std::shared_ptr<const Program> program;
  while (first < last) {
    const std::int64_t there = rows_->before_launch(session.stream(), first, last);
    if (program == nullptr) program = session.plan(bound_, batch(first));
    // As many steps of one program as there are.
    std::shared_ptr<const Program> next;
    std::int64_t count = 1;
    for (; first + count < there; ++count) {
      next = session.plan(bound_, batch(first + count));
      if (next != program) break;
    }
    if (first + count == there) next = nullptr;
    const auto fill = [&](const kernels::Stream& stream, const std::vector<std::byte*>& inputs,
                          std::int64_t begin, std::int64_t rows) {
      rows_->gather(stream, *program, inputs, cursor_.data(), begin, rows);
    };
    const auto end = [&](const kernels::Stream& stream) { end_step(stream, session); };
    session.run_steps(program, {.key = key_,
                                .count = count,
                                .fill = fill,
                                .end = end,
                                .ended_outputs = summed_outputs_,
                                .update = update});
    if (optimizer_ != nullptr) {
      optimizer_->end_steps(count);
      iteration_ += count;
    }
    done_ += count;
    first += count;
    rows_->after_launch(session.stream(), first);
    program = next;
  }
}

void DeviceSteps::end_step(const kernels::Stream& stream, const Session& session) const {
  kernels::EndStep end{};
  for (const Sum& sum : sums_) {
    if (end.count == kernels::kMaxAddedValues) {
      kernels::launch(stream, end);
      end.count = 0;
    }
    const auto rows = static_cast<double>(session.program().batch());
    end.added[end.count++] = {.values = session.output_there<float>(sum.summand.output).data,
                              .sums = sums_there_.data() + sum.first,
                              .count = sum.count,
                              .factor = sum.summand.times_rows ? rows : 1};
  }
  end.cursor = cursor_.data();
  end.rows = session.program().batch();
  if (optimizer_ != nullptr) {
    end.random_state = &session.state()->random;
    end.rates_of_steps = rates_.data();
    end.rates = &session.state()->rates;
  }
  kernels::launch(stream, end);
}

void DeviceSteps::fetch(const Session& session, PinnedBlock& block) const {
  const std::size_t bytes = static_cast<std::size_t>(sum_count_) * sizeof(double);
  block.take(bytes);
  block.start_download(0, reinterpret_cast<const std::byte*>(sums_there_.data()), bytes,
                       session.stream().native);
}

void DeviceSteps::take_up(const PinnedBlock& block, std::int64_t steps, RunningLogs& logs) const {
  const std::span<const double> sums(reinterpret_cast<const double*>(block.data()),
                                     static_cast<std::size_t>(sum_count_));
  logs.set_counts(std::min(bound_.rows, steps * batch_size_), steps);
  for (const Sum& sum : sums_) {
    logs.set_sum(sum.number, sums.subspan(static_cast<std::size_t>(sum.first),
                                          static_cast<std::size_t>(sum.count)));
  }
}

void DeviceSteps::read(const Session& session, RunningLogs& logs) {
  fetch(session, sums_read_);
  sums_read_.wait();
  take_up(sums_read_, done_, logs);
}

void DeviceSteps::ask(const Session& session) {
  if (asked_after_) return;
  fetch(session, sums_asked_for_);
  asked_after_ = done_;
}

std::optional<std::int64_t> DeviceSteps::answer(RunningLogs& logs) {
  if (!asked_after_ || !sums_asked_for_.is_done()) return std::nullopt;
  take_up(sums_asked_for_, *asked_after_, logs);
  return std::exchange(asked_after_, std::nullopt);
}

}  // namespace braid
