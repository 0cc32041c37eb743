#pragma once
#include <algorithm>
#include <memory>
#include <vector>

#include "bench/clock.hpp"
#include "bench/device_problems.hpp"
#include "engine/core/error.hpp"
#include "engine/runtime/device_event.hpp"

namespace bench {

// Microseconds a launch, by events of the device; and by the clock of the host, which waits.
struct Time {
  double least = 0;
  double median = 0;
  double wall = 0;  // the least
};

// Some launches of one problem, one behind the other.
struct Recording {
  std::shared_ptr<void> recorded;
  int launches = 0;
};

// A stream of the device, with launches recorded once and replayed: so launches cost what they cost
// in a recorded step.
class LaunchClock {
 public:
  explicit LaunchClock(braid::Device device)
      : access_(braid::access_to(device)),
        stream_{device.kind() == braid::Device::Kind::cuda ? braid::kernels::Backend::cuda
                                                           : braid::kernels::Backend::emulated,
                access_.new_stream()},
        first_(device, braid::EventUse::timing),
        last_(device, braid::EventUse::timing),
        real_(device.kind() == braid::Device::Kind::cuda) {}
  ~LaunchClock() { access_.release_stream(stream_.native); }
  LaunchClock(const LaunchClock&) = delete;
  LaunchClock& operator=(const LaunchClock&) = delete;

  // As many launches as fill a block.
  Recording record(const Launch& launch) const {
    launch(stream_);  // loads the kernel
    access_.synchronize(stream_.native);
    const auto start = Clock::now();
    launch(stream_);
    access_.synchronize(stream_.native);
    const double once = seconds_since(start);
    const int launches =
        real_ ? std::clamp(static_cast<int>(kBlockSeconds / once), 1, kMostLaunches) : 2;
    access_.begin_recording(stream_.native);
    for (int i = 0; i < launches; ++i) launch(stream_);
    const std::shared_ptr<void> recorded = access_.end_recording(stream_.native);
    if (recorded == nullptr) throw braid::OutOfMemory("no memory for a recording");
    return {recorded, launches};
  }

  Time time(const Recording& recording) const {
    std::vector<double> times;
    std::vector<double> walls;
    for (int block = 0; block < (real_ ? kBlocks + 1 : 1); ++block) {
      const auto start = Clock::now();
      first_.record(stream_.native);
      access_.replay(recording.recorded.get(), stream_.native);
      last_.record(stream_.native);
      last_.wait();
      if (block == 0 && real_) continue;
      walls.push_back(seconds_since(start) / recording.launches * 1e6);
      times.push_back(last_.seconds_since(first_) / recording.launches * 1e6);
    }
    std::sort(times.begin(), times.end());
    return {times.front(), times[times.size() / 2], *std::min_element(walls.begin(), walls.end())};
  }

 private:
  static constexpr int kBlocks = 9;
  static constexpr double kBlockSeconds = 5e-3;
  static constexpr int kMostLaunches = 200;  // of one recording

  const braid::DeviceAccess& access_;
  braid::kernels::Stream stream_;
  braid::DeviceEvent first_;
  braid::DeviceEvent last_;
  bool real_;
};

}  // namespace bench
