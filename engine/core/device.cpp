#include "engine/core/device.hpp"

#include <cstdlib>
#include <mutex>
#include <optional>

#include "engine/core/error.hpp"

namespace braid {
namespace {

std::mutex default_device_mutex;
std::optional<Device> chosen_default;

// This build has no GPU backend, so only the CPU is ever there.
void require_present(Device device) {
  if (device.kind() == Device::Kind::cuda) {
    throw DeviceError("device \"" + to_string(device) +
                      "\" was demanded, but this build of Braid runs on the CPU only");
  }
}

}  // namespace

Device Device::best() {
  const char* wish = std::getenv("BRAID_DEVICE");
  if (wish != nullptr && *wish != '\0' && std::string_view(wish) != "best") return named(wish);
  return cpu();
}

Device Device::named(std::string_view name) {
  if (name == "best") return best();
  if (name == "cpu") return cpu();
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
  return device.kind() == Device::Kind::cpu ? "cpu" : "cuda:" + std::to_string(device.index());
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
