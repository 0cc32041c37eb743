#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <set>
#include <string>
#include <thread>

#include "engine/core/device_access.hpp"
#include "engine/core/error.hpp"
#include "engine/core/memory.hpp"
#include "kernels/simt/broken_device.hpp"
#include "kernels/simt/emulated_faults.hpp"
#include "kernels/simt/emulated_gpu.hpp"
#include "kernels/simt/emulated_stream.hpp"
#include "kernels/simt/emulated_traffic.hpp"
#include "kernels/simt/launch_records.hpp"
#include "kernels/simt/machine.hpp"
#include "kernels/simt/moved_bytes.hpp"

namespace braid::simt {
namespace {

std::atomic<std::size_t> replayed{0};

constexpr std::align_val_t kAlignment{256};  // as cudaMalloc
constexpr int kPoison = 0xFF;                // NaN: what was never written shows
// A driver keeps recordings in the device's memory, too.
constexpr std::size_t kBytesOfRecordedLaunch = 4096;

// The memory of the emulated device is the host's, but apart from what tensors on the host hold.
class EmulatedAccess final : public DeviceAccess {
 public:
  std::byte* allocate(std::size_t bytes) const override {
    require_not_known_broken("an allocation of " + std::to_string(bytes) + " bytes");
    require_no_recording_here("an allocation");
    const std::size_t size = std::max<std::size_t>(bytes, 1);
    const std::lock_guard lock(mutex_);
    if (limit_ != 0 && used_ + size > limit_) return nullptr;
    auto* const memory = static_cast<std::byte*>(::operator new[](size, kAlignment, std::nothrow));
    if (memory == nullptr) return nullptr;
    std::memset(memory, kPoison, size);
    sizes_[memory] = size;
    used_ += size;
    return memory;
  }
  // As cudaFree, which waits for all that the device still has to do.
  void release(std::byte* memory) const noexcept override {
    const std::lock_guard lock(mutex_);
    for (EmulatedStream* stream : streams_) stream->late->carry_out();
    const auto found = sizes_.find(memory);
    used_ -= found->second;
    sizes_.erase(found);
    ::operator delete[](memory, kAlignment);
  }
  std::size_t free_bytes() const override {
    require_not_known_broken("a look at the free memory");
    const std::lock_guard lock(mutex_);
    if (pretended_ != 0) return pretended_;
    if (limit_ == 0) return static_cast<std::size_t>(free_memory());
    return limit_ > used_ ? limit_ - used_ : 0;
  }
  std::int64_t shared_bytes_of_block() const override {
    return static_cast<std::int64_t>(emulated_gpu().shared_of_block);
  }
  void limit(std::size_t bytes) const {
    const std::lock_guard lock(mutex_);
    limit_ = bytes;
  }
  void pretend(std::size_t bytes) const {
    const std::lock_guard lock(mutex_);
    pretended_ = bytes;
  }
  std::size_t used() const {
    const std::lock_guard lock(mutex_);
    return used_;
  }
  std::vector<std::span<const std::byte>> allocations() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::span<const std::byte>> all;
    for (const auto& [memory, size] : sizes_) all.emplace_back(memory, size);
    return all;
  }
  EmulatedTraffic traffic() const { return {uploads_, downloads_, replays_, started_, waits_}; }

  void* new_stream() const override {
    require_not_known_broken("a new stream");
    const std::lock_guard lock(mutex_);
    return *streams_.insert(new EmulatedStream).first;
  }
  void release_stream(void* stream) const noexcept override {
    if (stream == nullptr) return;
    auto* const emulated = static_cast<EmulatedStream*>(stream);
    emulated->late->wait_for_all();
    const std::lock_guard lock(mutex_);
    streams_.erase(emulated);
    delete emulated;
  }
  void synchronize(void* stream) const override {
    ++waits_;
    finish(stream, "a wait for the stream");
  }

  void upload(std::byte* to, const std::byte* from, std::size_t bytes,
              void* stream) const override {
    finish(stream, "an upload that the host waits for");
    ++uploads_;
    if (bytes > 0) std::memcpy(to, from, bytes);
  }
  void download(std::byte* to, const std::byte* from, std::size_t bytes,
                void* stream) const override {
    finish(stream, "a download that the host waits for");
    require_no_other_unawaited(stream, "a download");
    ++downloads_;
    if (bytes > 0) std::memcpy(to, from, bytes);
  }
  void copy(std::byte* to, const std::byte* from, std::size_t bytes, void* stream) const override {
    require_not_known_broken("a copy on the device");
    require_no_other_unawaited(stream, "a copy on the device");
    in_stream(stream, [=] {
      if (bytes > 0 && !is_broken()) std::memcpy(to, from, bytes);
    });
  }
  void fill(std::byte* memory, std::byte pattern, std::size_t bytes, void* stream) const override {
    require_not_known_broken("a fill");
    in_stream(stream, [=] {
      if (bytes > 0 && !is_broken()) std::memset(memory, std::to_integer<int>(pattern), bytes);
    });
  }

  std::byte* allocate_pinned(std::size_t bytes) const override {
    require_not_known_broken("page-locked memory of " + std::to_string(bytes) + " bytes");
    require_no_recording_here("an allocation");
    const std::size_t size = std::max<std::size_t>(bytes, 1);
    auto* const memory = static_cast<std::byte*>(::operator new[](size, kAlignment, std::nothrow));
    if (memory != nullptr) std::memset(memory, kPoison, size);
    return memory;
  }
  void release_pinned(std::byte* memory) const noexcept override {
    ::operator delete[](memory, kAlignment);
  }
  void start_upload(std::byte* to, const std::byte* from, std::size_t bytes,
                    void* stream) const override {
    ++started_;
    LateCopies& late = late_copies_of(stream, "an upload");
    if (late.may_be_read(to))
      throw DeviceError("an upload over bytes that launches of another stream may still read");
    late.upload(to, from, bytes);
  }
  void start_download(std::byte* to, const std::byte* from, std::size_t bytes,
                      void* stream) const override {
    ++started_;
    require_no_other_unawaited(stream, "a download");
    late_copies_of(stream, "a download").download(to, from, bytes);
  }

  void* new_event(EventUse) const override {
    require_not_known_broken("a new event");
    return new EmulatedEvent;
  }
  void release_event(void* event) const noexcept override {
    delete static_cast<EmulatedEvent*>(event);
  }
  void record_event(void* event, void* stream) const override {
    const std::int64_t place = late_copies_of(stream, "an event").mark();
    *static_cast<EmulatedEvent*>(event) = {static_cast<EmulatedStream*>(stream)->late, place};
  }
  bool is_done(void* event) const override {
    require_whole("a look at an event");
    const auto& emulated = *static_cast<EmulatedEvent*>(event);
    return emulated.late == nullptr || emulated.late->is_done(emulated.place);
  }
  void wait_for(void* event) const override {
    require_whole("a wait for an event");
    if (is_done(event)) return;
    ++waits_;
    const auto& emulated = *static_cast<EmulatedEvent*>(event);
    emulated.late->wait_for(emulated.place);
  }
  void await_in(void* stream, void* event) const override {
    LateCopies& late = late_copies_of(stream, "an event to come behind");
    const auto& emulated = *static_cast<EmulatedEvent*>(event);
    if (emulated.late != nullptr) late.await(emulated.late, emulated.place);
  }

  bool can_record() const override { return true; }
  void begin_recording(void* stream) const override {
    auto* const emulated = static_cast<EmulatedStream*>(stream);
    const std::lock_guard lock(mutex_);
    emulated->records = true;
    emulated->recorder = std::this_thread::get_id();
  }
  std::shared_ptr<void> end_recording(void* stream) const override {
    auto* const emulated = static_cast<EmulatedStream*>(stream);
    auto launches = std::make_shared<Launches>(std::exchange(emulated->recorded, {}));
    const std::lock_guard lock(mutex_);
    emulated->records = false;
    const bool fits = limit_ == 0 || used_ + launches->size() * kBytesOfRecordedLaunch <= limit_;
    return fits ? launches : nullptr;
  }
  void replay(void* recording, void* stream) const override {
    require_not_known_broken("a replay");
    ++replays_;
    LateCopies& late = *static_cast<EmulatedStream*>(stream)->late;
    late.carry_out();
    const auto& launches = *static_cast<Launches*>(recording);
    for (const auto& launch : launches) launch();
    late.note_launch();
    replayed = launches.size();
  }

 private:
  using Launches = std::vector<std::function<void()>>;
  struct EmulatedEvent {
    std::shared_ptr<LateCopies> late = {};  // null: never recorded
    std::int64_t place = 0;
  };

  // A recording holds launches, copies on the device and fills; anything else would end up in it,
  // or break it.
  static void require_no_recording(const EmulatedStream& stream, const char* what) {
    if (stream.records) throw DeviceError(std::string(what) + " within a recording");
  }
  // A GPU refuses memory to a thread that records, in any stream, and the recording is lost.
  void require_no_recording_here(const char* what) const {
    const std::lock_guard lock(mutex_);
    for (const EmulatedStream* stream : streams_) {
      if (stream->recorder == std::this_thread::get_id()) require_no_recording(*stream, what);
    }
  }
  // Launches are carried out at once here, yet on a GPU other streams would overtake them: what a
  // thread reads elsewhere comes in no order with launches that it has not waited for.
  void require_no_other_unawaited(void* stream, const char* what) const {
    const std::lock_guard lock(mutex_);
    for (const EmulatedStream* other : streams_) {
      if (other != stream && other->late->is_unawaited_here())
        throw DeviceError(std::string(what) + " while nobody has waited for another stream");
    }
  }
  static void finish(void* stream, const char* what) {
    require_whole(what);
    if (stream == nullptr) return;
    const auto& emulated = *static_cast<EmulatedStream*>(stream);
    require_no_recording(emulated, what);
    emulated.late->wait_for_all();
  }
  static LateCopies& late_copies_of(void* stream, const char* what) {
    require_not_known_broken(what);
    if (stream == nullptr) throw DeviceError(std::string(what) + " without a stream to wait in");
    const auto& emulated = *static_cast<EmulatedStream*>(stream);
    require_no_recording(emulated, what);
    return *emulated.late;
  }

  mutable std::mutex mutex_;
  mutable std::map<std::byte*, std::size_t> sizes_;
  mutable std::set<EmulatedStream*> streams_;
  mutable std::size_t used_ = 0;
  mutable std::size_t limit_ = 0;
  mutable std::size_t pretended_ = 0;
  mutable std::atomic<std::int64_t> uploads_{0};
  mutable std::atomic<std::int64_t> downloads_{0};
  mutable std::atomic<std::int64_t> replays_{0};
  mutable std::atomic<std::int64_t> started_{0};
  mutable std::atomic<std::int64_t> waits_{0};
};

// Never destroyed: memory on a device may outlive everything else.
const EmulatedAccess& emulated_access() {
  static const auto* const only = new EmulatedAccess;
  return *only;
}
const DeviceAccess& access(int) { return emulated_access(); }

// A program that links the emulated device has one of them.
const bool entered = [] {
  add_device_kind(Device::Kind::emulated, {[] { return 1; }, access});
  return true;
}();

}  // namespace

std::size_t launches_of_last_replay() { return replayed; }

void limit_device_memory(std::size_t bytes) { emulated_access().limit(bytes); }
std::size_t used_device_memory() { return emulated_access().used(); }
void pretend_free_memory(std::size_t bytes) { emulated_access().pretend(bytes); }
std::vector<std::span<const std::byte>> device_allocations() {
  return emulated_access().allocations();
}
EmulatedTraffic emulated_traffic() { return emulated_access().traffic(); }

}  // namespace braid::simt
