#pragma once
#include <functional>
#include <utility>
#include <vector>

#include "kernels/launch.hpp"

namespace braid::simt {

// The native stream of the emulated device: it carries out each launch at once, or writes it down.
struct EmulatedStream {
  std::vector<std::function<void()>> recorded = {};
  bool records = false;
};

// Carries out `work`, or keeps it with copies of what it refers to.
template <class Work>
void in_stream(void* stream, Work work) {
  auto* const emulated = static_cast<EmulatedStream*>(stream);
  if (emulated != nullptr && emulated->records) {
    emulated->recorded.emplace_back(std::move(work));
  } else {
    work();
  }
}

}  // namespace braid::simt
