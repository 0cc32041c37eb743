#pragma once
#include <cstdint>

namespace braid::simt {

// How often the host has waited for a copy to or from the emulated device, has launched a recording
// there, has started a copy and gone on, and has waited for a stream or an event, since the
// program began.
struct EmulatedTraffic {
  std::int64_t uploads;
  std::int64_t downloads;
  std::int64_t replays;
  std::int64_t started;
  std::int64_t waits;
};
EmulatedTraffic emulated_traffic();

}  // namespace braid::simt
