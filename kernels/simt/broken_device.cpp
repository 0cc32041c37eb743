#include "kernels/simt/broken_device.hpp"

#include <atomic>

#include "engine/core/error.hpp"
#include "engine/core/lasting_fault.hpp"
#include "kernels/simt/emulated_faults.hpp"

namespace braid::simt {
namespace {

std::atomic<std::int64_t> launches_before{-1};
std::atomic<bool> broken{false};

// Kept: memory on a device may outlive everything else.
LastingFault& fault() {
  static auto* const only = new LastingFault;
  return *only;
}

}  // namespace

bool breaks_here() {
  if (!broken && launches_before >= 0 && launches_before-- == 0) broken = true;
  return broken;
}

bool is_broken() { return broken; }

void require_whole(const std::string& call) {
  if (broken) throw DeviceError(fault().described(call, "a lasting fault on purpose"));
}

void require_not_known_broken(const std::string& call) {
  if (broken && fault().known()) require_whole(call);
}

void break_after_launches(std::int64_t launches) { launches_before = launches; }

void mend_device() {
  launches_before = -1;
  broken = false;
  fault().forget();
}

}  // namespace braid::simt
