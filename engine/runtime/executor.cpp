#include "engine/runtime/executor.hpp"

#include <algorithm>
#include <cstdio>

#include "engine/core/environment.hpp"

namespace braid {

namespace {

// Shapes that are kept: enough for batches of every length that one model meets, few enough to
// search.
constexpr std::size_t kPrograms = 256;

}  // namespace

bool dump_wanted(const char* stage) {
  const auto wanted = environment_words("BRAID_DUMP", {"graph", "plan", "program", "data"});
  return std::find(wanted.begin(), wanted.end(), stage) != wanted.end();
}

std::shared_ptr<const Program> Executor::program(const std::vector<ValueInfo>& inputs) {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(programs_.begin(), programs_.end(),
                                  [&](const Planned& planned) { return planned.inputs == inputs; });
  if (found != programs_.end()) {
    std::rotate(programs_.begin(), found, found + 1);
    return programs_.front().program;
  }
  Planned planned{inputs, std::make_shared<const Program>(graph_, outputs_, inputs, device_,
                                                          precision_, left_in_slices_)};
  if (dump_wanted("plan")) std::fputs(describe_plan(*planned.program).c_str(), stderr);
  if (dump_wanted("program")) std::fputs(describe(*planned.program).c_str(), stderr);
  if (programs_.size() == kPrograms) programs_.pop_back();
  programs_.insert(programs_.begin(), std::move(planned));
  return programs_.front().program;
}

Executor::Loan Executor::borrow() {
  const std::lock_guard lock(mutex_);
  if (idle_.empty()) return {*this, std::make_unique<Workspace>(device_)};
  Loan loan(*this, std::move(idle_.back()));
  idle_.pop_back();
  return loan;
}

Executor::Loan::~Loan() {
  if (!workspace_) return;
  const std::lock_guard lock(executor_->mutex_);
  // The list keeps its capacity, so a warm call allocates nothing here; should it have to grow and
  // fail, the workspace goes.
  try {
    executor_->idle_.push_back(std::move(workspace_));
  } catch (...) {
    workspace_.reset();
  }
}

}  // namespace braid
