#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "kernels/launch.hpp"
#include "kernels/simt/late_copies.hpp"
#include "kernels/simt/shape.hpp"

namespace braid::simt {

struct PlannedLaunch {
  std::string kernel;
  LaunchShape shape;
};

// The native stream of the emulated device: it carries out each launch at once, or writes it down.
// Only copies that nobody waits for come late.
struct EmulatedStream {
  std::vector<std::function<void()>> recorded = {};
  bool records = false;
  std::thread::id recorder = {};
  // If there: launches are checked and noted here, and never carried out; their operands may be of
  // any size.
  std::vector<PlannedLaunch>* planned = nullptr;
  std::shared_ptr<LateCopies> late = std::make_shared<LateCopies>();
};

inline bool only_plans(void* stream) {
  return stream != nullptr && static_cast<EmulatedStream*>(stream)->planned != nullptr;
}
// DeviceError where no device could take the launch.
void plan_launch(void* stream, std::string_view kernel, const LaunchShape& shape, bool cooperative);

// Carries out `work`, or keeps it with copies of what it refers to.
template <class Work>
void in_stream(void* stream, Work work) {
  auto* const emulated = static_cast<EmulatedStream*>(stream);
  if (emulated != nullptr && emulated->records) {
    emulated->recorded.emplace_back(std::move(work));
  } else {
    if (emulated != nullptr) emulated->late->carry_out();
    work();
    if (emulated != nullptr) emulated->late->note_launch();
  }
}

}  // namespace braid::simt
