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
  // Numbers count the GPUs that this build has code for, in CUDA's order. nvidia-smi counts all of
  // them, in an order of its own: a GPU may have another number there.
  static Device cuda(int index = 0) { return Device(Kind::cuda, index); }
  static Device emulated() { return Device(Kind::emulated, 0); }
  // The GPU if one answers and this build can use it, else the CPU; a build that could says once,
  // on standard error, why there is none (BRAID_WARNINGS=off: it does not).
  // BRAID_DEVICE=cpu|cuda|cuda:1 overrides it, and may throw what named() throws.
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

// The device that models made from now on live on, those of Model::load too; Device::best() until
// it is set, found when it is first asked for. Models that are there stay where they are. Tensors
// are made on the CPU, whatever it is. Setting one that is not there is a DeviceError; asking
// throws what Device::best() throws.
void set_default_device(Device device);
Device default_device();

}  // namespace braid
