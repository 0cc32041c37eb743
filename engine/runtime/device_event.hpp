#pragma once
#include <utility>

#include "engine/core/device_access.hpp"

namespace braid {

// A place in a stream of a device: everything before it is done once the event is.
class DeviceEvent {
 public:
  explicit DeviceEvent(Device device, EventUse use = EventUse::order)
      : access_(access_to(device)), event_(access_.new_event(use)) {}
  ~DeviceEvent() { access_.release_event(event_); }
  DeviceEvent(const DeviceEvent&) = delete;
  DeviceEvent& operator=(const DeviceEvent&) = delete;

  // Behind all that the stream was given so far; recorded again it means that place alone.
  void record(void* stream) const { access_.record_event(event_, stream); }
  bool is_done() const { return access_.is_done(event_); }
  void wait() const { access_.wait_for(event_); }
  // What the stream is given from now on comes behind the event; the host goes on.
  void await_in(void* stream) const { access_.await_in(stream, event_); }
  // Both for timing, and done.
  double seconds_since(const DeviceEvent& earlier) const {
    return access_.seconds_between(earlier.event_, event_);
  }

 private:
  const DeviceAccess& access_;
  void* event_;
};

}  // namespace braid
