#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/core/device_access.hpp"

namespace braid {

// Launches of a stream that are always the same ones: the second time they are recorded, and from
// then on the recording stands for them. They hold addresses, and so only as long as no memory has
// moved.
class Recordings {
 public:
  struct Name {
    std::uint64_t program;
    std::uint64_t key;  // of what follows it (new_launch_key)
    std::int64_t steps;
    bool operator==(const Name&) const = default;
  };

  // Without `records`, as on a device that cannot, launches are only ever launched.
  Recordings(const DeviceAccess& access, void* stream, bool records)
      : access_(access), stream_(stream), records_(records) {}

  // Carries out what `launch` launches.
  template <class Launch>
  void run(const Name& name, const Launch& launch) {
    access_.make_current();
    if (!records_) return launch();
    Recording* const recording = find(name);
    if (recording == nullptr) {
      launch();
      return note(name);
    }
    if (!recording->finds_memory) return launch();
    if (recording->launches == nullptr) {
      record(*recording, launch);
      if (!recording->finds_memory) return launch();
    }
    access_.replay(recording->launches.get(), stream_);
  }
  void clear() { recordings_.clear(); }

 private:
  struct Recording {
    Name name;
    std::shared_ptr<void> launches = nullptr;  // null after the first run
    bool finds_memory = true;                  // else they are launched one by one for good
  };

  // Null for launches that are here for the first time.
  Recording* find(const Name& name);
  void note(const Name& name);
  template <class Launch>
  void record(Recording& recording, const Launch& launch) {
    access_.begin_recording(stream_);
    try {
      launch();
    } catch (...) {
      give_up();
      throw;
    }
    recording.launches = access_.end_recording(stream_);
    recording.finds_memory = recording.launches != nullptr;
  }
  void give_up() const;

  const DeviceAccess& access_;
  void* stream_;
  bool records_;
  std::vector<Recording> recordings_;  // the oldest first
};

}  // namespace braid
