#pragma once
#include "engine/train/trainer.hpp"

namespace braid {

// A session of one variant on loan; goes back when it is destroyed.
class Trainer::Lease {
 public:
  Lease(Trainer& trainer, Variant& variant, std::unique_ptr<Session> session)
      : trainer_(&trainer), variant_(&variant), session_(std::move(session)) {}
  Lease(Lease&&) = default;
  ~Lease() {
    if (!session_) return;
    const std::lock_guard lock(trainer_->mutex_);
    // The list keeps its capacity: only the first return of a session can need memory, and failing
    // that the session goes.
    try {
      variant_->idle.push_back(std::move(session_));
    } catch (...) {
      session_.reset();
    }
  }

  Session& session() const { return *session_; }
  StepGraph& step() const { return *variant_->step; }

 private:
  Trainer* trainer_;
  Variant* variant_;
  std::unique_ptr<Session> session_;
};

}  // namespace braid
