#pragma once
#include <utility>

#include "kernels/simt/barrier_watch.hpp"

namespace braid::testing {

// Barriers of all launches are watched until the end of the scope.
class WatchScope {
 public:
  explicit WatchScope(simt::BarrierWatch watch) { simt::watch_barriers(std::move(watch)); }
  ~WatchScope() { simt::watch_barriers({}); }
  WatchScope(const WatchScope&) = delete;
  WatchScope& operator=(const WatchScope&) = delete;
};

}  // namespace braid::testing
