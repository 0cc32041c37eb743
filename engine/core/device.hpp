#pragma once
#include <string>
#include <string_view>

namespace braid {

// Where tensors live and kernels run.
class Device {
 public:
  // `emulated` is the GPU of tests: its kernels run on the CPU, and only where a test brings it.
  enum class Kind { cpu, cuda, emulated };

  static Device cpu() { return Device(Kind::cpu, 0); }
  static Device cuda(int index = 0) { return Device(Kind::cuda, index); }
  static Device emulated() { return Device(Kind::emulated, 0); }
  // The GPU if one answers and this build can use it, else the CPU; a build that could says once,
  // on standard error, why there is none. BRAID_DEVICE=cpu|cuda|cuda:1 overrides it.
  static Device best();
  // "cpu", "cuda", "cuda:1" or "best". Throws NameError for another name, DeviceError for a device
  // that is not there.
  static Device named(std::string_view name);

  Kind kind() const { return kind_; }
  int index() const { return index_; }
  bool operator==(const Device&) const = default;

 private:
  Device(Kind kind, int index) : kind_(kind), index_(index) {}
  Kind kind_;
  int index_;
};

// "cpu" or "cuda:0".
std::string to_string(Device device);

// Throws DeviceError where the device is not there.
void require_present(Device device);

// The device of models and tensors that name none; Device::best() until it is set. Throws
// DeviceError if it is not there.
void set_default_device(Device device);
Device default_device();

}  // namespace braid
