#pragma once
#include <string>
#include <vector>

#include "kernels/simt/machine.hpp"
#include "tests/support/catch.hpp"

namespace braid::testing {

inline std::vector<simt::Schedule> every_schedule() {
  using simt::Order;
  return {{Order::forward},
          {Order::reverse},
          {Order::random, 1},
          {Order::random, 2},
          {Order::random, 3}};
}

inline std::string described(const simt::Schedule& schedule) {
  switch (schedule.order) {
    case simt::Order::forward: return "forward";
    case simt::Order::reverse: return "reverse";
    case simt::Order::in_turn: return "in turn";
    case simt::Order::random: return "random, seed " + std::to_string(schedule.seed);
  }
  return "";
}

// The order of threads is this one until the end of the scope.
class ScheduleScope {
 public:
  explicit ScheduleScope(const simt::Schedule& schedule) { simt::set_schedule(schedule); }
  ~ScheduleScope() { simt::set_schedule(before_); }
  ScheduleScope(const ScheduleScope&) = delete;
  ScheduleScope& operator=(const ScheduleScope&) = delete;

 private:
  simt::Schedule before_ = simt::current_schedule();
};

}  // namespace braid::testing
