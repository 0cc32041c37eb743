#pragma once
#include <cstdint>

namespace braid::simt {

// How often the host has waited for a copy to or from the emulated device, and has launched a
// recording there, since the program began.
struct EmulatedTraffic {
  std::int64_t uploads;
  std::int64_t downloads;
  std::int64_t replays;
};
EmulatedTraffic emulated_traffic();

}  // namespace braid::simt
