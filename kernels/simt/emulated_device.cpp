#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <mutex>
#include <new>

#include "engine/core/device_access.hpp"
#include "engine/core/memory.hpp"
#include "kernels/simt/emulated_faults.hpp"
#include "kernels/simt/emulated_stream.hpp"
#include "kernels/simt/emulated_traffic.hpp"
#include "kernels/simt/launch_records.hpp"
#include "kernels/simt/moved_bytes.hpp"

namespace braid::simt {
namespace {

std::atomic<std::size_t> replayed{0};

constexpr std::align_val_t kAlignment{256};  // as cudaMalloc
constexpr int kPoison = 0xFF;                // NaN: what was never written shows

// The memory of the emulated device is the host's, but apart from what tensors on the host hold.
class EmulatedAccess final : public DeviceAccess {
 public:
  std::byte* allocate(std::size_t bytes) const override {
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
  void release(std::byte* memory) const noexcept override {
    const std::lock_guard lock(mutex_);
    const auto found = sizes_.find(memory);
    used_ -= found->second;
    sizes_.erase(found);
    ::operator delete[](memory, kAlignment);
  }
  std::size_t free_bytes() const override {
    const std::lock_guard lock(mutex_);
    if (pretended_ != 0) return pretended_;
    if (limit_ == 0) return static_cast<std::size_t>(free_memory());
    return limit_ > used_ ? limit_ - used_ : 0;
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
  EmulatedTraffic traffic() const { return {uploads_, downloads_, replays_}; }

  void* new_stream() const override { return new EmulatedStream; }
  void release_stream(void* stream) const noexcept override {
    delete static_cast<EmulatedStream*>(stream);
  }
  void synchronize(void*) const override {}

  void upload(std::byte* to, const std::byte* from, std::size_t bytes, void*) const override {
    ++uploads_;
    if (bytes > 0) std::memcpy(to, from, bytes);
  }
  void download(std::byte* to, const std::byte* from, std::size_t bytes, void*) const override {
    ++downloads_;
    if (bytes > 0) std::memcpy(to, from, bytes);
  }
  void copy(std::byte* to, const std::byte* from, std::size_t bytes, void* stream) const override {
    in_stream(stream, [=] {
      if (bytes > 0) std::memcpy(to, from, bytes);
    });
  }
  void fill(std::byte* memory, std::byte pattern, std::size_t bytes, void* stream) const override {
    in_stream(stream, [=] {
      if (bytes > 0) std::memset(memory, std::to_integer<int>(pattern), bytes);
    });
  }

  bool can_record() const override { return true; }
  void begin_recording(void* stream) const override {
    static_cast<EmulatedStream*>(stream)->records = true;
  }
  std::shared_ptr<void> end_recording(void* stream) const override {
    auto* const emulated = static_cast<EmulatedStream*>(stream);
    emulated->records = false;
    return std::make_shared<Launches>(std::exchange(emulated->recorded, {}));
  }
  void replay(void* recording, void*) const override {
    ++replays_;
    const auto& launches = *static_cast<Launches*>(recording);
    for (const auto& launch : launches) launch();
    replayed = launches.size();
  }

 private:
  using Launches = std::vector<std::function<void()>>;

  mutable std::mutex mutex_;
  mutable std::map<std::byte*, std::size_t> sizes_;
  mutable std::size_t used_ = 0;
  mutable std::size_t limit_ = 0;
  mutable std::size_t pretended_ = 0;
  mutable std::atomic<std::int64_t> uploads_{0};
  mutable std::atomic<std::int64_t> downloads_{0};
  mutable std::atomic<std::int64_t> replays_{0};
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
