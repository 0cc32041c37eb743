#include "kernels/launch.hpp"

#include <cstdlib>
#include <string>

#include "engine/core/error.hpp"

namespace braid::kernels {
namespace {

Backend detect() {
  if (const char* wish = std::getenv("BRAID_CPU"); wish != nullptr && *wish != '\0') {
    for (Backend backend : {Backend::avx512, Backend::avx2, Backend::portable}) {
      if (std::string(wish) != name_of(backend)) continue;
      if (!is_supported(backend)) {
        throw DeviceError("BRAID_CPU=" + std::string(wish) +
                          ": this processor lacks these instructions");
      }
      return backend;
    }
    throw NameError("BRAID_CPU=" + std::string(wish) + ": known are avx512, avx2 and portable");
  }
  for (Backend backend : {Backend::avx512, Backend::avx2}) {
    if (is_supported(backend)) return backend;
  }
  return Backend::portable;
}

}  // namespace

bool is_supported(Backend backend) {
#if defined(__x86_64__)
  switch (backend) {
    case Backend::avx512: return __builtin_cpu_supports("x86-64-v4") != 0;
    case Backend::avx2: return __builtin_cpu_supports("x86-64-v3") != 0;
    case Backend::portable: return true;
  }
  return false;
#else
  return backend == Backend::portable;
#endif
}

const char* name_of(Backend backend) {
  switch (backend) {
    case Backend::avx512: return "avx512";
    case Backend::avx2: return "avx2";
    case Backend::portable: return "portable";
  }
  return "unknown";
}

Backend best_backend() {
  static const Backend best = detect();
  return best;
}

}  // namespace braid::kernels
