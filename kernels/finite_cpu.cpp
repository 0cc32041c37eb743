#include "kernels/finite.hpp"

namespace braid::kernels::BRAID_CPU {

void run(const AllFinite& args) {
  std::int32_t bad = 0;
  for (std::int64_t n = 0; n < args.count; ++n) {
    const auto bits = __builtin_bit_cast(std::uint32_t, args.in[n]);
    bad |= (bits & 0x7F800000U) == 0x7F800000U ? 1 : 0;
  }
  *args.finite = bad == 0 ? 1 : 0;
}

}  // namespace braid::kernels::BRAID_CPU
