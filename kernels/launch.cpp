#include "kernels/launch.hpp"

#include <cxxabi.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>

#include "engine/core/environment.hpp"
#include "engine/core/error.hpp"
#include "kernels/gpu_table.hpp"

namespace braid::kernels {
namespace {

Backend detect() {
  if (const auto wish = environment("BRAID_CPU")) {
    for (Backend backend : {Backend::avx512, Backend::avx2, Backend::portable}) {
      if (*wish != name_of(backend)) continue;
      if (!is_supported(backend))
        throw DeviceError("BRAID_CPU=" + *wish + ": this processor lacks these instructions");
      return backend;
    }
    throw NameError("BRAID_CPU=" + *wish + ": known are avx512, avx2 and portable");
  }
  for (Backend backend : {Backend::avx512, Backend::avx2}) {
    if (is_supported(backend)) return backend;
  }
  return Backend::portable;
}

// Asks whether a device answers; absent where the program has no kernels for it.
using Answers = bool (*)();
Answers emulated_answers = nullptr;
Answers cuda_answers = nullptr;

#if BRAID_WITH_CUDA
struct CudaEntry {
  CudaEntry() {
    const std::vector<GpuTableEntry> table = cuda::table_of_kernels();
    add_backend(Backend::cuda, cuda::device_answers);
    // Models run where all kernels are.
    if (std::all_of(table.begin(), table.end(), [](const auto& entry) { return entry.present; }))
      cuda::add_devices();
  }
};
// Made before a program's own variables, which may be models.
[[gnu::init_priority(101)]] const CudaEntry cuda_entry;
#endif

}  // namespace

void add_backend(Backend backend, bool (*answers)()) {
  (backend == Backend::cuda ? cuda_answers : emulated_answers) = answers;
}

void throw_without_kernel(Backend backend, const char* arguments) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> name(
      abi::__cxa_demangle(arguments, nullptr, nullptr, &status), &std::free);
  throw DeviceError("backend \"" + std::string(name_of(backend)) + "\" has no kernel for " +
                    (name ? name.get() : arguments));
}

bool is_supported(Backend backend) {
  if (backend == Backend::cuda) return cuda_answers != nullptr && cuda_answers();
  if (backend == Backend::emulated) return emulated_answers != nullptr && emulated_answers();
#if defined(__x86_64__)
#if defined(BRAID_AVX512_BY_AVX2)
  if (backend == Backend::avx512) backend = Backend::avx2;
#endif
  switch (backend) {
    case Backend::avx512: return __builtin_cpu_supports("x86-64-v4") != 0;
    case Backend::avx2: return __builtin_cpu_supports("x86-64-v3") != 0;
    default: return true;
  }
#else
  return backend == Backend::portable;
#endif
}

const char* name_of(Backend backend) {
  switch (backend) {
    case Backend::avx512: return "avx512";
    case Backend::avx2: return "avx2";
    case Backend::portable: return "portable";
    case Backend::emulated: return "emulated";
    case Backend::cuda: return "cuda";
  }
  return "unknown";
}

Backend best_backend() {
  static const Backend best = detect();
  return best;
}

}  // namespace braid::kernels
