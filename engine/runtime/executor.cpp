#include "engine/runtime/executor.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace braid {

bool dump_wanted(const char* stage) {
  const char* wish = std::getenv("BRAID_DUMP");
  return wish != nullptr && ("," + std::string(wish) + ",").find("," + std::string(stage) + ",") != std::string::npos;
}

const Program& Executor::program(const std::vector<ValueInfo>& inputs) {
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < programs_.size(); ++i) {
    if (programs_[i].inputs != inputs) continue;
    if (i > 0) std::swap(programs_[0], programs_[i]);
    return *programs_[0].program;
  }
  Planned planned{inputs, std::make_unique<Program>(graph_, outputs_, inputs)};
  if (dump_wanted("plan")) std::fputs(describe(*planned.program).c_str(), stderr);
  programs_.push_back(std::move(planned));
  std::swap(programs_.front(), programs_.back());
  return *programs_.front().program;
}

Executor::Loan Executor::borrow() {
  const std::lock_guard lock(mutex_);
  if (idle_.empty()) return {*this, std::make_unique<Workspace>()};
  Loan loan(*this, std::move(idle_.back()));
  idle_.pop_back();
  return loan;
}

Executor::Loan::~Loan() {
  if (!workspace_) return;
  const std::lock_guard lock(executor_->mutex_);
  // The list keeps its capacity, so a warm call allocates nothing here; should it have to grow and fail, the workspace goes.
  try {
    executor_->idle_.push_back(std::move(workspace_));
  } catch (...) {
    workspace_.reset();
  }
}

}  // namespace braid
