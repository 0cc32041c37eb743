#include "engine/core/lasting_fault.hpp"

namespace braid {

std::string LastingFault::described(const std::string& call, const std::string& error) {
  const std::lock_guard lock(mutex_);
  const std::string text = call + ": " + error;
  if (first_.empty()) {
    first_ = text;
    return text + "; a launch or copy before this call has broken the device for this process";
  }
  return text + "; the device is broken since " + first_;
}

bool LastingFault::known() const {
  const std::lock_guard lock(mutex_);
  return !first_.empty();
}

void LastingFault::forget() {
  const std::lock_guard lock(mutex_);
  first_.clear();
}

}  // namespace braid
