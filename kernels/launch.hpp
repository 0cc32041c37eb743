#pragma once
#include "kernels/backend.hpp"

namespace braid::kernels {

// The instruction sets that CPU kernels are compiled for.
enum class Backend : std::uint8_t { avx512, avx2, portable };

// The best one that this processor has. BRAID_CPU=avx512|avx2|portable asks for another, which must
// be supported.
Backend best_backend();
bool is_supported(Backend backend);
const char* name_of(Backend backend);

// Where a kernel is launched.
struct Stream {
  Backend backend = best_backend();
};

// Runs the kernel on the stream's device. Launchers never allocate and take any number of rows, 0
// too.
template <class Arguments>
void launch(const Stream& stream, const Arguments& arguments) {
  switch (stream.backend) {
    case Backend::avx512: return kCpuVariants<Arguments>.avx512(arguments);
    case Backend::avx2: return kCpuVariants<Arguments>.avx2(arguments);
    case Backend::portable: return kCpuVariants<Arguments>.portable(arguments);
  }
}

}  // namespace braid::kernels
