#include "engine/core/device.hpp"

#include <cstdio>
#include <mutex>
#include <optional>

#include "engine/core/device_access.hpp"
#include "engine/core/environment.hpp"
#include "engine/core/error.hpp"

namespace braid {
namespace {

std::mutex default_device_mutex;
std::optional<Device> chosen_default;

// A program that could use a GPU and finds none works all the same, but not in silence.
void say_once_that_no_gpu_answers() {
  if (!warnings_wanted()) return;
  static std::once_flag once;
  std::call_once(once, [] {
    std::fprintf(stderr, "braid: no GPU answers (%s); computing on the CPU\n",
                 absence_of(Device::Kind::cuda).c_str());
  });
}

// What BRAID_DEVICE asks for. Errors begin with the variable: whoever meets them need not know that
// it is set.
Device demanded(const std::string& wish) {
  const std::string variable = "BRAID_DEVICE=" + wish + ": ";
  try {
    return Device::named(wish);
  } catch (const NameError& error) {
    throw NameError(variable + error.what());
  } catch (const DeviceError& error) {
    throw DeviceError(variable + error.what());
  }
}

}  // namespace

Device Device::best() {
  const auto wish = environment("BRAID_DEVICE");
  if (wish && *wish != "best") return demanded(*wish);
  if (device_count(Kind::cuda) > 0) return cuda();
  if (has_device_kind(Kind::cuda)) say_once_that_no_gpu_answers();
  return cpu();
}

Device Device::named(std::string_view name) {
  if (name == "best") return best();
  if (name == "cpu") return cpu();
  if (name == "emulated" && device_count(Kind::emulated) > 0) return emulated();
  if (name.starts_with("cuda")) {
    std::string_view rest = name.substr(4);
    int index = 0;
    bool valid = rest.empty();
    if (rest.size() > 1 && rest[0] == ':') {
      valid = true;
      for (char c : rest.substr(1)) {
        valid = valid && c >= '0' && c <= '9' && index < 1000;
        if (valid) index = 10 * index + (c - '0');
      }
    }
    if (valid) {
      require_present(cuda(index));
      return cuda(index);
    }
  }
  throw NameError("unknown device \"" + std::string(name) +
                  "\"; known are \"cpu\", \"cuda\", \"cuda:<index>\" and \"best\"");
}

std::string to_string(Device device) {
  switch (device.kind()) {
    case Device::Kind::cpu: return "cpu";
    case Device::Kind::cuda: return "cuda:" + std::to_string(device.index());
    case Device::Kind::emulated: return "emulated";
  }
  return "unknown";
}

void require_present(Device device) {
  const int count = device_count(device.kind());
  if (device.index() >= 0 && device.index() < count) return;
  throw DeviceError("device \"" + to_string(device) + "\" was demanded; " +
                    (count == 0 ? "none of its kind answers: " + absence_of(device.kind())
                                : "there are " + std::to_string(count) + " of its kind"));
}

void set_default_device(Device device) {
  require_present(device);
  const std::lock_guard lock(default_device_mutex);
  chosen_default = device;
}

Device default_device() {
  const std::lock_guard lock(default_device_mutex);
  if (!chosen_default) chosen_default = Device::best();
  return *chosen_default;
}

}  // namespace braid
