#pragma once
#include <typeinfo>

#include "kernels/backend.hpp"

namespace braid::kernels {

// The instruction sets that CPU kernels are compiled for; a GPU; and the GPU's kernels on a device
// that is emulated (in tests alone).
enum class Backend : std::uint8_t { avx512, avx2, portable, emulated, cuda };

// The best instruction set that this processor has. BRAID_CPU=avx512|avx2|portable asks for
// another, which must be supported.
Backend best_backend();
bool is_supported(Backend backend);
const char* name_of(Backend backend);

// Takes down launches instead of carrying them out (row_program.hpp).
class LaunchCollector {
 public:
  virtual ~LaunchCollector() = default;
  virtual void add(const std::type_info& type, const void* arguments) = 0;
};

// Where a kernel is launched.
struct Stream {
  Backend backend = best_backend();
  void* native = nullptr;                // of a GPU: a cudaStream_t
  LaunchCollector* collector = nullptr;  // of a GPU: takes its launches; absent: they are launched
};

// The functions that run one kernel on a GPU and on the emulated one. They stand in tables that a
// program links or does not link (cmake/gpu_kernels.cmake).
template <class Arguments>
struct GpuVariants {
  using Run = void (*)(const Stream&, const Arguments&);
  static inline Run emulated = nullptr;
  static inline Run cuda = nullptr;
};
[[noreturn]] void throw_without_kernel(Backend backend, const char* arguments);

// True if the backend has this kernel.
template <class Arguments>
bool has_kernel(Backend backend) {
  if (backend == Backend::emulated) return GpuVariants<Arguments>::emulated != nullptr;
  if (backend == Backend::cuda) return GpuVariants<Arguments>::cuda != nullptr;
  return true;
}

// Runs the kernel on the stream's device. Launchers never allocate and take any number of rows, 0
// too.
template <class Arguments>
void launch(const Stream& stream, const Arguments& arguments) {
  switch (stream.backend) {
    case Backend::avx512: return kCpuVariants<Arguments>.avx512(arguments);
    case Backend::avx2: return kCpuVariants<Arguments>.avx2(arguments);
    case Backend::portable: return kCpuVariants<Arguments>.portable(arguments);
    case Backend::emulated:
    case Backend::cuda: {
      if (stream.collector != nullptr) return stream.collector->add(typeid(Arguments), &arguments);
      if (!has_kernel<Arguments>(stream.backend)) {
        throw_without_kernel(stream.backend, typeid(Arguments).name());
      }
      using Variants = GpuVariants<Arguments>;
      const auto run = stream.backend == Backend::cuda ? Variants::cuda : Variants::emulated;
      return run(stream, arguments);
    }
  }
}

}  // namespace braid::kernels
