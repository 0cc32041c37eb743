#pragma once
#include <functional>

#include "kernels/simt/emulated_traffic.hpp"

namespace braid::testing {

// What the host has had to do with the emulated device.
inline simt::EmulatedTraffic traffic_of(const std::function<void()>& work) {
  const simt::EmulatedTraffic before = simt::emulated_traffic();
  work();
  const simt::EmulatedTraffic after = simt::emulated_traffic();
  return {after.uploads - before.uploads, after.downloads - before.downloads,
          after.replays - before.replays, after.started - before.started,
          after.waits - before.waits};
}

}  // namespace braid::testing
