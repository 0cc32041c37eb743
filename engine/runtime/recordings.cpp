#include "engine/runtime/recordings.hpp"

#include <algorithm>

#include "engine/core/error.hpp"

namespace braid {

Recordings::Recording* Recordings::find(const Name& name) {
  const auto found = std::ranges::find(recordings_, name, &Recording::name);
  return found == recordings_.end() ? nullptr : &*found;
}

void Recordings::note(const Name& name) {
  // Enough for batches of every length; each holds a graph of the driver's.
  constexpr std::size_t kMost = 256;
  if (recordings_.size() == kMost) recordings_.erase(recordings_.begin());
  recordings_.push_back({name});
}

void Recordings::give_up() const {
  try {
    static_cast<void>(access_.end_recording(stream_));
  } catch (const DeviceError&) {
    // The first error says why.
  }
}

}  // namespace braid
