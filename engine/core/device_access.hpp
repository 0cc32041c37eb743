#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include <braid/device.hpp>

namespace braid {

// Events that keep the time cost more.
enum class EventUse : std::uint8_t { order, timing };

// What the engine asks of a device: memory there, and copies in the order of one of its streams (a
// cudaStream_t, or null on a device that works at once). All throw DeviceError with the call that
// failed.
class DeviceAccess {
 public:
  virtual ~DeviceAccess() = default;

  // Null where there is not so much memory.
  virtual std::byte* allocate(std::size_t bytes) const = 0;
  virtual void release(std::byte* memory) const noexcept = 0;
  // Bytes that could still be had; 0 if nobody knows.
  virtual std::size_t free_bytes() const = 0;

  // Of fast memory that threads of a block share, what a block can have at most; 0 if there is
  // none.
  virtual std::int64_t shared_bytes_of_block() const { return 0; }

  virtual void* new_stream() const = 0;
  // What the calling thread launches from now on goes to streams of this device.
  virtual void make_current() const {}
  // Waits for what the stream still has to do.
  virtual void release_stream(void* stream) const noexcept = 0;
  virtual void synchronize(void* stream) const = 0;

  // The host memory may be used again when the call returns, which waits for all that the stream
  // was given before.
  virtual void upload(std::byte* to, const std::byte* from, std::size_t bytes,
                      void* stream) const = 0;
  // The bytes have arrived when the call returns.
  virtual void download(std::byte* to, const std::byte* from, std::size_t bytes,
                        void* stream) const = 0;
  // Returns at once, as what follows does.
  virtual void copy(std::byte* to, const std::byte* from, std::size_t bytes,
                    void* stream) const = 0;
  virtual void fill(std::byte* memory, std::byte pattern, std::size_t bytes,
                    void* stream) const = 0;

  // Page-locked memory of the host, for copies that run while the host goes on. Null where there is
  // not so much.
  virtual std::byte* allocate_pinned(std::size_t bytes) const = 0;
  // No copy may need the memory any more.
  virtual void release_pinned(std::byte* memory) const noexcept = 0;
  // Copies from and to page-locked memory, in the order of the stream. They return at once: until
  // an event recorded behind has happened, what is uploaded must not change, and what is downloaded
  // is not there.
  virtual void start_upload(std::byte* to, const std::byte* from, std::size_t bytes,
                            void* stream) const = 0;
  virtual void start_download(std::byte* to, const std::byte* from, std::size_t bytes,
                              void* stream) const = 0;

  // A mark in a stream that has happened once all is done that the stream was given before it.
  // Recorded again it stands for the newer place alone; never recorded, it has happened.
  virtual void* new_event(EventUse use) const = 0;
  virtual void release_event(void* event) const noexcept = 0;
  virtual void record_event(void* event, void* stream) const = 0;
  virtual bool is_done(void* event) const = 0;
  virtual void wait_for(void* event) const = 0;
  // What the stream is given from now on comes behind the event, of whatever stream of the device;
  // the host goes on.
  virtual void await_in(void* stream, void* event) const = 0;
  // Between two events for timing that have happened; 0 on a device without a clock of its own.
  virtual double seconds_between(void* /*first*/, void* /*last*/) const { return 0; }

  // Between these two calls the stream writes down launches, copies on the device and fills instead
  // of carrying them out; `replay` carries them out, in order, as often as wanted. A device that
  // cannot says so; one that has no memory for what was written down gives null.
  virtual bool can_record() const { return false; }
  virtual void begin_recording(void* /*stream*/) const {}
  virtual std::shared_ptr<void> end_recording(void* /*stream*/) const { return nullptr; }
  virtual void replay(void* /*recording*/, void* /*stream*/) const {}
};

// DeviceError where the device is not there.
const DeviceAccess& access_to(Device device);

// A stream of a device, released with its last owner; null on a device that works at once.
std::shared_ptr<void> make_stream(const DeviceAccess& access);
// Streams are in no order with each other, nor with what is done without one. So a thread that has
// launched and not waited says so, and waits before it touches memory of a device in any other way.
void leave_unawaited(const DeviceAccess& access, const std::shared_ptr<void>& stream);
void await_streams_but(void* stream);

// Null where there is not so much memory.
std::shared_ptr<std::byte[]> try_to_allocate_on(Device device, std::size_t bytes);
// Memory on a device, 64-byte aligned, that goes back when its last owner does. OutOfMemory names
// what was asked, what was free, and for what.
std::shared_ptr<std::byte[]> allocate_on(Device device, std::size_t bytes, const char* purpose);

// A kind of device that a build or a test brings along: how many of them answer, and access to one.
struct DeviceKind {
  int (*count)();
  const DeviceAccess& (*access)(int index);
  std::string (*absence)() = nullptr;  // why none answers, in the driver's words
};
void add_device_kind(Device::Kind kind, DeviceKind functions);
bool has_device_kind(Device::Kind kind);
// How many devices of the kind answer.
int device_count(Device::Kind kind);
// Why none of the kind answers.
std::string absence_of(Device::Kind kind);

}  // namespace braid
